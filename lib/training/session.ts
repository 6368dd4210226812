import type { z } from 'zod';
import { native } from '../addon.js';
import { type Prepared, type PrepareOptions, prepare } from '../data/prepare.js';
import type { Dataset } from '../data/store.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { NativeExecution, NativePreprocessing, NativeSession } from '../native.js';
import type { training } from '../options/fields.js';
import type { CommonEvents } from '../run/events.js';
import type { RunSetup } from '../run/reports.js';
import type { TaskContext } from '../run/task.js';
import type { RunFolder } from '../run-folder/folder.js';
import { imageSkipped, imageTruncated, noGpu } from '../warnings.js';

// The session of a run: a thread of the addon, with the prepared pictures in its store.

/** The checked options of any training, but for its seed. */
export type CheckedTrainingOptions = Omit<z.output<z.ZodObject<typeof training>>, 'seed'> & {
  epochs: number;
};

/** A session that has chosen its device, without a store. */
export interface OpenSession extends Pick<RunSetup, 'device' | 'precision'> {
  native: NativeSession;
}

/** A session whose store is full, unless the run was stopped before. */
export interface Session {
  native: NativeSession;
  setup: RunSetup;
  /** The number of training pictures in the store of each class; those without a label are in none. */
  perClass: readonly number[];
  /**
   * The seconds that filling the store took, and pictures a second (0 where a kept store was taken over). `null` where the
   * run was stopped before the store was full: there is nothing to train on.
   */
  preparation: { seconds: number; imagesPerSecond: number } | null;
}

/** Returns the number of training pictures in the store that have a label. */
export function countLabelled({ perClass }: Session): number {
  return perClass.reduce((sum, count) => sum + count, 0);
}

/** The pictures of a store, and the teacher that answers for them. */
export type StoreContents = Pick<
  PrepareOptions,
  'preprocessing' | 'storeSize' | 'views' | 'teacher'
>;

/**
 * Starts the thread of a run and chooses its device and precision.
 *
 * @throws DistillError `ERR_DEVICE`.
 */
export async function openSession(
  { device, precision, threads = 0 }: CheckedTrainingOptions,
  { imageSize, mean, std }: Preprocessing,
  task: TaskContext<CommonEvents>,
): Promise<OpenSession> {
  const options: NativePreprocessing & NativeExecution = {
    imageSize,
    mean,
    std,
    device,
    precision,
    threads,
  };
  const session = task.createSession(options);
  const chosen = await native(session.open());
  if (chosen.warning) task.report('warning', noGpu(chosen.warning));
  return { native: session, device: chosen.device, precision: chosen.precision };
}

/** Decodes the pictures into the session's store, or takes over an earlier run's, unless the run is stopped before. */
export async function fillStore(
  opened: OpenSession,
  dataset: Dataset,
  contents: StoreContents,
  options: CheckedTrainingOptions,
  folder: RunFolder | null,
  task: TaskContext<CommonEvents>,
): Promise<Session> {
  const started = performance.now();
  const skipped: string[] = [];
  const prepared: Prepared | null = await prepare(opened.native, dataset, {
    ...contents,
    onBadImage: options.onBadImage,
    maxPixels: options.maxPixels,
    cacheMemory: options.cacheMemory,
    cacheDir: options.cacheDir,
    answers: folder?.answers ?? null,
    signal: task.stopping,
    onProgress: (progress) => task.report('prepare', progress),
    onSkip: (file, message) => {
      skipped.push(file);
      task.report('warning', imageSkipped(file, { message }));
    },
    onTruncated: (file, message) => task.report('warning', imageTruncated(file, { message })),
  }).catch((error: unknown) => {
    if (task.stopping.aborted && error === task.stopping.reason) return null;
    throw error;
  });
  const seconds = (performance.now() - started) / 1000;
  return {
    native: opened.native,
    setup: {
      store: prepared?.file ?? null,
      classes: dataset.classes,
      images: { train: prepared?.train ?? 0, val: prepared?.val ?? 0 },
      skipped,
      device: opened.device,
      precision: opened.precision,
    },
    perClass: prepared?.perClass ?? [],
    preparation: prepared && {
      seconds,
      imagesPerSecond: prepared.reused ? 0 : (prepared.train + prepared.val) / seconds,
    },
  };
}
