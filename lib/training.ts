import { randomInt } from 'node:crypto';
import type { z } from 'zod';
import { datasetFolders, refuseToOverwrite } from './checks.js';
import { scanDataset } from './dataset.js';
import { DistillError } from './errors.js';
import { loadAddon, type NativeEpoch, type NativeSession, native } from './native.js';
import type { training } from './options.js';
import { type Dataset, type PrepareOptions, prepare } from './prepare.js';
import type { Course, EpochReport, TrainingResult, TrainingRun } from './run.js';

/** The checked options of any training. */
export type TrainingSettings = z.output<z.ZodObject<typeof training>> & { epochs: number };

/** What a network sees of a picture. */
export interface Preprocessing {
  imageSize: number;
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

/** A training that can begin. */
export interface Lesson<Options, Result extends TrainingResult> {
  session: NativeSession;
  dataset: Dataset;
  pictures: Pick<PrepareOptions, 'imageSize' | 'storeSize' | 'views' | 'teacher'>;
  options: Options;
  run: TrainingRun<Result>;
  /** Is filled in as the training goes. */
  result: Result;
  /** Where the network is written. */
  file: string;
  train: (onEpoch: (epoch: NativeEpoch) => void) => ReturnType<NativeSession['train']>;
}

/** The course of one training, as far as all have it in common: check, prepare, train. */
export abstract class Training<Options extends TrainingSettings, Result extends TrainingResult>
  implements Course<Result>
{
  readonly #stopping = new AbortController();
  #session: NativeSession | undefined;

  /** Checks what the caller gave. */
  protected abstract check(): Options;
  /** Everything from the checked options to the result, but for an early end. */
  protected abstract work(options: Options, run: TrainingRun<Result>): Promise<Result>;

  stop(): void {
    this.#stopping.abort();
    this.#session?.stop();
  }

  progress() {
    return this.#session?.progress() ?? { epoch: 0, step: 0, steps: 0 };
  }

  async start(run: TrainingRun<Result>): Promise<Result> {
    const started = performance.now();
    const options = this.check();
    const { signal } = options;
    const abort = () => this.stop();
    signal?.addEventListener('abort', abort);
    try {
      if (signal?.aborted) abort();
      const result = await this.work(options, run);
      if (signal?.aborted) throw aborted(signal);
      result.seconds.total = (performance.now() - started) / 1000;
      return result;
    } catch (error) {
      throw signal?.aborted ? aborted(signal) : error;
    } finally {
      signal?.removeEventListener('abort', abort);
      await this.#session?.close();
    }
  }

  /**
   * Finds the pictures, once it is sure that the result can be written.
   *
   * @param output The option with the file to write, and the file.
   * @param source What it is made of, which must not be written over.
   */
  protected async find(
    options: Options,
    run: TrainingRun<Result>,
    output: { option: string; file: string },
    source: { model: 'teacher' | 'model'; file: string } | null,
  ): Promise<Dataset> {
    const folders = datasetFolders(options);
    await native(loadAddon().checkWritable(output.file));
    if (source) {
      await refuseToOverwrite(source.model, source.file, output.option, output.file);
    }
    const dataset = await scanDataset(folders);
    const { classes, train, val } = dataset;
    run.report('dataset', { classes, train: train.samples.length, val: val.samples.length });
    return dataset;
  }

  /** Opens the thread that works, and begins a result. */
  protected async open(
    options: Options,
    { imageSize, mean, std }: Preprocessing,
    { classes }: Dataset,
  ): Promise<{ session: NativeSession; begun: TrainingResult }> {
    const { threads = 0 } = options;
    const session = new (loadAddon().Session)({
      ...{ imageSize, mean, std, threads },
      ...{ device: options.device, precision: options.precision },
    });
    this.#session = session;
    // A stop that came before there was a session to tell.
    if (this.#stopping.signal.aborted) session.stop();
    const { device, precision } = await native(session.open());
    const begun: TrainingResult = {
      ...{ best: null, last: null, epochs: 0, reason: 'stopped', store: null },
      ...{ classes, images: { train: 0, val: 0 }, skipped: [], device, precision },
      seed: options.seed ?? randomInt(2 ** 48 - 1),
      seconds: { prepare: 0, train: 0, validate: 0, total: 0 },
      imagesPerSecond: { prepare: 0, train: 0, validate: 0 },
    };
    return { session, begun };
  }

  /** Fills the session's store and trains on it, unless the run is stopped before. */
  protected async learn(lesson: Lesson<Options, Result>): Promise<void> {
    try {
      await this.#prepare(lesson);
    } catch (error) {
      // Stopped while preparing: there was nothing to train on yet.
      if (error !== this.#stopping.signal.reason) throw error;
      return;
    }
    await this.#train(lesson);
  }

  async #prepare(lesson: Lesson<Options, Result>): Promise<void> {
    const { session, dataset, pictures, options, run, result } = lesson;
    const started = performance.now();
    const { onBadImage, cacheMemory, cacheDir } = options;
    const prepared = await prepare(session, dataset, {
      ...pictures,
      ...{ onBadImage, cacheMemory, cacheDir },
      onProgress: (progress) => run.report('prepare', progress),
      onSkip: (file, message) => {
        result.skipped.push(file);
        run.report('warning', { code: 'WARN_IMAGE_SKIPPED', message, path: file });
      },
      signal: this.#stopping.signal,
    });
    const { train, val } = prepared;
    const seconds = (performance.now() - started) / 1000;
    result.seconds.prepare = seconds;
    if (!prepared.reused) result.imagesPerSecond.prepare = (train + val) / seconds;
    result.images = { train, val };
    result.store = prepared.file;
  }

  async #train({ options, run, result, file, train }: Lesson<Options, Result>): Promise<void> {
    const { images, seconds } = result;
    const toReport = ({ stepLosses, phaseSeconds, ...epoch }: NativeEpoch): EpochReport => ({
      ...epoch,
      epochs: options.epochs,
      seconds: epoch.trainSeconds + epoch.valSeconds,
      imagesPerSecond: images.train / epoch.trainSeconds,
    });
    const trained = await native(
      train((epoch) => {
        const report = toReport(epoch);
        seconds.train += epoch.trainSeconds;
        seconds.validate += epoch.valSeconds;
        result.epochs = epoch.epoch;
        run.report('epoch', report);
        if (epoch.saved) run.report('best', { ...report, path: file });
      }),
    );
    result.reason = trained.ending;
    result.best = trained.best && toReport(trained.best);
    result.last = trained.last && toReport(trained.last);
    if (result.epochs > 0) {
      result.imagesPerSecond.train = (images.train * result.epochs) / seconds.train;
      result.imagesPerSecond.validate = (images.val * result.epochs) / seconds.validate;
    }
  }
}

function aborted(signal: AbortSignal): DistillError {
  const error = new DistillError('ERR_ABORTED', 'The run was aborted; what it had saved stays.', {
    cause: signal.reason,
  });
  // What fetch and node:fs call it, and callers look for.
  error.name = 'AbortError';
  return error;
}
