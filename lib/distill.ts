import { randomInt } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { z } from 'zod';
import { scanDataset } from './dataset.js';
import { DistillError } from './errors.js';
import { inspect } from './inspect.js';
import { loadAddon, type NativeEpoch, type NativeSession, native } from './native.js';
import { checkOptions, execution, fields, preprocessing } from './options.js';
import { prepare, sha256 } from './prepare.js';
import { type Course, type DistillResult, DistillRun, type EpochReport } from './run.js';

/** Options of {@link distill}. Paths are relative to the current folder. */
export interface DistillOptions {
  /** The teacher: a `.pth` of a torchvision DenseNet 121, 161, 169 or 201. */
  teacher: string;
  /** Where the student's `.pth` is written. A file that is there is replaced by the first save. */
  student: string;
  /** A folder with `train/` and `val/`, each with a folder of pictures for each class. */
  dataset?: string | undefined;
  /** The training pictures' folder, instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, instead of `dataset`. */
  val?: string | undefined;
  /** Means of R, G, B in 0..1 that the teacher was trained with; `datasetStats` measures a dataset's. */
  mean: readonly [number, number, number];
  /** Standard deviations of R, G, B in 0..1. */
  std: readonly [number, number, number];
  /** Passes over the training pictures, at most. Default 500. */
  epochs?: number | undefined;
  /** Adam's learning rate. Default 1e-4. */
  lr?: number | undefined;
  /** Dropout before the last layer, in [0, 1). Default 0.2. */
  dropRate?: number | undefined;
  /** Softens both models' answers before they are compared; greater is softer. Default 2. */
  temperature?: number | undefined;
  /**
   * The weight of the *teacher's* (soft) term of the loss, in 0..1; the labels' (hard) term weighs
   * `1 - alpha`. Default 0.7. (Other systems use alpha for the opposite.)
   */
  alpha?: number | undefined;
  /** Pictures a training step. Default 4. */
  batchSize?: number | undefined;
  /** Pixels a side of the centre crop. Default 224. */
  imageSize?: number | undefined;
  /** Makes a run repeatable on one machine and thread count. Default: drawn, and reported. */
  seed?: number | undefined;
  /** 'auto' (a GPU where LibTorch can use one), 'cpu', 'cuda' or 'cuda:N'. Default 'auto'. */
  device?: string | undefined;
  /** Threads of LibTorch. Default: one a core. */
  threads?: number | undefined;
  /** Ends the run after its current batch; it then rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
  /** A student's `.pth` to start from instead of fresh weights. */
  initialStudent?: string | undefined;
  /** Whether each epoch sees the pictures in a new order. Default true. */
  shuffle?: boolean | undefined;
  /** What a picture that does not decode does: end the run, or be passed over with a warning. Default 'error'. */
  onBadImage?: 'error' | 'skip' | undefined;
  /** Bytes of memory for prepared pictures; beyond it they are kept in a file. Default: half of what is free. */
  cacheMemory?: number | undefined;
  /**
   * A folder to keep the prepared pictures and the teacher's answers in: a later run with the same
   * teacher, pictures and preprocessing starts with training. Default: none, nothing is kept.
   */
  cacheDir?: string | undefined;
}

const schema = z.strictObject({
  teacher: fields.path,
  student: fields.path,
  dataset: fields.path.optional(),
  train: fields.path.optional(),
  val: fields.path.optional(),
  mean: preprocessing.mean,
  std: preprocessing.std,
  epochs: fields.count.default(500),
  lr: z.number().gt(0).max(1).describe('a number greater than 0 and at most 1').default(1e-4),
  dropRate: z.number().min(0).lt(1).describe('a number in [0, 1)').default(0.2),
  temperature: z.number().gt(0).max(1000).describe('a number in (0, 1000]').default(2),
  alpha: z.number().min(0).max(1).describe('a number in 0..1').default(0.7),
  batchSize: fields.batchSize.default(4),
  imageSize: preprocessing.imageSize.default(224),
  seed: z.int().min(0).describe('a whole number in 0..2^53-1').optional(),
  device: execution.device.default('auto'),
  threads: execution.threads.optional(),
  signal: execution.signal.optional(),
  initialStudent: fields.path.optional(),
  shuffle: z.boolean().describe('true or false').default(true),
  onBadImage: execution.onBadImage.default('error'),
  cacheMemory: z.number().min(0).describe('a number of bytes').optional(),
  cacheDir: fields.path.optional(),
});

/**
 * Distils a trained DenseNet into a small CNN (430,000 parameters) on a folder of pictures.
 *
 * The teacher answers for every training picture once; from then on only the student runs. It learns
 * from `alpha · T² · KL(teacher ‖ student) + (1 - alpha) · CE(labels, student)` (Hinton, Vinyals and
 * Dean 2015) by Adam. Whenever validation accuracy *and* loss both improve it is saved, atomically, as
 * a `.pth` that PyTorch loads and that carries classes, mean, std and image size.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `best` and
 * `warning`, and an async iterable of epoch reports.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const result = await distill({ teacher, student, dataset, mean, std })
 *   .on('epoch', ({ epoch, valAccuracy }) => console.log(epoch, valAccuracy));
 */
export function distill(options: DistillOptions): DistillRun {
  return new DistillRun(new Distillation(options));
}

type Checked = z.output<typeof schema>;

/** The course of one distillation: check, scan, prepare, train. */
class Distillation implements Course {
  readonly #options: DistillOptions;
  readonly #stopping = new AbortController();
  #session: NativeSession | undefined;

  constructor(options: DistillOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopping.abort();
    this.#session?.stop();
  }

  progress() {
    return this.#session?.progress() ?? { epoch: 0, step: 0, steps: 0 };
  }

  async start(run: DistillRun): Promise<DistillResult> {
    const options = checkOptions(schema, this.#options);
    const { signal } = options;
    const abort = () => this.stop();
    signal?.addEventListener('abort', abort);
    try {
      if (signal?.aborted) abort();
      const result = await this.#distill(options, run);
      if (signal?.aborted) throw aborted(signal);
      return result;
    } catch (error) {
      throw signal?.aborted ? aborted(signal) : error;
    } finally {
      signal?.removeEventListener('abort', abort);
      await this.#session?.close();
    }
  }

  async #distill(options: Checked, run: DistillRun): Promise<DistillResult> {
    const started = performance.now();
    const folders = datasetFolders(options);
    const addon = loadAddon();
    const student = path.resolve(options.student);
    await native(addon.checkWritable(student));
    await refuseToOverwrite(student, options);
    const dataset = await scanDataset(folders);
    const { classes } = dataset;
    run.report('dataset', {
      classes,
      train: dataset.train.samples.length,
      val: dataset.val.samples.length,
    });

    const { imageSize, mean, std } = options;
    const seed = options.seed ?? randomInt(2 ** 48 - 1);
    this.#session = new addon.Session({
      imageSize,
      mean,
      std,
      device: options.device,
      threads: options.threads ?? 0,
    });
    const session = this.#session;
    // A stop that came before there was a session to tell.
    if (this.#stopping.signal.aborted) session.stop();
    const device = await native(session.open());
    const teacher = await native(session.loadTeacher(options.teacher));
    checkClasses(classes, teacher.classes, options.teacher, dataset.train.root);
    if (options.initialStudent !== undefined) {
      await checkInitialStudent(options.initialStudent, classes.length);
    }

    const skipped: string[] = [];
    const result: DistillResult = {
      best: null,
      last: null,
      epochs: 0,
      reason: 'stopped',
      student,
      store: null,
      classes,
      images: { train: 0, val: 0 },
      skipped,
      device,
      seed,
      seconds: { prepare: 0, train: 0, validate: 0, total: 0 },
      imagesPerSecond: { prepare: 0, train: 0, validate: 0 },
    };

    const prepareStarted = performance.now();
    try {
      const prepared = await prepare(session, dataset, {
        ...options,
        device,
        cacheMemory: options.cacheMemory,
        cacheDir: options.cacheDir,
        onProgress: (progress) => run.report('prepare', progress),
        onSkip: (file, message) => {
          skipped.push(file);
          run.report('warning', { code: 'WARN_IMAGE_SKIPPED', message, path: file });
        },
        signal: this.#stopping.signal,
      });
      const seconds = (performance.now() - prepareStarted) / 1000;
      result.seconds.prepare = seconds;
      result.store = prepared.file;
      result.images = { train: prepared.train, val: prepared.val };
      if (!prepared.reused) {
        result.imagesPerSecond.prepare = (prepared.train + prepared.val) / seconds;
      }
    } catch (error) {
      // Stopped before there was anything to train on.
      if (error === this.#stopping.signal.reason) return result;
      throw error;
    }

    const toReport = ({ stepLosses, ...epoch }: NativeEpoch): EpochReport => ({
      ...epoch,
      epochs: options.epochs,
      seconds: epoch.trainSeconds + epoch.valSeconds,
      imagesPerSecond: result.images.train / epoch.trainSeconds,
    });
    const trained = await native(
      session.train(
        {
          epochs: options.epochs,
          lr: options.lr,
          dropRate: options.dropRate,
          temperature: options.temperature,
          alpha: options.alpha,
          batchSize: options.batchSize,
          shuffle: options.shuffle,
          seed,
          student,
          initialStudent: options.initialStudent ?? '',
          metadata: JSON.stringify({
            classes,
            mean,
            std,
            imageSize,
            options: { ...pick(options), seed },
            teacher: {
              file: path.basename(options.teacher),
              architecture: teacher.architecture,
              sha256: await sha256(options.teacher),
            },
            versions: {
              'node-distill': version,
              libtorch: addon.libtorch,
              node: process.versions.node,
            },
          }),
        },
        (epoch) => {
          const report = toReport(epoch);
          result.seconds.train += epoch.trainSeconds;
          result.seconds.validate += epoch.valSeconds;
          result.epochs = epoch.epoch;
          run.report('epoch', report);
          if (epoch.saved) run.report('best', { ...report, path: student });
        },
      ),
    );
    result.reason = trained.ending;
    result.best = trained.best && toReport(trained.best);
    result.last = trained.last && toReport(trained.last);
    const { best, images, seconds } = result;
    if (best && !(best.valAccuracy > 0 && best.valLoss < 100)) {
      run.report('warning', {
        code: 'WARN_NO_IMPROVEMENT',
        message: 'no epoch did better than an untrained student; the last one is in the file',
        path: student,
      });
    }
    if (result.epochs > 0) {
      result.imagesPerSecond.train = (images.train * result.epochs) / seconds.train;
      result.imagesPerSecond.validate = (images.val * result.epochs) / seconds.validate;
    }
    seconds.total = (performance.now() - started) / 1000;
    return result;
  }
}

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

/** The options that a run's outcome depends on, as kept in the student's file. */
function pick({ epochs, lr, dropRate, temperature, alpha, batchSize, shuffle }: Checked) {
  return { epochs, lr, dropRate, temperature, alpha, batchSize, shuffle };
}

function aborted(signal: AbortSignal): DistillError {
  const error = new DistillError('ERR_ABORTED', 'The run was aborted; what it had saved stays.', {
    cause: signal.reason,
  });
  // What fetch and node:fs call it, and callers look for.
  error.name = 'AbortError';
  return error;
}

function datasetFolders({ dataset, train, val }: Checked): { train: string; val: string } {
  if (dataset !== undefined && train === undefined && val === undefined) {
    return { train: path.join(dataset, 'train'), val: path.join(dataset, 'val') };
  }
  if (dataset === undefined && train !== undefined && val !== undefined) return { train, val };
  throw new DistillError(
    'ERR_OPTION',
    'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`.',
  );
}

/** A student written over the teacher would be the loss of the more valuable of the two. */
async function refuseToOverwrite(student: string, options: Checked): Promise<void> {
  const real = await realpath(student).catch(() => null);
  if (real === null || real !== (await realpath(options.teacher).catch(() => null))) return;
  throw new DistillError(
    'ERR_OPTION',
    `\`student\` is the teacher's own file '${options.teacher}'; name another to write to.`,
  );
}

/** Training would refuse it as well, but only after all has been prepared. */
async function checkInitialStudent(file: string, expected: number): Promise<void> {
  const { architecture, classes } = await inspect(file);
  if (architecture === 'student' && classes === expected) return;
  const found =
    architecture === null ? 'another network' : `a ${architecture} with ${classes} classes`;
  throw new DistillError(
    'ERR_CHECKPOINT_MISMATCH',
    `Expected a student with ${expected} classes in '${file}' (initialStudent), but it holds ${found}.`,
  );
}

function checkClasses(classes: string[], known: number, teacher: string, root: string): void {
  if (classes.length < 2) {
    throw new DistillError(
      'ERR_DATASET_CLASSES',
      `'${root}' has one class folder, '${classes[0]}'; a classifier needs two or more.`,
    );
  }
  if (classes.length === known) return;
  const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `The teacher '${teacher}' tells ${known} classes apart, but '${root}' has ${classes.length} class folders (${names.join(', ')}); give the folders that it was trained on.`,
  );
}
