import type { Command } from 'commander';
import { type CompareArm, type CompareResult, compare } from '../compare.js';
import { LATENCY_RUNS, type ModelCost } from '../model/cost.js';
import { type CompareOptions, compareOptions } from '../options/compare.js';
import { keptOf } from '../training/kept.js';
import type { Scores } from '../training/seeds.js';
import { addCall, jsonOption, quietOption } from './options.js';
import type { Output } from './output.js';
import { follow, reportDataset } from './progress.js';
import { printEnd, progressOfTrials, showMeanStd, table } from './trials.js';
import { demandOptions } from './usage.js';

export function addCompare(program: Command, output: Output): void {
  const command = addCall(program, compareOptions, {
    name: 'compare',
    description: 'train students with the teacher and without it, and show whether it helped',
    argument: '[dataset]',
  });
  command.addOption(jsonOption()).addOption(quietOption());
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    const teacher = given.teacher ?? given.teacherLogits;
    demandOptions(command, compareOptions, { ...given, teacher }, 'teacher');
    // Parsed, but checked only by the API.
    await compareAndReport({ dataset, ...given } as CompareOptions, output);
  });
}

/** Compares, and reports it. */
export async function compareAndReport(options: CompareOptions, output: Output): Promise<void> {
  const comparing = compare(options);
  reportDataset(comparing, output);
  if (output.json) comparing.on('epoch', (report) => output.event('epoch', report));
  comparing.on('trial', (trial) => {
    if (output.json) output.event('trial', trial);
    const { withTeacher, seed, stopReason } = trial;
    const kept = keptOf(trial);
    const { trial: done, trials } = comparing.progress;
    const outcome =
      stopReason === 'not-finite' || !kept
        ? 'loss no longer finite'
        : `accuracy ${kept.valAccuracy.toFixed(4)}, loss ${kept.valLoss.toFixed(4)}`;
    const how = withTeacher ? 'with the teacher' : 'without it';
    output.note(`${done} of ${trials} students: ${how}, seed ${seed}: ${outcome}`);
  });
  await follow(comparing, progressOfTrials(comparing, options), output, (result) => {
    if (output.json) output.event('result', result);
    else print(result, options, output);
  });
}

/** Prints the result. */
function print(result: CompareResult, options: CompareOptions, output: Output): void {
  const { withTeacher, withoutTeacher, teacherScores, costs, gain, stopReason, machine } = result;
  const trainings = withTeacher.trials.length + withoutTeacher.trials.length;
  if (trainings === 0) {
    output.print('Stopped: before any student was done; nothing is written.');
    return;
  }
  if (stopReason === 'stopped') output.print(`Stopped: after ${trainings} students.`);
  const scores = (
    name: string,
    of: (arm: CompareArm) => Scores | null,
    which: 'accuracy' | 'loss' | 'agreement',
    teacher = '',
  ) => [
    name,
    showMeanStd(of(withTeacher)?.[which]),
    showMeanStd(of(withoutTeacher)?.[which]),
    teacher,
  ];
  const cost = (name: string, show: (cost: ModelCost) => string) => [
    name,
    { colSpan: 2, content: costs.student ? show(costs.student) : '' },
    costs.teacher ? show(costs.teacher) : '',
  ];
  const best = ({ best }: CompareArm) => best;
  const last = ({ last }: CompareArm) => last;
  output.printLines(
    table(
      ['', 'student with the teacher', 'student without it', 'the teacher'],
      [
        scores('accuracy', best, 'accuracy', teacherScores?.accuracy.toFixed(4)),
        scores('loss', best, 'loss', teacherScores?.loss.toFixed(4)),
        scores('agreement with the teacher', best, 'agreement'),
        scores('accuracy, last epoch', last, 'accuracy'),
        scores('loss, last epoch', last, 'loss'),
        scores('agreement, last epoch', last, 'agreement'),
        ...(costs.student || costs.teacher
          ? [
              cost('parameters', ({ parameters }) => parameters.toLocaleString('en')),
              cost('file, MB', ({ bytes }) => (bytes / 1e6).toFixed(1)),
              cost('one picture, ms', ({ latency }) => (latency * 1000).toFixed(2)),
            ]
          : []),
      ],
    ),
  );
  output.print(
    `of ${result.images.val} validation pictures, at the epoch that \`distill train\` would keep` +
      (result.seeds.length > 1 ? '; mean ± standard deviation over seeds' : ''),
  );
  if (costs.student) {
    output.print(
      `one picture: median of ${LATENCY_RUNS} predictions from pixels, on ${result.device} of this machine (${machine.cpu}, ${machine.cores} cores)`,
    );
  }
  const lost = withTeacher.notFinite + withoutTeacher.notFinite;
  if (lost > 0) output.print(`Not counted, as their loss became NaN or infinite: ${lost}`);
  if (gain) output.print(verdict(gain));
  printEnd(result, trainings, withTeacher.best ? options : { out: options.out }, output);
}

function verdict({ accuracy }: NonNullable<CompareResult['gain']>): string {
  const { mean, std } = accuracy;
  const points = (Math.abs(mean) * 100).toFixed(1);
  const over = std === null ? '' : ` (± ${(std * 100).toFixed(1)} over seeds)`;
  if (mean === 0) return `The teacher changed nothing in accuracy${over}.`;
  return `The teacher ${mean > 0 ? 'added' : 'cost'} ${points} points of accuracy${over}.`;
}
