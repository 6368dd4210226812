import { randomInt } from 'node:crypto';
import { native } from '../addon.js';
import type { NativeEpoch, NativeTrainResult } from '../native.js';
import type { TrainingEvents } from '../run/events.js';
import type { EpochReport, InitialReport, TrainingResult } from '../run/reports.js';
import type { TaskContext } from '../run/task.js';
import { keptOf, moreAccurateThan } from './kept.js';
import type { Session } from './session.js';

// One training on a full store, whichever network it trains.

/** The outcome of one training. */
export interface Trained
  extends Pick<
    TrainingResult,
    'stopReason' | 'best' | 'initial' | 'moreAccurate' | 'last' | 'epochs'
  > {
  seconds: { train: number; validate: number };
}

/** The reports of one training so far, in order. */
export interface TrainingLog {
  initial: InitialReport | null;
  epochs: readonly EpochReport[];
}

/** Follows a training as it goes. */
export interface TrainingListener {
  /** Called before the first epoch with the scores of the network that it starts from, where that is trained already. */
  initial?(report: InitialReport): void;
  epoch(report: EpochReport): void;
}

/** Starts a training of the addon, which calls `onEpoch` after each epoch. */
export type StartTraining = (onEpoch: (epoch: NativeEpoch) => void) => Promise<NativeTrainResult>;

/**
 * Runs one training on the session's store; without a full store, it counts as stopped.
 *
 * @param given.epochs The number of epochs asked for.
 * @param given.images The number of training pictures that an epoch shows.
 */
export async function runTraining(
  { preparation }: Session,
  { epochs, images }: { epochs: number; images: number },
  start: StartTraining,
  listener: TrainingListener,
): Promise<Trained> {
  if (preparation === null) {
    return trainedOf('stopped', { best: null, last: null }, { initial: null, epochs: [] });
  }
  let initial: InitialReport | null = null;
  const reports: EpochReport[] = [];
  const reportOf = (epoch: NativeEpoch) => epochReport(epoch, epochs, images);
  const { stopReason, best, last } = await native(
    start((epoch) => {
      if (epoch.epoch === 0) {
        initial = initialReport(epoch);
        listener.initial?.(initial);
      } else {
        const report = reportOf(epoch);
        reports.push(report);
        listener.epoch(report);
      }
    }),
  );
  return trainedOf(
    stopReason,
    { best: best && reportOf(best), last: last && reportOf(last) },
    { initial, epochs: reports },
  );
}

/** Puts the outcome of a training together. */
export function trainedOf<StopReason extends string>(
  stopReason: StopReason,
  { best, last }: Pick<Trained, 'best' | 'last'>,
  { initial, epochs }: TrainingLog,
): Omit<Trained, 'stopReason'> & { stopReason: StopReason } {
  const sum = (seconds: readonly number[]) => seconds.reduce((total, each) => total + each, 0);
  return {
    stopReason,
    best,
    initial,
    moreAccurate: moreAccurateThan(keptOf({ best, initial }), epochs),
    last,
    epochs: epochs.length,
    seconds: {
      train: sum(epochs.map(({ trainSeconds }) => trainSeconds)),
      validate: sum([initial?.valSeconds ?? 0, ...epochs.map(({ valSeconds }) => valSeconds)]),
    },
  };
}

function initialReport(epoch: NativeEpoch): InitialReport {
  const { valLoss, valAccuracy, valSeconds, valAgreement } = epoch;
  const report: InitialReport = { valLoss, valAccuracy, valSeconds };
  return valAgreement === null ? report : { ...report, valAgreement };
}

/**
 * @param epochs The number of epochs asked for.
 * @param images The number of training pictures.
 */
function epochReport(epoch: NativeEpoch, epochs: number, images: number): EpochReport {
  const { trainSeconds, valSeconds, valAgreement } = epoch;
  return {
    epoch: epoch.epoch,
    trainLoss: epoch.trainLoss,
    trainAccuracy: epoch.trainAccuracy,
    valLoss: epoch.valLoss,
    valAccuracy: epoch.valAccuracy,
    trainSeconds,
    valSeconds,
    saved: epoch.saved,
    ...(valAgreement === null ? {} : { valAgreement }),
    epochs,
    seconds: trainSeconds + valSeconds,
    imagesPerSecond: images / trainSeconds,
  };
}

/**
 * Puts the result of a run of one training together.
 *
 * @param total The run's seconds so far.
 */
export function trainingResult(
  { setup, preparation }: Session,
  trained: Trained,
  seed: number,
  total: number,
): TrainingResult {
  const { images } = setup;
  const { seconds, epochs, initial } = trained;
  const rate = (pictures: number, passes: number, duration: number) =>
    passes > 0 ? (pictures * passes) / duration : 0;
  return {
    ...trained,
    ...setup,
    seed,
    seconds: {
      prepare: preparation?.seconds ?? 0,
      train: seconds.train,
      validate: seconds.validate,
      total,
    },
    imagesPerSecond: {
      prepare: preparation?.imagesPerSecond ?? 0,
      train: rate(images.train, epochs, seconds.train),
      validate: rate(images.val, epochs + (initial ? 1 : 0), seconds.validate),
    },
  };
}

/** Makes the listener of a run's one training, whose best network is in `file`. */
export function reportTo(task: TaskContext<TrainingEvents>, file: string): TrainingListener {
  return {
    initial: (report) => task.report('initial', report),
    epoch(report) {
      task.report('epoch', report);
      if (report.saved) task.report('best', { ...report, path: file });
    },
  };
}

/** Draws the seed of a run that was given none. */
export const drawSeed = (): number => randomInt(2 ** 48 - 1);
