import { mkdir } from 'node:fs/promises';
import { native } from '../addon.js';
import { DistillError } from '../errors.js';
import { checkFinite } from '../model/classifier.js';
import type { NativeBatch, NativeSession } from '../native.js';
import type { PrepareProgress } from '../run/events.js';
import { decodeBatches } from './decode.js';
import { imageName } from './logits-file.js';
import { type Sample, sourceOf } from './samples.js';
import { type Dataset, planStore, type StoreOptions } from './store.js';

export interface PrepareOptions extends StoreOptions {
  onProgress: (progress: PrepareProgress) => void;
  onSkip: (path: string, reason: string) => void;
  onTruncated: (path: string, reason: string) => void;
  signal: AbortSignal;
}

export interface Prepared {
  /** Pictures in the store. */
  train: number;
  val: number;
  /** The number of training pictures in the store of each class; those without a label are in none. */
  perClass: number[];
  /** The kept store's file. */
  file: string | null;
  /** Whether an earlier run had prepared the store. */
  reused: boolean;
}

/**
 * Pictures that the teacher answers for at once; with views, that many views. Enough to keep every core busy, few enough
 * to stop soon.
 */
export const TEACHER_BATCH = 16;

/**
 * Fills the session's store. Each picture is decoded once, and the teacher answers once for each training picture, or for
 * each of its views; with `teacher.val` also for each validation picture. The next batch is decoded while the teacher works.
 *
 * The store is memory or, beyond `cacheMemory`, a file without a name. With `cacheDir` it is written to a file, too, which
 * a later run with the same teacher, pictures and preprocessing takes over.
 */
export async function prepare(
  session: NativeSession,
  dataset: Dataset,
  options: PrepareOptions,
): Promise<Prepared> {
  const { preprocessing, storeSize, teacher } = options;
  const { store, file } = await planStore(dataset, options);
  const total = store.trainCapacity + store.valCapacity;
  const nameOf = (split: 'train' | 'val', sample: Sample) =>
    imageName(split, dataset[split], sample);
  const answered = (['train', 'val'] as const).slice(0, teacher?.val ? 2 : 1);
  // A picture that is passed over needs no answer. A missing one is refused now rather than in the middle.
  if (options.onBadImage !== 'skip') {
    teacher?.logits?.requireAll(
      answered.flatMap((split) => dataset[split].samples.map((sample) => nameOf(split, sample))),
    );
  }

  if (file !== null) {
    const held = await native(session.reopenStore(store));
    options.signal.throwIfAborted();
    if (held !== null) {
      for (const split of ['train', 'val'] as const) {
        const indices = new Set(held[split]);
        for (const [i, sample] of dataset[split].samples.entries()) {
          if (!indices.has(i)) options.onSkip(sample.path, 'passed over when the store was made');
        }
      }
      options.onProgress({ done: total, total });
      return {
        train: held.train.length,
        val: held.val.length,
        perClass: countPerClass(dataset, 'train', held.train),
        file,
        reused: true,
      };
    }
  }

  if (file !== null || store.place === 'temporary') await makeFolder(store.folder);
  await native(session.createStore(store));

  let done = 0;
  const stored: Record<'train' | 'val', number[]> = { train: [], val: [] };
  for (const split of ['train', 'val'] as const) {
    const { samples, root } = dataset[split];
    const imageSize = split === 'train' ? storeSize : preprocessing.imageSize;
    const batches = decodeBatches(samples.map(sourceOf), {
      preprocessing: { ...preprocessing, imageSize },
      batchSize: TEACHER_BATCH,
      onBadImage: options.onBadImage,
      maxPixels: options.maxPixels,
      signal: options.signal,
      onSkip: (_, error, index) => {
        done += 1;
        options.onSkip((samples[index] as Sample).path, error.message);
      },
      onTruncated: (_, error, index) =>
        options.onTruncated((samples[index] as Sample).path, error.message),
    });
    for await (const { pixels, indices } of batches) {
      const labels = indices.map((index) => samples[index]?.label ?? 0);
      const isAnswered = answered.includes(split);
      const pictures = { split, pixels, size: imageSize, sources: indices };
      const names = () => Array.from(indices, (i) => nameOf(split, samples[i] as Sample));
      const batch: NativeBatch = {
        ...pictures,
        labels,
        answered: isAnswered,
        teacherLogits: isAnswered ? await answersOf(session, pictures, names, options) : null,
      };
      await native(session.append(batch));
      stored[split].push(...indices);
      done += labels.length;
      options.onProgress({ done, total });
    }
    const lost = countPerClass(dataset, split, stored[split]).indexOf(0);
    if (lost >= 0) {
      throw new DistillError(
        'ERR_DATASET_EMPTY_CLASS',
        `None of the pictures of '${dataset.classes[lost]}' in '${root}' could be decoded; replace them.`,
      );
    }
  }
  await native(session.sealStore());
  return {
    train: stored.train.length,
    val: stored.val.length,
    perClass: countPerClass(dataset, 'train', stored.train),
    file,
    reused: false,
  };
}

/** Returns the answers for pictures, or for their views, of a teacher that the addon has not loaded; else `null`. */
async function answersOf(
  session: NativeSession,
  { split, ...pictures }: Pick<NativeBatch, 'split' | 'pixels' | 'size' | 'sources'>,
  names: () => string[],
  { teacher, views, signal }: PrepareOptions,
): Promise<Float32Array | null> {
  if (teacher?.logits) return teacher.logits.rowsOf(names());
  if (!teacher?.network) return null;
  const { sources } = pictures;
  if (await native(session.hasAnswers({ split, sources }))) return null;
  const isAugmented = split === 'train' && views !== null;
  const pixels = isAugmented ? await native(session.views(pictures)) : pictures.pixels;
  const answers = await teacher.network.logits(pixels, signal);
  checkFinite(answers, {
    rows: pictures.sources.length,
    model: teacher.network.path,
    nameOf: (row) => `the picture ${names()[row]}`,
  });
  return answers;
}

/** Counts pictures of a split by class; those without a label are in none. */
function countPerClass(
  { classes, ...splits }: Dataset,
  split: 'train' | 'val',
  indices: Iterable<number>,
): number[] {
  const counts = classes.map(() => 0);
  for (const index of indices) {
    const label = splits[split].samples[index]?.label ?? -1;
    if (label >= 0) counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts;
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
