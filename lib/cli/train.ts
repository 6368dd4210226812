import type { Command } from 'commander';
import { distill } from '../distill.js';
import { type DistillOptions, distillOptions } from '../options/distill.js';
import { defaultOf } from '../options/option.js';
import type { DistillResult } from '../run/reports.js';
import { count } from '../words.js';
import { addCall, jsonOption, quietOption } from './options.js';
import { type Output, shellWord } from './output.js';
import { reportTraining } from './training.js';
import { demandOptions } from './usage.js';

export function addTrain(program: Command, output: Output): void {
  const command = addCall(program, distillOptions, {
    name: 'train',
    description: 'distil a teacher into a small network on a folder of pictures',
    argument: '[dataset]',
  });
  command.addOption(jsonOption()).addOption(quietOption());
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    const teacher = given.teacher ?? given.teacherLogits;
    demandOptions(command, distillOptions, { ...given, teacher }, 'teacher');
    // Parsed, but checked only by the API.
    await trainAndReport({ dataset, ...given } as DistillOptions, output);
  });
}

/** Distils, and reports it. */
export async function trainAndReport(options: DistillOptions, output: Output): Promise<void> {
  const { student: file, epochs = defaultOf(distillOptions, 'epochs'), runDir } = options;
  const next = `distill predict <images> --student ${shellWord(file)}`;
  const describe = ({ architecture, parameters }: DistillResult) =>
    `${architecture} of ${count(parameters, 'parameter')}`;
  const context = { name: 'Student', file, epochs, next, describe, runDir };
  await reportTraining(distill(options), context, output);
}
