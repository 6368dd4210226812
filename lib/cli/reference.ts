import path from 'node:path';
import { type Command, Option } from 'commander';
import { distill } from '../distill.js';
import { DistillError } from '../errors.js';
import { demand, type Flags, learningOptions, number, shared, triple } from './arguments.js';
import type { Output } from './output.js';
import { predictionFields, printPredictions } from './predict.js';
import { epochLine, follow, standOf } from './training.js';

// The command line of the script that this package follows, and the lines that it prints.

/** Whether arguments are in the reference's form. */
export function asksForReference(argv: readonly string[]): boolean {
  return argv.some((argument) => argument === '--task' || argument.startsWith('--task='));
}

/** The reference's names of the API's options. */
export const REFERENCE_FLAGS: Flags = new Map([
  ['teacher', '--src_model'],
  ['student', '--dst_model'],
  ['dataset', '--dataset_path'],
  ['images', '--images_path'],
  ['labels', '--labels_file'],
  ['dropRate', '--drop_rate'],
  ['overwrite', '--force'],
  // The script has no such choice.
  ['keep', '`distill train --keep`'],
  ...['mean', 'std', 'epochs', 'lr', 'temperature', 'alpha'].map(
    (name) => [name, `--${name}`] as const,
  ),
]);

type Triple = readonly [number, number, number];

/** As commander parses them; what they are worth is for the API to check. */
interface ReferenceOptions {
  task: 'train' | 'predict';
  src_model: string;
  dst_model: string;
  classes_number: number;
  mean: Triple;
  std: Triple;
  labels_file?: string;
  images_path: string;
  epochs: number;
  lr: number;
  drop_rate: number;
  dataset_path: string;
  temperature: number;
  alpha: number;
  overwrite?: boolean;
}

export function referenceProgram(program: Command, output: Output): void {
  program
    .description('Model knowledge distillation, in the form of the reference script.')
    .addOption(
      new Option('--task <task>', 'what to do').choices(['train', 'predict']).makeOptionMandatory(),
    )
    .option('--src_model <file>', "the teacher's .pth")
    .option('--dst_model <file>', "the student's .pth")
    .option('--classes_number <n>', 'classes of the dataset', number, 2)
    .option('--mean <tuple>', 'such as "(0.485, 0.456, 0.406)"', triple)
    .option('--std <tuple>', 'such as "(0.229, 0.224, 0.225)"', triple)
    .option('--labels_file <file>', 'class names, as lines of: index class_name')
    .option('--images_path <folder>', 'pictures to predict');
  for (const learning of learningOptions('_')) program.addOption(learning);
  program
    .option('--dataset_path <folder>', 'folder with train/ and val/')
    // Not the script's, which replaces any file.
    .addOption(shared.force())
    .action(async (given: ReferenceOptions) => {
      if (given.task === 'train') {
        const isGiven = program.getOptionValueSource('classes_number') === 'cli';
        await train(given, isGiven ? given.classes_number : undefined, output);
      } else {
        await predictAll(given, output);
      }
      output.printMarked('green', '====== execution completed ======');
    });
}

async function train(
  given: ReferenceOptions,
  classesNumber: number | undefined,
  output: Output,
): Promise<void> {
  const { src_model, dst_model, dataset_path, mean, std, epochs, lr, temperature, alpha } = given;
  demand('--task train', {
    '--src_model': src_model,
    '--dst_model': dst_model,
    '--dataset_path': dataset_path,
    '--mean': mean,
    '--std': std,
  });
  const run = distill({
    teacher: src_model,
    student: dst_model,
    dataset: dataset_path,
    mean,
    std,
    imageSize: 224, // whatever the teacher's file says
    epochs,
    lr,
    dropRate: given.drop_rate,
    temperature,
    alpha,
    overwrite: given.overwrite,
  });
  run.on('dataset', ({ classes, train, val }) => {
    if (classesNumber !== undefined && classesNumber !== classes.length) {
      throw new DistillError(
        'ERR_OPTION',
        `Expected the number of class folders in '${dataset_path}', ${classes.length}, for --classes_number but received ${classesNumber}.`,
      );
    }
    const indices = dict(classes);
    output.print(
      `train dataset length: ${train}; classes: ${indices}; number of categories: ${classes.length}`,
    );
    output.print(`val dataset length: ${val}; classes: ${indices}`);
  });
  run.on('epoch', (report) => output.print(epochLine(report)));
  await follow(run, standOf(run, { epochs }), output, ({ stopReason }) => {
    if (stopReason === 'early-stop') output.printMarked('yellow', 'stop training early');
  });
}

async function predictAll(given: ReferenceOptions, output: Output): Promise<void> {
  const { dst_model, images_path, labels_file, mean, std } = given;
  demand('--task predict', { '--dst_model': dst_model, '--images_path': images_path });
  await printPredictions(
    { student: dst_model, images: images_path, labels: labels_file, mean, std },
    output,
    (prediction) => predictionFields(path.basename(prediction.path ?? ''), [prediction]),
  );
}

/** Python's print of a dict of class indices. */
function dict(classes: readonly string[]): string {
  return `{${classes.map((name, index) => `${repr(name)}: ${index}`).join(', ')}}`;
}

/** Python's repr of a str. */
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
