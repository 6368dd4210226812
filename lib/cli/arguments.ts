import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { DistillError } from '../errors.js';
import { nameOf } from '../names.js';

// What a command line says, as the API's options. Text that is no number, no triple and so on is handed
// on as it is: the API says what was expected, and shows the user's own words.

type Parsed<T> = T | string;

export function number(text: string): Parsed<number> {
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? text : value;
}

/** `0.485,0.456,0.406`, or a tuple of Python's: `(0.485, 0.456, 0.406)`. */
export function triple(text: string): Parsed<Parsed<number>[]> {
  const [, inner] = /^\s*[([]?([^()[\]]*?)[,\s]*[)\]]?\s*$/.exec(text) ?? [];
  const values = (inner ?? '').split(',').map(number);
  return values.length === 3 && values.every((value) => typeof value === 'number') ? values : text;
}

/** One number, or several: `2,4`. */
export function numbers(text: string): Parsed<number | number[]> {
  const values = text.split(',').map(number);
  if (!values.every((value) => typeof value === 'number')) return text;
  return values.length === 1 ? (values[0] as number) : values;
}

/** `crop,flip`, or `none`. */
export function names(text: string): Parsed<string[]> {
  return text === 'none' ? [] : text.split(',').map((name) => name.trim());
}

/**
 * The arguments as the shell gave them: where a name is not UTF-8 Node has put U+FFFD, which may be in another file's name.
 */
export function exactArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((word) => word.includes('\ufffd'))) return argv;
  try {
    const words = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1);
    return words.slice(-argv.length).map((word) => nameOf(Buffer.from(word, 'latin1')));
  } catch {
    return argv; // A system without /proc; on macOS and Windows a name is always Unicode.
  }
}

/**
 * An option as the API has it.
 *
 * @param given.shown The default, for the help; the value itself is the API's business.
 */
export function option<T>(
  flags: string,
  description: string,
  { parse, shown }: { parse?: (text: string) => Parsed<T>; shown?: string | undefined } = {},
): Option {
  const made = new Option(flags, shown ? `${description} (default: ${shown})` : description);
  return parse ? made.argParser(parse) : made;
}

/**
 * The options of learning that this command shares with the reference, and its defaults.
 *
 * @param joint What stands between the words of a name.
 */
export function learningOptions(joint: '-' | '_'): Option[] {
  const learning = (flags: string, description: string, value: number) =>
    new Option(flags, description).argParser(number).default(value);
  return [
    learning('--epochs <n>', 'passes over the training pictures, at most', 500),
    learning('--lr <rate>', "Adam's learning rate", 0.0001),
    learning(`--drop${joint}rate <p>`, 'dropout before the last layer, in [0, 1)', 0.2),
    learning('--temperature <t>', "softens both models' answers; greater is softer", 2),
    learning('--alpha <a>', "weight of the teacher's term; the labels' term weighs 1 - alpha", 0.7),
  ];
}

/** Options that several commands have. */
export const shared = {
  mean: (description: string, shown?: string) =>
    option('--mean <r,g,b>', description, { parse: triple, shown }),
  std: (description: string, shown?: string) =>
    option('--std <r,g,b>', description, { parse: triple, shown }),
  imageSize: (shown: string) =>
    option('--image-size <pixels>', 'side of the centre crop', { parse: number, shown }),
  batchSize: (description: string, shown: string) =>
    option('--batch-size <n>', description, { parse: number, shown }),
  seed: () =>
    option('--seed <n>', 'makes the run repeatable', { parse: number, shown: 'drawn, and told' }),
  device: () => option('--device <name>', 'auto, cpu, cuda or cuda:N', { shown: 'auto' }),
  precision: () =>
    option('--precision <type>', 'fp32, bf16, or auto: bf16 where that is faster', {
      shown: 'fp32',
    }),
  threads: () =>
    option('--threads <n>', 'threads that work is shared among', {
      parse: number,
      shown: 'one a processor',
    }),
  maxPixels: () =>
    option('--max-pixels <n>', 'the largest picture that is read', {
      parse: number,
      shown: '178956970, or half where it takes much memory',
    }),
  onBadImage: () =>
    option('--on-bad-image <what>', 'error: a picture that does not decode ends it; skip: warn', {
      shown: 'error',
    }),
  force: () => {
    const made = option('--force', 'replace what is to be written, whatever is there');
    // The API's name: what is there, not the user, is forced here.
    made.attributeName = () => 'overwrite';
    return made;
  },
  json: () => option('--json', 'for machines: one JSON object a line'),
};

/** The argument of commands that have a dataset. */
export const DATASET = 'folder with train/ and val/, each with a folder of pictures per class';

/** Which pictures a training has. */
export function datasetOptions(): Option[] {
  return [
    option('--train <folder>', "the training pictures' folder, instead of dataset"),
    option('--val <folder>', "the validation pictures' folder, instead of dataset"),
  ];
}

/** The other options that every training has. */
export function trainingOptions(shown: { schedule: string; augmented: string }): Option[] {
  return [
    option('--schedule <name>', 'one-cycle, cosine or constant', { shown: shown.schedule }),
    option('--warmup <epochs>', 'in which the rate of --schedule cosine grows', {
      parse: number,
      shown: '1 for cosine',
    }),
    option('--augment <names>', 'crop or resized-crop, and flip; or none', {
      parse: names,
      shown: shown.augmented,
    }),
    option('--store-size <pixels>', 'side of the square that crops are taken from', {
      parse: number,
      shown: 'a quarter more than --image-size',
    }),
    option('--crop-scale <share>', "of the picture's area: the smallest resized crop", {
      parse: number,
      shown: '0.08',
    }),
    shared.device(),
    shared.precision(),
    shared.threads(),
    option('--no-shuffle', 'show the pictures in the same order in every epoch'),
    shared.onBadImage(),
    shared.maxPixels(),
    option('--cache-memory <size>', 'memory for prepared pictures, such as 2GB or 512MiB', {
      shown: 'half of what is free; beyond it, a file',
    }),
    option('--cache-dir <folder>', 'keep prepared pictures there for the next run', {
      shown: 'kept nowhere',
    }),
    shared.force(),
    shared.json(),
    option('--quiet', 'print only the outcome, warnings and errors'),
  ];
}

const FROM_TEACHER = "from the teacher's file";

/** Whose answers students learn, and of which pictures. */
export function sourceOptions(): Option[] {
  return [
    option('--teacher <file>', '.pth or .safetensors of a torchvision DenseNet (required, or …)'),
    option('--teacher-logits <file>', '… a file of its logits, as `distill logits` writes it'),
    shared.mean('means of red, green, blue in 0..1', FROM_TEACHER),
    shared.std('standard deviations of red, green, blue', FROM_TEACHER),
    ...datasetOptions(),
  ];
}

/** The other options that every student's training has. */
export function studentOptions(): Option[] {
  return [
    shared.batchSize('pictures a training step', '4'),
    shared.imageSize(`${FROM_TEACHER}, or 224`),
    option('--initial-student <file>', "a student's file to start from, and to do better than"),
    option('--keep <what>', 'the epoch that improved both, or the best in accuracy or loss', {
      shown: 'both',
    }),
    option('--views <n>', 'augmented views of each picture, each answered by the teacher', {
      parse: number,
      shown: '1',
    }),
    ...trainingOptions({
      schedule: 'constant',
      augmented: 'crop,flip with several views, else none',
    }),
  ];
}

/** The options of one student's training, but for its file. */
export function distillationOptions(): Option[] {
  return [...sourceOptions(), ...learningOptions('-'), shared.seed(), ...studentOptions()];
}

/** Wrong usage: exit code 2. */
export function usageError(message: string): DistillError {
  return new DistillError('ERR_USAGE', message);
}

/**
 * Checks that options are there, and names all that are not.
 *
 * @param who The command, such as `train`.
 * @param options Values by flag.
 */
export function demand(who: string, options: Record<string, unknown>): void {
  const missing = Object.keys(options).filter((flag) => options[flag] === undefined);
  if (missing.length === 0) return;
  const measured = missing.some((flag) => flag === '--mean' || flag === '--std');
  const hint = measured ? '; `distill stats <folder>` measures --mean and --std' : '';
  throw usageError(`${who} needs ${missing.join(', ')}${hint}.`);
}

/** What the API's options are called on the command line. */
export type Flags = ReadonlyMap<string, string>;

export function flagsOf(program: Command): Flags {
  return new Map(
    program.commands.flatMap((command) => [
      ...command.registeredArguments.map((made) => [made.name(), `<${made.name()}>`] as const),
      ...command.options.map((made) => [made.attributeName(), made.long ?? made.flags] as const),
    ]),
  );
}

/** Says an error of the API in the words of the command line. */
export function inFlags(error: DistillError, flags: Flags): DistillError {
  return new DistillError(error.code, namesInFlags(error.message, flags), { cause: error });
}

/** Says a sentence of the API in the words of the command line. */
export function namesInFlags(text: string, flags: Flags): string {
  // Options stand between backticks; names with a capital inside are unmistakable, except in a path.
  const names = /`(\w+)`|(?<![\w/\\'".-])([a-z]+[A-Z]\w*)(?![\w/\\'"-])/g;
  return text.replace(
    names,
    (all, quoted?: string, bare?: string) => flags.get(quoted ?? bare ?? '') ?? all,
  );
}
