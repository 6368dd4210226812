import { stat } from 'node:fs/promises';
import type { EpochReport, InitialReport, TrainingResult } from '../run/reports.js';
import type { TrainingRun } from '../run/run.js';
import { keptOf } from '../training/kept.js';
import { type Output, shellWord } from './output.js';
import { type BarProgress, duration, follow, reportDataset } from './progress.js';

/** The context in which a training's result is reported. */
export interface ReportContext<Result extends TrainingResult = TrainingResult> {
  /** The name of the file's contents, such as `Student`. */
  name: string;
  /** The file, as the user wrote it. */
  file: string;
  /** Epochs asked for. */
  epochs: number;
  /** The command to go on with. */
  next: string;
  /** The run's folder, where it has one. */
  runDir?: string | undefined;
  /** Describes the network, such as `resnet18 of 11,177,538 parameters`. */
  describe?: (result: Result) => string;
}

/** Follows a training to its end, and reports its epochs and its result. */
export async function reportTraining<Result extends TrainingResult>(
  run: TrainingRun<Result>,
  context: ReportContext<Result>,
  output: Output,
): Promise<void> {
  reportDataset(run, output);
  if (output.json) {
    run.on('initial', (report) => output.event('initial', report));
    run.on('epoch', (report) => output.event('epoch', report));
    run.on('best', (report) => output.event('best', report));
  } else {
    // On a terminal the bar has all of this.
    const barInstead = output.hasBar && process.stdout.isTTY;
    if (!output.quiet && !barInstead) {
      run.on('initial', (report) => output.print(initialLine(report)));
      run.on('epoch', (report) =>
        output.print(`${epochLine(report)}${report.saved ? '; saved' : ''}`),
      );
    }
  }
  await follow(run, progressOf(run, context), output, async (result) => {
    if (output.json) output.event('result', result);
    else for (const line of await summary(result, context)) output.print(line);
  });
}

/** Returns a function that shows the progress of a run of one training. */
export function progressOf<Result extends TrainingResult>(
  run: TrainingRun<Result>,
  { epochs }: { epochs: number },
): () => BarProgress | null {
  let best = '';
  const onBetter = ({ valAccuracy }: { valAccuracy: number }) => {
    best = `  best ${valAccuracy.toFixed(4)}`;
  };
  run.on('initial', onBetter).on('best', onBetter);
  return () => {
    const { epoch, step, steps } = run.progress;
    if (epoch === 0) return null;
    const part = steps === 0 ? 0 : step / steps;
    return { fraction: (epoch - 1 + part) / epochs, text: `epoch ${epoch}/${epochs}${best}` };
  };
}

/** Shows the line of the network that the training starts from, like an epoch's. */
function initialLine({ valLoss, valAccuracy, valSeconds }: InitialReport): string {
  return `at the start; validation loss:${valLoss.toFixed(6)}, accuracy:${valAccuracy.toFixed(6)}; time:${valSeconds.toFixed(2)}s`;
}

/** Shows an epoch as the reference script does. */
export function epochLine(report: EpochReport): string {
  const { epoch, epochs, trainLoss, trainAccuracy, valLoss, valAccuracy, seconds } = report;
  return (
    `epoch:${epoch}/${epochs}; train loss:${trainLoss.toFixed(6)}, accuracy:${trainAccuracy.toFixed(6)}; ` +
    `validation loss:${valLoss.toFixed(6)}, accuracy:${valAccuracy.toFixed(6)}; time:${seconds.toFixed(2)}s`
  );
}

/** Returns the last lines of a training. */
async function summary<Result extends TrainingResult>(
  result: Result,
  { name, file, epochs, next, describe, runDir }: ReportContext<Result>,
): Promise<string[]> {
  const { best, moreAccurate, seconds, device, precision, seed, skipped } = result;
  const times = (['prepare', 'train', 'validate'] as const).map(
    (phase) => `${phase} ${duration(seconds[phase])}`,
  );
  const lines = [reasonOf(result, epochs)];
  const kept = keptOf(result);
  if (kept) {
    const { size } = await stat(file);
    lines.push(`Best: ${best ? `epoch ${best.epoch}` : 'what it started from'}, ${scores(kept)}`);
    lines.push(keptLine(result));
    if (moreAccurate) {
      lines.push(
        `More accurate: epoch ${moreAccurate.epoch}, ${scores(moreAccurate)}; --monitor accuracy keeps it`,
      );
    }
    const facts = [describe?.(result), `${(size / 1e6).toFixed(1)} MB`].filter(Boolean);
    lines.push(`${name}: ${file}, ${facts.join(', ')}`);
  } else {
    lines.push(`${name}: none was saved; ${file} is untouched`);
  }
  if (skipped.length > 0) lines.push(`Skipped because they did not decode: ${skipped.length}`);
  // A run that was stopped while it prepared has trained for no time.
  if (result.images.train > 0) {
    lines.push(
      `Time: ${duration(seconds.total)} on ${device} in ${precision} (${times.join(', ')}), seed ${seed}`,
    );
  }
  const isOver = !['stopped', 'max-seconds'].includes(result.stopReason);
  if (runDir !== undefined && !isOver) lines.push(`Next: distill resume ${shellWord(runDir)}`);
  else if (kept) lines.push(`Next: ${next}`);
  return lines;
}

/** Says by which rule the network was kept, and what the others would have kept. */
function keptLine({ monitor, keptBy }: TrainingResult): string {
  const others = Object.entries(keptBy)
    .filter(([name, epoch]) => name !== monitor && epoch !== null)
    .map(([name, epoch]) => `${name} would keep ${epoch === 0 ? 'what it started from' : epoch}`);
  return [`Kept by ${monitor}`, ...others].join('; ');
}

function scores({ valAccuracy, valLoss }: InitialReport): string {
  return `validation accuracy ${valAccuracy.toFixed(4)}, loss ${valLoss.toFixed(4)}`;
}

/** Returns the reason why a training ended, as a sentence. */
function reasonOf({ stopReason, epochs, last, images }: TrainingResult, asked: number): string {
  if (stopReason === 'completed') return `Done: all ${asked} epochs were run.`;
  if (stopReason === 'stopped') {
    if (images.train === 0) return 'Stopped: while preparing.';
    return epochs === 0
      ? 'Stopped: in the first epoch.'
      : `Stopped: after ${epochs} of ${asked} epochs.`;
  }
  if (stopReason === 'patience') {
    return `Done: after ${epochs} of ${asked} epochs, as none was better for as long as the patience lasts.`;
  }
  if (stopReason === 'max-seconds')
    return `Stopped: the time was up after ${epochs} of ${asked} epochs.`;
  const cause =
    last && last.valLoss < 0.0001 ? 'loss fell below 0.0001' : 'accuracy rose above 0.9999';
  return `Done: after ${epochs} of ${asked} epochs the validation ${cause}.`;
}
