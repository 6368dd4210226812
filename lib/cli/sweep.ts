import type { Command } from 'commander';
import { type SweepOptions, sweepOptions } from '../options/sweep.js';
import { ranked, type SweepPoint, type SweepResult, sweep } from '../sweep.js';
import { addCall, jsonOption, quietOption } from './options.js';
import type { Output } from './output.js';
import { follow, reportDataset } from './progress.js';
import { printEnd, progressOfTrials, showMeanStd, table } from './trials.js';
import { demandOptions } from './usage.js';

export function addSweep(program: Command, output: Output): void {
  const command = addCall(program, sweepOptions, {
    name: 'sweep',
    description: 'train students at several temperatures, alphas and learning rates, and rank them',
    argument: '[dataset]',
  });
  command.addOption(jsonOption()).addOption(quietOption());
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    const teacher = given.teacher ?? given.teacherLogits;
    demandOptions(command, sweepOptions, { ...given, teacher }, 'teacher');
    // Parsed, but checked only by the API.
    await sweepAndReport({ dataset, ...given } as SweepOptions, output);
  });
}

/** Sweeps, and reports it. */
export async function sweepAndReport(options: SweepOptions, output: Output): Promise<void> {
  const sweeping = sweep(options);
  reportDataset(sweeping, output);
  sweeping.on('point', (point) => {
    if (output.json) output.event('point', point);
    const { trial, trials } = sweeping.progress;
    output.note(`${trial} of ${trials} students: ${nameOf(point)}: ${outcomeOf(point)}`);
  });
  if (output.json) sweeping.on('epoch', (report) => output.event('epoch', report));
  await follow(sweeping, progressOfTrials(sweeping, options), output, (result) => {
    if (output.json) output.event('result', result);
    else print(result, options, output);
  });
}

/** Prints the result. */
function print(result: SweepResult, options: SweepOptions, output: Output): void {
  const { points, best, stopReason } = result;
  if (points.length === 0) {
    output.print('Stopped: before any point was done; nothing is written.');
    return;
  }
  if (stopReason === 'stopped') output.print(`Stopped: after ${points.length} points.`);
  output.printLines(
    table(
      ['temperature', 'alpha', 'lr', 'accuracy', 'loss', 'last accuracy', 'last loss'],
      ranked(points).map((point) => [
        ...[point.temperature, point.alpha, point.lr].map(String),
        ...(point.notFinite > 0
          ? [{ colSpan: 4, content: outcomeOf(point) }]
          : [point.best, point.last].flatMap((scores) => [
              showMeanStd(scores?.accuracy),
              showMeanStd(scores?.loss),
            ])),
      ]),
    ),
  );
  output.print(
    'accuracy and loss: of the validation pictures, at the epoch that `distill train` would keep' +
      (result.seeds.length > 1 ? '; mean ± standard deviation over seeds' : ''),
  );
  output.print(
    `Best: ${best ? nameOf(best) : 'none, as the loss of every point became NaN or infinite'}`,
  );
  const trainings = points.reduce((sum, { trials }) => sum + trials.length, 0);
  printEnd(result, trainings, best ? options : { out: options.out }, output);
}

function nameOf({ temperature, alpha, lr }: SweepPoint): string {
  return `temperature ${temperature}, alpha ${alpha}, lr ${lr}`;
}

function outcomeOf({ best, notFinite, trials }: SweepPoint): string {
  if (notFinite === 0)
    return `accuracy ${showMeanStd(best?.accuracy)}, loss ${showMeanStd(best?.loss)}`;
  const epoch = Math.min(
    ...trials.flatMap(({ stopReason, epochs }) => (stopReason === 'not-finite' ? epochs + 1 : [])),
  );
  const seeds = trials.length > 1 ? ` with ${notFinite} of ${trials.length} seeds` : '';
  return `loss no longer finite in epoch ${epoch}${seeds}`;
}
