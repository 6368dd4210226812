import type { Command } from 'commander';
import { defaultOf } from '../options/option.js';
import { type TeachOptions, teachOptions } from '../options/teach.js';
import { teach } from '../teach.js';
import { addCall, jsonOption, quietOption } from './options.js';
import { type Output, shellWord } from './output.js';
import { reportTraining } from './training.js';
import { demandOptions } from './usage.js';

export function addTeach(program: Command, output: Output): void {
  const command = addCall(program, teachOptions, {
    name: 'teach',
    description:
      'train a DenseNet or another network on a folder of pictures: a teacher for `distill train`',
    argument: '[dataset]',
  });
  command.addOption(jsonOption()).addOption(quietOption());
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    demandOptions(command, teachOptions, given);
    // Parsed, but checked only by the API.
    await teachAndReport({ dataset, ...given } as TeachOptions, output);
  });
}

/** Trains a teacher, and reports it. */
export async function teachAndReport(options: TeachOptions, output: Output): Promise<void> {
  const { teacher: file, epochs = defaultOf(teachOptions, 'epochs'), dataset, runDir } = options;
  const folder = shellWord(dataset ?? '<dataset>');
  const next = `distill train ${folder} --teacher ${shellWord(file)} --student student.pth`;
  await reportTraining(teach(options), { name: 'Teacher', file, epochs, next, runDir }, output);
}
