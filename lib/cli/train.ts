import type { Command } from 'commander';
import { distill } from '../distill.js';
import type { DistillOptions } from '../options/distill.js';
import { DATASET, demand, distillationOptions, option } from './arguments.js';
import { type Output, shellWord } from './output.js';
import { report } from './training.js';

export function addTrain(program: Command, output: Output): void {
  const command = program
    .command('train')
    .description('distil a DenseNet into a small CNN on a folder of pictures')
    .argument('[dataset]', DATASET)
    .addOption(option('--student <file>', '.pth or .safetensors to write (required)'));
  for (const one of distillationOptions()) command.addOption(one);
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
