import { randomInt } from 'node:crypto';
import { native } from '../addon.js';
import type { NativeEpoch, NativeTraining, NativeTrainResult } from '../native.js';
import type { TrainingEvents } from '../run/events.js';
import type { EpochReport, InitialReport, TrainingResult } from '../run/reports.js';
import type { TaskContext } from '../run/task.js';
import type { KeptTraining } from '../run-folder/folder.js';
import { LineLog } from '../run-folder/line-log.js';
import { keptOf, moreAccurateThan } from './kept.js';
import type { Session } from './session.js';

// One training on a full store, whichever network it trains.

/** The outcome of one training. */
export interface Trained
  extends Pick<
    TrainingResult,
    'stopReason' | 'best' | 'initial' | 'moreAccurate' | 'keptBy' | 'last' | 'epochs'
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
  /** Called first, with the log that the training's reports go into: those before an interruption are there already. */
  began?(log: TrainingLog): void;
  /** Called before the first epoch with the scores of the network that it starts from, where that is trained already. */
  initial?(report: InitialReport): void;
  epoch(report: EpochReport): void;
}

/** The options of a training that say where it is kept, and when it ends. */
type EndingOptions = {
  patience?: number | undefined;
  minDelta: number;
  maxSeconds?: number | undefined;
};

/**
 * Returns the parts of a training's configuration that say where it is kept, and when it ends.
 *
 * @param given.file The file of the best network; `null` for none.
 */
export function endingOf(
  { patience, minDelta, maxSeconds }: EndingOptions,
  { file, kept: { elapsed, place } }: { file: string | null; kept: KeptTraining },
): Pick<NativeTraining, 'patience' | 'minDelta' | 'maxSeconds' | 'elapsed' | 'files' | 'keep'> {
  return {
    patience: patience ?? null,
    minDelta,
    maxSeconds: maxSeconds ?? null,
    elapsed,
    files: [file, place?.best].filter((one) => typeof one === 'string'),
    keep: place?.keep ?? null,
  };
}

/** The same of a training that nobody keeps: it runs to its end. */
export const unkept = endingOf({ minDelta: 0 }, { file: null, kept: { elapsed: 0, place: null } });

/** Starts a training of the addon, which calls `onEpoch` after each epoch. */
export type StartTraining = (onEpoch: (epoch: NativeEpoch) => void) => Promise<NativeTrainResult>;

/**
 * Runs one training on the session's store; without a full store, it counts as stopped. Of a training that goes on, epochs
 * before the interruption count, and are not reported again.
 *
 * @param given.epochs The number of epochs asked for.
 * @param given.images The number of training pictures that an epoch shows.
 */
export async function runTraining(
  { preparation }: Session,
  { epochs, images, kept: { place } }: { epochs: number; images: number; kept: KeptTraining },
  start: StartTraining,
  listener: TrainingListener,
): Promise<Trained> {
  if (preparation === null) {
    return trainedOf('stopped', NOTHING, { initial: null, epochs: [] });
  }
  const course = new Course(epochs, images);
  for (const epoch of place?.before?.epochs ?? []) course.add(epoch);
  listener.began?.(course);
  const log = place && (await LineLog.begin(place.epochsFile, course.reports.map(lineOf)));
  const onEpoch = (epoch: NativeEpoch) => {
    const report = course.add(epoch);
    log?.append(lineOf(report));
    if ('epoch' in report) listener.epoch(report);
    else listener.initial?.(report);
  };
  // Started within the chain: the log is closed whatever start() does.
  const { stopReason, best, last, keptBy } = await Promise.resolve()
    .then(() => native(start(onEpoch)))
    .finally(() => log?.finish());
  return trainedOf(
    stopReason,
    { best: best && course.reportOf(best), last: last && course.reportOf(last), keptBy },
    course,
  );
}

/** What the monitors would keep of no epochs. */
export const NOBODY = {
  'accuracy-and-loss': null,
  accuracy: null,
  loss: null,
  agreement: null,
} as const;

/** What came of a training without an epoch. */
const NOTHING = { best: null, last: null, keptBy: NOBODY } as const;

/** The epochs of a training, as they end. */
class Course implements TrainingLog {
  initial: InitialReport | null = null;
  readonly epochs: EpochReport[] = [];
  readonly #asked: number;
  readonly #images: number;

  /**
   * @param asked The number of epochs asked for.
   * @param images The number of training pictures that an epoch shows.
   */
  constructor(asked: number, images: number) {
    this.#asked = asked;
    this.#images = images;
  }

  reportOf(epoch: NativeEpoch): EpochReport {
    return epochReport(epoch, this.#asked, this.#images);
  }

  add(epoch: NativeEpoch): EpochReport | InitialReport {
    if (epoch.epoch === 0) {
      this.initial = initialReport(epoch);
      return this.initial;
    }
    const report = this.reportOf(epoch);
    this.epochs.push(report);
    return report;
  }

  get reports(): (EpochReport | InitialReport)[] {
    return this.initial ? [this.initial, ...this.epochs] : this.epochs;
  }
}

/** Returns the line of an epoch in a run's folder; the network that a training starts from is epoch 0. */
function lineOf(report: EpochReport | InitialReport): object {
  return 'epoch' in report ? report : { epoch: 0, ...report };
}

/** Puts the outcome of a training together. */
export function trainedOf<StopReason extends string>(
  stopReason: StopReason,
  { best, last, keptBy }: Pick<Trained, 'best' | 'last' | 'keptBy'>,
  { initial, epochs }: TrainingLog,
): Omit<Trained, 'stopReason'> & { stopReason: StopReason } {
  const sum = (seconds: readonly number[]) => seconds.reduce((total, each) => total + each, 0);
  return {
    stopReason,
    best,
    initial,
    moreAccurate: moreAccurateThan(keptOf({ best, initial }), epochs),
    keptBy,
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
 * @param given.total The run's seconds so far.
 */
export function trainingResult(
  { setup, preparation }: Session,
  trained: Trained,
  { seed, monitor, total }: Pick<TrainingResult, 'seed' | 'monitor'> & { total: number },
): TrainingResult {
  const { images } = setup;
  const { seconds, epochs, initial } = trained;
  const rate = (pictures: number, passes: number, duration: number) =>
    passes > 0 ? (pictures * passes) / duration : 0;
  return {
    ...trained,
    ...setup,
    monitor,
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
