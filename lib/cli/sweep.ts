import type { Command } from 'commander';
import type { SweepOptions } from '../options/sweep.js';
import { sweep } from '../sweep.js';
import { ranked, type SweepPoint, type SweepResult } from '../training/sweeping.js';
import {
  DATASET,
  demand,
  learningOptions,
  numbers,
  option,
  sourceOptions,
  studentOptions,
} from './arguments.js';
import type { Output } from './output.js';
import { ending, seriesOptions, spread, standOfSeries, table } from './series.js';
import { follow, tellDataset } from './training.js';

export function addSweep(program: Command, output: Output): void {
  const command = program
    .command('sweep')
    .description('train students at several temperatures, alphas and learning rates, and rank them')
    .argument('[dataset]', DATASET);
  const grid = (flags: string, description: string, shown: string) =>
    option(flags, description, { parse: numbers, shown });
  const made = [
    grid('--temperature <list>', "softens both models' answers, such as 2,4,8", '2'),
    grid('--alpha <list>', "weight of the teacher's term, such as 0.5,0.7,0.9", '0.7'),
    grid('--lr <list>', "Adam's learning rate, such as 1e-4,1e-3", '0.0001'),
    ...seriesOptions('1', "where the best point's best student is kept"),
    ...sourceOptions(),
    ...learningOptions('-').filter((one) => ['epochs', 'dropRate'].includes(one.attributeName())),
    ...studentOptions(),
  ];
  for (const one of made) command.addOption(one);
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    demand('sweep', { '--teacher': given.teacher ?? given.teacherLogits });
    // Parsed, but checked only by the API.
    await run({ dataset, ...given } as SweepOptions, output);
  });
}

async function run(options: SweepOptions, output: Output): Promise<void> {
  const sweeping = sweep(options);
  tellDataset(sweeping, output);
  sweeping.on('point', (point) => {
    if (output.json) output.event('point', point);
    const { trial, trials } = sweeping.progress;
    output.note(`${trial} of ${trials} students: ${nameOf(point)}: ${outcomeOf(point)}`);
  });
  if (output.json) sweeping.on('epoch', (report) => output.event('epoch', report));
  await follow(sweeping, standOfSeries(sweeping, options), output, (result) => {
    if (output.json) output.event('result', result);
    else tell(result, options, output);
  });
}

function tell(result: SweepResult, options: SweepOptions, output: Output): void {
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
              spread(scores?.accuracy),
              spread(scores?.loss),
            ])),
      ]),
    ),
  );
  output.print(
    'accuracy and loss: of the validation pictures, at the epoch that `distill train` would keep' +
      (result.seeds.length > 1 ? '; mean ± standard deviation over seeds' : ''),
  );
  output.print(`Best: ${best ? nameOf(best) : 'none, as no point stayed finite'}`);
  const trainings = points.reduce((sum, { trials }) => sum + trials.length, 0);
  ending(result, trainings, best ? options : { out: options.out }, output);
}

function nameOf({ temperature, alpha, lr }: SweepPoint): string {
  return `temperature ${temperature}, alpha ${alpha}, lr ${lr}`;
}

function outcomeOf({ best, notFinite, trials }: SweepPoint): string {
  if (notFinite === 0) return `accuracy ${spread(best?.accuracy)}, loss ${spread(best?.loss)}`;
  const epoch = Math.min(
    ...trials.flatMap(({ stopReason, epochs }) => (stopReason === 'not-finite' ? epochs + 1 : [])),
  );
  const seeds = trials.length > 1 ? ` with ${notFinite} of ${trials.length} seeds` : '';
  return `loss no longer finite in epoch ${epoch}${seeds}`;
}
