import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type LabelledFolder, relativePath, type Sample, statSamples } from './dataset.js';
import { decodeBatches } from './decode.js';
import { DistillError } from './errors.js';
import { pictureName, type TeacherLogits } from './logits-file.js';
import { type NativeAugmentation, type NativeSession, type NativeStore, native } from './native.js';
import type { PrepareProgress } from './run.js';

/** The pictures of a distillation. */
export interface Dataset {
  classes: string[];
  train: LabelledFolder;
  val: LabelledFolder;
}

/** Whose answers a store keeps. */
export interface Answering {
  /** The SHA-256 of the teacher's file, or of the file of its logits. */
  sha256: string;
  /** The teacher's answers, where it is not there itself. */
  logits: TeacherLogits | null;
  /** Whether it answers for the validation pictures as well. */
  val?: boolean;
  mean: readonly number[];
  std: readonly number[];
  device: string;
  precision: 'fp32' | 'bf16';
}

export interface PrepareOptions {
  /** Pixels a side of what the network sees. */
  imageSize: number;
  /** Pixels a side of the training pictures, before augmentation. */
  storeSize: number;
  /** Augmented views that are kept of each training picture, and by what; `null`: the pictures are kept. */
  views: { count: number; by: NativeAugmentation } | null;
  /** `null` where nobody answers for the training pictures. */
  teacher: Answering | null;
  onBadImage: 'error' | 'skip';
  /** Bytes. */
  cacheMemory: number | undefined;
  cacheDir: string | undefined;
  onProgress: (progress: PrepareProgress) => void;
  onSkip: (path: string, reason: string) => void;
  signal: AbortSignal;
}

export interface Prepared {
  /** Pictures in the store. */
  train: number;
  val: number;
  /** The kept store's file. */
  file: string | null;
  /** Whether an earlier run had prepared it. */
  reused: boolean;
}

/** Pictures the teacher sees at once (where there are views, of each one): enough to keep every core busy, few enough to end soon. */
export const TEACHER_BATCH = 16;

/**
 * Fills the session's store: each picture is decoded once and each training picture, or each of its
 * views (with `teacher.val`, each validation picture, too), answered by the teacher once, the decoding of the next batch overlapping the teacher's work on this one.
 *
 * With `cacheDir` the store is a file that a later run with the same teacher, pictures and
 * preprocessing takes over. Otherwise it is memory or, beyond `cacheMemory`, a file without a name.
 */
export async function prepare(
  session: NativeSession,
  dataset: Dataset,
  options: PrepareOptions,
): Promise<Prepared> {
  const { imageSize, storeSize, views, teacher, cacheDir } = options;
  const store = {
    imageSize,
    classes: dataset.classes.length,
    trainCapacity: dataset.train.samples.length,
    valCapacity: dataset.val.samples.length,
    trainSize: views ? imageSize : storeSize,
    views: views?.count ?? 1,
    ...(views && { view: views.by }),
    hasTeacher: teacher !== null,
    folder: cacheDir === undefined ? temporaryFolder() : path.resolve(cacheDir),
    fingerprint: cacheDir === undefined ? 'temporary' : await fingerprint(dataset, options),
  } satisfies NativeStore;
  const file =
    cacheDir === undefined ? null : path.join(store.folder, `${store.fingerprint}.store`);
  const total = store.trainCapacity + store.valCapacity;
  const nameOf = (split: 'train' | 'val', sample: Sample) =>
    pictureName(split, relativePath(dataset[split], sample));
  const answered = (['train', 'val'] as const).slice(0, teacher?.val ? 2 : 1);
  // What is passed over needs no answer; otherwise, better told now than in the middle.
  if (options.onBadImage === 'error') {
    teacher?.logits?.demand(
      answered.flatMap((split) => dataset[split].samples.map((sample) => nameOf(split, sample))),
    );
  }

  if (file !== null) {
    const held = await native(session.reopenStore(store));
    if (held !== null) {
      for (const split of ['train', 'val'] as const) {
        const indices = new Set(held[split]);
        for (const [i, sample] of dataset[split].samples.entries()) {
          if (!indices.has(i)) options.onSkip(sample.path, 'passed over when the store was made');
        }
      }
      options.onProgress({ done: total, total });
      return { train: held.train.length, val: held.val.length, file, reused: true };
    }
  }

  const inMemory = file === null && bytesOf(store) <= (options.cacheMemory ?? freeMemory() / 2);
  if (!inMemory) await makeFolder(store.folder);
  await native(
    session.createStore({ ...store, place: file ? 'kept' : inMemory ? 'memory' : 'temporary' }),
  );

  let done = 0;
  const counts = { train: 0, val: 0 };
  for (const split of ['train', 'val'] as const) {
    const { samples, root } = dataset[split];
    const size = split === 'train' ? storeSize : imageSize;
    const perClass = new Array<number>(dataset.classes.length).fill(0);
    const paths = samples.map((sample) => sample.path);
    const batches = decodeBatches(paths, {
      size,
      batchSize: TEACHER_BATCH,
      onBadImage: options.onBadImage,
      signal: options.signal,
      onSkip: (source, error) => {
        done += 1;
        options.onSkip(source as string, error.message);
      },
    });
    for await (const { pixels, indices } of batches) {
      const labels = indices.map((index) => samples[index]?.label ?? 0);
      const isAnswered = answered.includes(split);
      const known = isAnswered && teacher?.logits;
      await native(
        session.append({
          ...{ split, pixels, size, labels, sources: indices, answered: isAnswered },
          ...(known && {
            teacherLogits: known.of(
              Array.from(indices, (i) => nameOf(split, samples[i] as Sample)),
            ),
          }),
        }),
      );
      for (const label of labels) perClass[label] = (perClass[label] ?? 0) + 1;
      counts[split] += labels.length;
      done += labels.length;
      options.onProgress({ done, total });
    }
    const lost = perClass.indexOf(0);
    if (lost >= 0) {
      throw new DistillError(
        'ERR_DATASET_EMPTY_CLASS',
        `None of the pictures of '${dataset.classes[lost]}' in '${root}' could be decoded; replace them.`,
      );
    }
  }
  await native(session.sealStore());
  return { ...counts, file, reused: false };
}

/** Bytes of a store, its page-sized paddings not counted. */
function bytesOf(store: Required<Pick<NativeStore, 'trainSize' | 'views'>> & NativeStore): number {
  const { imageSize, trainSize, views, classes, trainCapacity, valCapacity } = store;
  const answer = store.hasTeacher ? classes * 4 : 0;
  return (
    trainCapacity * (views * (trainSize ** 2 * 3 + answer) + 16) +
    valCapacity * (imageSize ** 2 * 3 + answer + 16)
  );
}

/** Bytes that this process could still use: what the system has free, within its container's limit. */
function freeMemory(): number {
  return process.availableMemory?.() ?? os.freemem();
}

/** For files without a name. Not the system's temporary folder, which may itself be memory. */
function temporaryFolder(): string {
  const caches = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(process.env.DISTILL_CACHE || path.join(caches, 'node-distill'), 'stores');
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new DistillError(
      'ERR_CACHE',
      `The folder '${folder}' for prepared pictures cannot be made (${(cause as NodeJS.ErrnoException).code}); name another as \`cacheDir\`.`,
      { cause },
    );
  }
}

/** The SHA-256 of all that a store's contents follow from. */
async function fingerprint(dataset: Dataset, options: PrepareOptions): Promise<string> {
  const { imageSize, storeSize, views, teacher, onBadImage } = options;
  const answers = teacher && {
    ...{ sha256: teacher.sha256, val: teacher.val, mean: teacher.mean, std: teacher.std },
    ...{ device: teacher.device.split(':')[0], precision: teacher.precision },
  };
  const files = await Promise.all([statSamples(dataset.train), statSamples(dataset.val)]);
  const labels = [dataset.train, dataset.val].map(({ samples }) => samples.map((s) => s.label));
  return createHash('sha256')
    .update(
      JSON.stringify([
        2, // raised when the meaning of a store changes
        { answers, imageSize, storeSize, views, onBadImage },
        dataset.classes,
        labels,
        files,
      ]),
    )
    .digest('hex');
}

/** The SHA-256 of a file, in hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
