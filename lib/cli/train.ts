import type { Command } from 'commander';
import { distill } from '../distill.js';
import type { DistillOptions } from '../distill-options.js';
import {
  datasetOptions,
  demand,
  learningOptions,
  number,
  option,
  shared,
  trainingOptions,
} from './arguments.js';
import { type Output, shellWord } from './output.js';
import { report } from './training.js';

const FROM_FILE = "from the teacher's file";

export function addTrain(program: Command, output: Output): void {
  const command = program
    .command('train')
    .description('distil a DenseNet into a small CNN on a folder of pictures')
    .argument('[dataset]', 'folder with train/ and val/, each with a folder of pictures per class')
    .addOption(
      option('--teacher <file>', '.pth or .safetensors of a torchvision DenseNet (required, or …)'),
    )
    .addOption(
      option('--teacher-logits <file>', '… a file of its logits, as `distill logits` writes it'),
    )
    .addOption(option('--student <file>', '.pth or .safetensors to write (required)'))
    .addOption(shared.mean('means of red, green, blue in 0..1', FROM_FILE))
    .addOption(shared.std('standard deviations of red, green, blue', FROM_FILE));
  for (const made of datasetOptions()) command.addOption(made);
  for (const learning of learningOptions('-')) command.addOption(learning);
  command
    .addOption(shared.batchSize('pictures a training step', '4'))
    .addOption(shared.imageSize(`${FROM_FILE}, or 224`))
    .addOption(
      option('--initial-student <file>', "a student's file to start from instead of fresh weights"),
    )
    .addOption(
      option('--views <n>', 'augmented views of each picture, each answered by the teacher', {
        parse: number,
        shown: '1',
      }),
    );
  const augmented = 'crop,flip with several views, else none';
  for (const made of trainingOptions({ augmented })) command.addOption(made);
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    demand('train', {
      '--teacher': given.teacher ?? given.teacherLogits,
      '--student': given.student,
    });
    // Parsed, but checked only by the API.
    const options = { dataset, ...given } as DistillOptions;
    const { student: file, epochs = 500 } = options;
    const next = `distill predict <images> --student ${shellWord(file)}`;
    await report(distill(options), { name: 'Student', file, epochs, next }, output);
  });
}
