import type { EpochReport, InitialReport } from '../run/reports.js';
import { byScore, keptOf, scoreOf } from './kept.js';
import { type MeanStd, meanStdOf } from './mean-std.js';
import type { Trained } from './train.js';

/** One training among several. */
export interface Trial extends Omit<Trained, 'stopReason' | 'best' | 'initial' | 'moreAccurate'> {
  seed: number;
  /** Why it ended, as in a distillation's result; 'not-finite': its loss became infinite or NaN. */
  stopReason: 'completed' | 'early-stop' | 'patience' | 'not-finite';
  /** The epoch whose student `distill()` would have kept, by the same `monitor`; `null` where there is none. */
  best: EpochReport | null;
  /** The scores of the student that it started from, where one was given; it counts where no epoch was better. */
  initial: InitialReport | null;
  /** The most accurate epoch, where it is more accurate than the student that counts. */
  moreAccurate: EpochReport | null;
}

/** Means and standard deviations over seeds, on the validation pictures. */
export interface Scores {
  /** The share of pictures whose class is right, 0..1. */
  accuracy: MeanStd;
  /** Plain cross entropy. */
  loss: MeanStd;
  /** The share of pictures for which student and teacher predict the same class; in `compare()` alone. */
  agreement?: MeanStd;
}

/** The outcome of trials that differ in their seed alone. */
export interface SeedSummary {
  /** One for each seed. */
  trials: Trial[];
  /** Scores of the trials' best epochs; trials whose loss became infinite or NaN do not count. `null` where none counts. */
  best: Scores | null;
  /** Scores of the trials' last epochs. */
  last: Scores | null;
  /** The number of trials whose loss became infinite or NaN. */
  notFinite: number;
}

/** Summarizes trials that differ in their seed alone. */
export function summarizeSeeds(trials: Trial[]): SeedSummary {
  const finite = trials.filter(({ stopReason }) => stopReason !== 'not-finite');
  return {
    trials,
    best: scoresOf(finite.map(keptOf)),
    last: scoresOf(finite.map(({ last }) => last)),
    notFinite: trials.length - finite.length,
  };
}

function scoresOf(epochs: (EpochReport | InitialReport | null)[]): Scores | null {
  const reports = epochs.filter((report) => report !== null);
  if (reports.length === 0) return null;
  const agreements = reports.flatMap(({ valAgreement = [] }) => valAgreement);
  const scores: Scores = {
    accuracy: meanStdOf(reports.map(({ valAccuracy }) => valAccuracy)),
    loss: meanStdOf(reports.map(({ valLoss }) => valLoss)),
  };
  return agreements.length > 0 ? { ...scores, agreement: meanStdOf(agreements) } : scores;
}

/** Returns the trial whose best epoch is the best; those whose loss became infinite or NaN do not count. */
export function bestTrialOf(trials: readonly Trial[]): Trial | undefined {
  const scored = trials.flatMap((trial) => {
    const kept = keptOf(trial);
    return kept && trial.stopReason !== 'not-finite' ? { trial, ...scoreOf(kept) } : [];
  });
  return scored.sort(byScore)[0]?.trial;
}
