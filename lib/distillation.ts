import { randomInt } from 'node:crypto';
import path from 'node:path';
import {
  checkClasses,
  checkInitialStudent,
  checkLogits,
  datasetFolders,
  otherPreprocessing,
  refuseToOverwrite,
  teacherOf,
} from './checks.js';
import { scanDataset } from './dataset.js';
import { type CheckedOptions, type DistillOptions, distillOptions } from './distill-options.js';
import { DistillError } from './errors.js';
import { TeacherLogits } from './logits-file.js';
import { madeWith, type StudentMetadata } from './metadata.js';
import { loadAddon, type NativeEpoch, type NativeSession, native } from './native.js';
import { checkOptions } from './options.js';
import { type Dataset, prepare, sha256 } from './prepare.js';
import type { Course, DistillResult, DistillRun, EpochReport } from './run.js';

/** The course of one distillation: check, prepare, train. */
export class Distillation implements Course {
  readonly #given: DistillOptions;
  readonly #stopping = new AbortController();
  #session: NativeSession | undefined;

  constructor(options: DistillOptions) {
    this.#given = options;
  }

  stop(): void {
    this.#stopping.abort();
    this.#session?.stop();
  }

  progress() {
    return this.#session?.progress() ?? { epoch: 0, step: 0, steps: 0 };
  }

  async start(run: DistillRun): Promise<DistillResult> {
    const options = checkOptions(distillOptions, this.#given);
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

  async #distill(options: CheckedOptions, run: DistillRun): Promise<DistillResult> {
    const started = performance.now();
    const folders = datasetFolders(options);
    const source = teacherOf(options);
    const addon = loadAddon();
    const student = path.resolve(options.student);
    await native(addon.checkWritable(student));
    await refuseToOverwrite('teacher', source.file, 'student', student);
    const dataset = await scanDataset(folders);
    const { classes, train, val } = dataset;
    run.report('dataset', { classes, train: train.samples.length, val: val.samples.length });

    const { imageSize, mean, std, threads = 0 } = options;
    const session = new addon.Session({
      ...{ imageSize, mean, std, threads },
      ...{ device: options.device, precision: options.precision },
    });
    this.#session = session;
    // A stop that came before there was a session to tell.
    if (this.#stopping.signal.aborted) session.stop();
    const { device, precision } = await native(session.open());
    const teacher = await openTeacher(session, source);
    checkClasses(classes, teacher.classes, source.file, train.root);
    if (teacher.logits) {
      checkLogits(teacher.logits, classes, train.root);
      const message = otherPreprocessing(teacher.logits, options);
      if (message) {
        run.report('warning', { code: 'WARN_LOGITS_PREPROCESSING', message, path: source.file });
      }
    }
    if (options.initialStudent !== undefined) {
      await checkInitialStudent(options.initialStudent, classes.length);
    }

    const result: DistillResult = {
      best: null,
      last: null,
      epochs: 0,
      reason: 'stopped',
      student,
      store: null,
      classes,
      images: { train: 0, val: 0 },
      skipped: [],
      device,
      precision,
      seed: options.seed ?? randomInt(2 ** 48 - 1),
      seconds: { prepare: 0, train: 0, validate: 0, total: 0 },
      imagesPerSecond: { prepare: 0, train: 0, validate: 0 },
    };
    try {
      await this.#prepare(session, dataset, teacher, options, run, result);
      await this.#train(session, teacher, options, run, result);
    } catch (error) {
      // Stopped while preparing: there was nothing to train on yet.
      if (error !== this.#stopping.signal.reason) throw error;
    }
    result.seconds.total = (performance.now() - started) / 1000;
    return result;
  }

  /** Fills the session's store. */
  async #prepare(
    session: NativeSession,
    dataset: Dataset,
    teacher: Teacher,
    options: CheckedOptions,
    run: DistillRun,
    result: DistillResult,
  ): Promise<void> {
    const started = performance.now();
    const prepared = await prepare(session, dataset, {
      ...options,
      teacherHash: teacher.sha256,
      logits: teacher.logits,
      device: result.device,
      precision: result.precision,
      cacheMemory: options.cacheMemory,
      cacheDir: options.cacheDir,
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

  /** Trains the student on the session's store. */
  async #train(
    session: NativeSession,
    teacher: Teacher,
    options: CheckedOptions,
    run: DistillRun,
    result: DistillResult,
  ): Promise<void> {
    const { images, seconds, student } = result;
    const toReport = ({ stepLosses, phaseSeconds, ...epoch }: NativeEpoch): EpochReport => ({
      ...epoch,
      epochs: options.epochs,
      seconds: epoch.trainSeconds + epoch.valSeconds,
      imagesPerSecond: images.train / epoch.trainSeconds,
    });
    const learning = { ...pick(options), precision: result.precision, seed: result.seed };
    const trained = await native(
      session.train(
        {
          ...learning,
          student,
          initialStudent: options.initialStudent ?? '',
          metadata: JSON.stringify(metadataOf(options, learning, teacher, result.classes)),
        },
        (epoch) => {
          const report = toReport(epoch);
          seconds.train += epoch.trainSeconds;
          seconds.validate += epoch.valSeconds;
          result.epochs = epoch.epoch;
          run.report('epoch', report);
          if (epoch.saved) run.report('best', { ...report, path: student });
        },
      ),
    );
    result.reason = trained.ending;
    result.best = trained.best && toReport(trained.best);
    result.last = trained.last && toReport(trained.last);
    if (result.epochs > 0) {
      result.imagesPerSecond.train = (images.train * result.epochs) / seconds.train;
      result.imagesPerSecond.validate = (images.val * result.epochs) / seconds.validate;
    }
    const { best } = result;
    if (best && !(best.valAccuracy > 0 && best.valLoss < 100)) {
      run.report('warning', {
        code: 'WARN_NO_IMPROVEMENT',
        message: 'no epoch did better than an untrained student; the last one is in the file',
        path: student,
      });
    }
  }
}

/** Whose answers are learnt. */
interface Teacher {
  /** Classes told apart. */
  classes: number;
  /** Of its file. */
  sha256: string;
  /** Its answers, where it is not in the session itself. */
  logits: TeacherLogits | null;
  /** What the student's file says of it. */
  said: Record<string, unknown>;
}

async function openTeacher(
  session: NativeSession,
  { file, isLogits }: ReturnType<typeof teacherOf>,
): Promise<Teacher> {
  const name = path.basename(file);
  if (isLogits) {
    const logits = await TeacherLogits.read(file);
    const hash = await sha256(file);
    const said = { ...logits.metadata?.teacher, logits: name, logitsSha256: hash };
    return { classes: logits.classes, sha256: hash, logits, said };
  }
  const { classes, architecture } = await native(session.loadTeacher(file));
  const hash = await sha256(file);
  const said = { file: name, architecture, sha256: hash };
  return { classes, sha256: hash, logits: null, said };
}

/** The options that a training's outcome depends on. */
function pick(options: CheckedOptions) {
  const { epochs, lr, dropRate, temperature, alpha, batchSize, shuffle } = options;
  return { epochs, lr, dropRate, temperature, alpha, batchSize, shuffle };
}

/** What the student's file says of itself; the epoch and its metrics are added when it is saved. */
function metadataOf(
  { mean, std, imageSize }: CheckedOptions,
  options: Record<string, unknown>,
  { said }: Teacher,
  classes: string[],
): StudentMetadata {
  return {
    classes,
    mean,
    std,
    imageSize,
    options,
    teacher: said,
    versions: madeWith(),
  };
}

function aborted(signal: AbortSignal): DistillError {
  const error = new DistillError('ERR_ABORTED', 'The run was aborted; what it had saved stays.', {
    cause: signal.reason,
  });
  // What fetch and node:fs call it, and callers look for.
  error.name = 'AbortError';
  return error;
}
