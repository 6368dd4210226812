import type { WarningCode } from '../warnings.js';
import type {
  EpochReport,
  InitialReport,
  Reporter,
  TrainingEvents,
  TrainingResult,
} from './run.js';

// Which of a training's networks is in its file, and which are not.

/** What is better comes first: the more accurate, and of equals the one with the lesser loss. */
export function byMerit(
  a: { accuracy: number; loss: number },
  b: { accuracy: number; loss: number },
): number {
  return a.accuracy === b.accuracy ? a.loss - b.loss : b.accuracy - a.accuracy;
}

export function meritOf({ valAccuracy, valLoss }: Pick<EpochReport, 'valAccuracy' | 'valLoss'>) {
  return { accuracy: valAccuracy, loss: valLoss };
}

/** What a training's file holds: its best epoch's network, or else what it started from. */
export function keptOf<Best>({
  best,
  initial,
}: {
  best: Best | null;
  initial: InitialReport | null;
}): Best | InitialReport | null {
  return best ?? initial;
}

/** The most accurate epoch, where it is more accurate than what is kept. */
export function moreAccurate(
  reports: readonly EpochReport[],
  kept: Pick<EpochReport, 'valAccuracy'> | null,
): EpochReport | null {
  const [first] = reports.toSorted((a, b) => byMerit(meritOf(a), meritOf(b)));
  return kept && first && first.valAccuracy > kept.valAccuracy ? first : null;
}

/** What its owner should know of the network that a training leaves in its file. */
export function tellKept(
  run: Reporter<TrainingEvents>,
  { best, initial, moreAccurate, epochs }: TrainingResult,
  { keep, file }: { keep: string; file: string },
): void {
  const warn = (code: WarningCode, message: string) =>
    run.report('warning', { code, message, path: file });
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
  if (keep === 'both' && moreAccurate && kept) {
    const holds = best ? `epoch ${best.epoch}` : 'what it started from';
    const message = `Epoch ${moreAccurate.epoch} was more accurate (${moreAccurate.valAccuracy.toFixed(4)}) than ${holds} (${kept.valAccuracy.toFixed(4)}), which is kept as its loss is less; to keep the most accurate, set \`keep\` to 'accuracy'.`;
    warn('WARN_BETTER_EPOCH', message);
  }
}
