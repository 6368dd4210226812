import path from 'node:path';
import { type Command, Option } from 'commander';
import { distill } from '../distill.js';
import { DistillError } from '../errors.js';
import { distillOptions } from '../options/distill.js';
import { defaultOf } from '../options/option.js';
import { number, triple } from './arguments.js';
import type { Flags } from './flags.js';
import { callOptions } from './options.js';
import type { Output } from './output.js';
import { predictionFields, printPredictions } from './predict.js';
import { follow } from './progress.js';
import { epochLine, progressOf } from './training.js';
import { demand } from './usage.js';

// The command line of the reference script, and the lines that it prints.

/** Tells whether arguments are in the reference's form. */
export function asksForReference(argv: readonly string[]): boolean {
  return argv.some((argument) => argument === '--task' || argument.startsWith('--task='));
}

/** The script's own options: the API's name, the flag and the help. */
const OPTIONS: readonly (readonly [name: string, flags: string, help: string])[] = [
  ['teacher', '--src_model <file>', "the teacher's .pth"],
  ['student', '--dst_model <file>', "the student's .pth"],
  ['classesNumber', '--classes_number <n>', 'classes of the dataset (default: 2)'],
  ['mean', '--mean <tuple>', 'such as "(0.485, 0.456, 0.406)"'],
  ['std', '--std <tuple>', 'such as "(0.229, 0.224, 0.225)"'],
  ['labels', '--labels_file <file>', 'class names, as lines of: index class_name'],
  ['images', '--images_path <folder>', 'pictures to predict'],
  ['dataset', '--dataset_path <folder>', 'folder with train/ and val/'],
];

/** The options of learning, which the script has under the same names and with the same defaults. */
const LEARNING = ['epochs', 'lr', 'dropRate', 'temperature', 'alpha'] as const;

const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  classesNumber: number,
  mean: triple,
  std: triple,
};

/** Makes the script's options, and `--force`: the script itself replaces any file. */
function referenceOptions(): Option[] {
  const own = OPTIONS.map(([name, flags, help]) => {
    const made = new Option(flags, help);
    made.attributeName = () => name;
    const parse = PARSERS[name];
    return parse ? made.argParser(parse) : made;
  });
  return [...own, ...callOptions(distillOptions, [...LEARNING, 'overwrite'], { joint: '_' })];
}

/** The script's names of the API's options. */
export const REFERENCE_FLAGS: Flags = new Map([
  ...referenceOptions().map((made) => [made.attributeName(), made.long ?? made.flags] as const),
  // The script has no such choice.
  ['monitor', '`distill train --monitor`'],
]);

/** As commander parses them; the API checks them. */
interface ReferenceOptions {
  task: 'train' | 'predict';
  teacher: string;
  student: string;
  classesNumber?: number;
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
  labels?: string;
  images: string;
  dataset: string;
  epochs?: number;
  lr?: number;
  dropRate?: number;
  temperature?: number;
  alpha?: number;
  overwrite?: boolean;
}

export function referenceProgram(program: Command, output: Output): void {
  program
    .description('Model knowledge distillation, in the form of the reference script.')
    .addOption(
      new Option('--task <task>', 'what to do').choices(['train', 'predict']).makeOptionMandatory(),
    );
  for (const made of referenceOptions()) program.addOption(made);
  program.action(async (given: ReferenceOptions) => {
    if (given.task === 'train') await train(given, output);
    else await predictAll(given, output);
    output.printMarked('green', '====== execution completed ======');
  });
}

/** Checks that options are given, and names all that are not by their flags. */
function demandAll(task: string, given: ReferenceOptions, ...names: (keyof ReferenceOptions)[]) {
  const values = names.map((name) => [REFERENCE_FLAGS.get(name), given[name]] as const);
  demand(`--task ${task}`, Object.fromEntries(values));
}

async function train(given: ReferenceOptions, output: Output): Promise<void> {
  demandAll('train', given, 'teacher', 'student', 'dataset', 'mean', 'std');
  const { task, classesNumber, labels, images, ...options } = given;
  const { dataset, epochs = defaultOf(distillOptions, 'epochs') } = options;
  const run = distill({
    ...options,
    // Whatever the teacher's file says.
    imageSize: 224,
    resize: false,
    padding: 0,
    exif: 'ignore',
  });
  run.on('dataset', ({ classes, train, val }) => {
    if (classesNumber !== undefined && classesNumber !== classes.length) {
      throw new DistillError(
        'ERR_OPTION',
        `Expected the number of class folders in '${dataset}', ${classes.length}, for --classes_number but received ${classesNumber}.`,
      );
    }
    const indices = dict(classes);
    output.print(
      `train dataset length: ${train}; classes: ${indices}; number of categories: ${classes.length}`,
    );
    output.print(`val dataset length: ${val}; classes: ${indices}`);
  });
  run.on('epoch', (report) => output.print(epochLine(report)));
  await follow(run, progressOf(run, { epochs }), output, ({ stopReason }) => {
    if (stopReason === 'early-stop') output.printMarked('yellow', 'stop training early');
  });
}

async function predictAll(given: ReferenceOptions, output: Output): Promise<void> {
  demandAll('predict', given, 'student', 'images');
  const { student, images, labels, mean, std } = given;
  await printPredictions({ student, images, labels, mean, std }, output, (prediction) =>
    predictionFields(path.basename(prediction.path ?? ''), [prediction]),
  );
}

/** Shows class indices as Python prints a dict. */
function dict(classes: readonly string[]): string {
  return `{${classes.map((name, index) => `${repr(name)}: ${index}`).join(', ')}}`;
}

/** Shows a text as Python's repr does. */
function repr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\'"]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    if (character === '\\' || character === quote) return `\\${character}`;
    if (character === '"' || character === "'") return character;
    const named = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character];
    const code = (character.codePointAt(0) ?? 0).toString(16);
    if (named) return named;
    if (code.length <= 2) return `\\x${code.padStart(2, '0')}`;
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\U${code.padStart(8, '0')}`;
  });
  return quote + body + quote;
}
