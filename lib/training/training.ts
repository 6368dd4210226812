import { randomInt } from 'node:crypto';
import type { z } from 'zod';
import { datasetFolders } from '../checks.js';
import { scanDataset } from '../data/dataset.js';
import { type PrepareOptions, prepare } from '../data/prepare.js';
import type { Dataset } from '../data/store.js';
import { abortable } from '../errors.js';
import { checkOutput, type OutputFile } from '../model/output.js';
import type { Preprocessing } from '../model/preprocessing.js';
import {
  loadAddon,
  type NativeEpoch,
  type NativeSession,
  type NativeTrainResult,
  native,
} from '../native.js';
import type { training } from '../options/fields.js';
import { filesIgnored, noGpu } from '../warnings.js';
import { keptOf, moreAccurate } from './kept.js';
import type {
  CommonEvents,
  Course,
  EpochReport,
  InitialReport,
  Reporter,
  RunSetup,
  TrainingEvents,
  TrainingProgress,
  TrainingResult,
} from './run.js';

/** The checked options of any training. */
export type TrainingSettings = z.output<z.ZodObject<typeof training>> & { epochs: number };

/** What trainings stand on: a session and its store. */
export interface Ground {
  session: NativeSession;
  dataset: Dataset;
  found: RunSetup;
  /** Whether the store is full; not where the run was stopped before. */
  isFull: boolean;
  /** What filling it took, and pictures a second; that is 0 where a kept store was taken over. */
  seconds: number;
  imagesPerSecond: number;
}

/** What one training came to. */
export interface Trained
  extends Pick<
    TrainingResult,
    'stopReason' | 'best' | 'last' | 'epochs' | 'initial' | 'moreAccurate'
  > {
  seconds: { train: number; validate: number };
}

/** Who is told of a training as it goes. */
export interface Listener {
  /** What it starts from, where that is judged. */
  initial?(report: InitialReport): void;
  epoch(report: EpochReport): void;
}

/** The course of trainings, as far as all have it in common: check, prepare, train. */
export abstract class Training<
  Options extends Omit<TrainingSettings, 'seed'>,
  Result,
  Events extends CommonEvents,
  Progress extends TrainingProgress,
> implements Course<Result, Events, Progress>
{
  readonly #stopping = new AbortController();
  #session: NativeSession | undefined;
  #started = 0;

  /** Checks what the caller gave. */
  protected abstract check(): Options;
  /** Everything from the checked options to the result, but for an early end. */
  protected abstract work(options: Options, run: Reporter<Events>): Promise<Result>;
  abstract progress(): Progress;

  stop(): void {
    this.#stopping.abort();
    this.#session?.stop();
  }

  async start(run: Reporter<Events>): Promise<Result> {
    this.#started = performance.now();
    const options = this.check();
    const { signal } = options;
    const abort = () => this.stop();
    signal?.addEventListener('abort', abort);
    try {
      return await abortable(signal, () => this.work(options, run));
    } finally {
      signal?.removeEventListener('abort', abort);
      await this.#session?.close();
    }
  }

  /** Seconds since the start. */
  protected get elapsed(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Where the session's training stands. */
  protected get standing(): TrainingProgress {
    return this.#session?.progress() ?? { epoch: 0, step: 0, steps: 0 };
  }

  /**
   * Finds the pictures, once it is sure that what is to be written can be.
   *
   * @param outputs The files to be written.
   * @param source What they are made of, which must not be written over.
   */
  protected async find(
    options: Options,
    run: Reporter<CommonEvents>,
    outputs: readonly OutputFile[],
    source: { model: 'teacher' | 'model'; file: string } | null,
  ): Promise<Dataset> {
    const folders = datasetFolders(options);
    for (const output of outputs) await checkOutput(output, source);
    const dataset = await scanDataset(folders);
    const { classes, train, val } = dataset;
    run.report('dataset', { classes, train: train.samples.length, val: val.samples.length });
    const ignored = filesIgnored([...train.others, ...val.others]);
    if (ignored) run.report('warning', ignored);
    return dataset;
  }

  /** Opens the thread that works. */
  protected async open(
    options: Options,
    { imageSize, mean, std }: Preprocessing,
    dataset: Dataset,
    run: Reporter<CommonEvents>,
  ): Promise<Ground> {
    const { threads = 0 } = options;
    const session = new (loadAddon().Session)({
      ...{ imageSize, mean, std, threads },
      ...{ device: options.device, precision: options.precision },
    });
    this.#session = session;
    // A stop that came before there was a session to tell.
    if (this.#stopping.signal.aborted) session.stop();
    const { device, precision, warning } = await native(session.open());
    if (warning) run.report('warning', noGpu(warning));
    const { classes } = dataset;
    return {
      ...{ session, dataset, isFull: false, seconds: 0, imagesPerSecond: 0 },
      found: {
        ...{ store: null, classes, images: { train: 0, val: 0 }, skipped: [] },
        ...{ device, precision },
      },
    };
  }

  /** Fills the session's store, unless the run is stopped before. */
  protected async fill(
    ground: Ground,
    pictures: Pick<PrepareOptions, 'preprocessing' | 'storeSize' | 'views' | 'teacher'>,
    { onBadImage, maxPixels, cacheMemory, cacheDir }: Options,
    run: Reporter<CommonEvents>,
  ): Promise<void> {
    const started = performance.now();
    const { session, dataset, found } = ground;
    const { signal } = this.#stopping;
    try {
      const prepared = await prepare(session, dataset, {
        ...pictures,
        ...{ onBadImage, maxPixels, cacheMemory, cacheDir, signal },
        onProgress: (progress) => run.report('prepare', progress),
        onSkip: (file, message) => {
          found.skipped.push(file);
          run.report('warning', { code: 'WARN_IMAGE_SKIPPED', message, path: file });
        },
      });
      const { train, val } = prepared;
      ground.seconds = (performance.now() - started) / 1000;
      if (!prepared.reused) ground.imagesPerSecond = (train + val) / ground.seconds;
      found.images = { train, val };
      found.store = prepared.file;
      ground.isFull = true;
    } catch (error) {
      // Stopped while preparing: there is nothing to train on.
      if (error !== signal.reason) throw error;
    }
  }

  /** One training on the store, if that is full. */
  protected async train(
    { found, isFull }: Ground,
    { epochs: asked }: Options,
    train: (onEpoch: (epoch: NativeEpoch) => void) => Promise<NativeTrainResult>,
    listener: Listener,
  ): Promise<Trained> {
    const seconds = { train: 0, validate: 0 };
    const none = { best: null, last: null, initial: null, moreAccurate: null };
    if (!isFull) return { stopReason: 'stopped', ...none, epochs: 0, seconds };
    const toInitial = ({ valLoss, valAccuracy, valSeconds, valAgreement }: NativeEpoch) => ({
      valLoss,
      valAccuracy,
      valSeconds,
      ...(valAgreement !== null && { valAgreement }),
    });
    const toReport = (told: NativeEpoch): EpochReport => {
      const { stepLosses, phaseSeconds, valAgreement, ...epoch } = told;
      return {
        ...epoch,
        ...(valAgreement !== null && { valAgreement }),
        epochs: asked,
        seconds: epoch.trainSeconds + epoch.valSeconds,
        imagesPerSecond: found.images.train / epoch.trainSeconds,
      };
    };
    let initial: InitialReport | null = null;
    const reports: EpochReport[] = [];
    const result = await native(
      train((epoch) => {
        seconds.train += epoch.trainSeconds;
        seconds.validate += epoch.valSeconds;
        if (epoch.epoch === 0) {
          initial = toInitial(epoch);
          listener.initial?.(initial);
        } else {
          const report = toReport(epoch);
          reports.push(report);
          listener.epoch(report);
        }
      }),
    );
    const best = result.best && toReport(result.best);
    return {
      stopReason: result.stopReason,
      best,
      initial,
      moreAccurate: moreAccurate(reports, keptOf({ best, initial })),
      last: result.last && toReport(result.last),
      epochs: reports.length,
      seconds,
    };
  }

  /** What a run of one training came to. */
  protected resultOf(
    { found, seconds, imagesPerSecond }: Ground,
    { seconds: { train, validate }, ...trained }: Trained,
    seed: number,
  ): TrainingResult {
    const { images } = found;
    const { epochs, initial } = trained;
    const rate = (pictures: number, passes: number, taken: number) =>
      passes > 0 ? (pictures * passes) / taken : 0;
    return {
      ...{ ...trained, ...found, seed },
      seconds: { prepare: seconds, train, validate, total: this.elapsed },
      imagesPerSecond: {
        prepare: imagesPerSecond,
        train: rate(images.train, epochs, train),
        validate: rate(images.val, epochs + (initial ? 1 : 0), validate),
      },
    };
  }
}

/** Tells of a run's one training, whose best network is in the file. */
export function listenerOf(run: Reporter<TrainingEvents>, file: string): Listener {
  return {
    initial: (report) => run.report('initial', report),
    epoch(report) {
      run.report('epoch', report);
      if (report.saved) run.report('best', { ...report, path: file });
    },
  };
}

/** The seed of a run that was given none. */
export const drawSeed = (): number => randomInt(2 ** 48 - 1);
