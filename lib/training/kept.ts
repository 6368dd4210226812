import type { CommonEvents } from '../run/events.js';
import type { EpochReport, InitialReport, TrainingResult } from '../run/reports.js';
import type { TaskContext } from '../run/task.js';
import type { WarningCode } from '../warnings.js';

// The network that a training leaves in its file, and better ones that it does not.

/** Orders scores from the best: the more accurate first, and of equals the one with the lesser loss. */
export function byScore(
  a: { accuracy: number; loss: number },
  b: { accuracy: number; loss: number },
): number {
  return a.accuracy === b.accuracy ? a.loss - b.loss : b.accuracy - a.accuracy;
}

export function scoreOf({ valAccuracy, valLoss }: Pick<EpochReport, 'valAccuracy' | 'valLoss'>): {
  accuracy: number;
  loss: number;
} {
  return { accuracy: valAccuracy, loss: valLoss };
}

/** Returns the scores of the network in a training's file: its best epoch's, or else those that it started from. */
export function keptOf<Best>({
  best,
  initial,
}: {
  best: Best | null;
  initial: InitialReport | null;
}): Best | InitialReport | null {
  return best ?? initial;
}

/** Returns the most accurate epoch, where it is more accurate than the network that is kept. */
export function moreAccurateThan(
  kept: Pick<EpochReport, 'valAccuracy'> | null,
  reports: readonly EpochReport[],
): EpochReport | null {
  const [first] = reports.toSorted((a, b) => byScore(scoreOf(a), scoreOf(b)));
  return kept && first && first.valAccuracy > kept.valAccuracy ? first : null;
}

/** Warns where the network in a training's file is not better than before, or not the most accurate. */
export function warnOfKept(
  { best, initial, moreAccurate, epochs }: TrainingResult,
  { monitor, file }: { monitor: string; file: string },
  task: TaskContext<CommonEvents>,
): void {
  const warn = (code: WarningCode, message: string) =>
    task.report('warning', { code, message, path: file });
  if (best && !(best.valAccuracy > 0 && best.valLoss < 100)) {
    const message = `No epoch did better than an untrained student; that of epoch ${best.epoch} is in the file.`;
    warn('WARN_NO_IMPROVEMENT', message);
  }
  if (!best && initial && epochs > 0) {
    const scores = `accuracy ${initial.valAccuracy.toFixed(4)}, loss ${initial.valLoss.toFixed(4)}`;
    const message = `No epoch was better than what the training started from (${scores}), which is what the file holds.`;
    warn('WARN_NO_IMPROVEMENT', message);
  }
  const kept = keptOf({ best, initial });
  if (monitor === 'accuracy-and-loss' && moreAccurate && kept) {
    const holds = best ? `epoch ${best.epoch}` : 'what it started from';
    const message = `Epoch ${moreAccurate.epoch} was more accurate (${moreAccurate.valAccuracy.toFixed(4)}) than ${holds} (${kept.valAccuracy.toFixed(4)}), which is kept as its loss is less; to keep the most accurate, set \`monitor\` to 'accuracy'.`;
    warn('WARN_BETTER_EPOCH', message);
  }
}
