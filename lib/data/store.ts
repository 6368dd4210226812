import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import { freeMemory } from '../memory.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { NativeAugmentation, NativeStore } from '../native.js';
import { type LabelledFolder, statSamples } from './dataset.js';
import type { TeacherLogits } from './logits-file.js';

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
  device: string;
  precision: 'fp32' | 'bf16';
}

/** What decides what a store holds, and where. */
export interface StoreOptions {
  /** What the network sees of a picture. */
  preprocessing: Preprocessing;
  /** Side of the training pictures before augmentation, in pixels. */
  storeSize: number;
  /** Augmented views that are kept of each training picture, and by what; `null`: the pictures are kept. */
  views: { count: number; by: NativeAugmentation } | null;
  /** `null` where nobody answers for the training pictures. */
  teacher: Answering | null;
  onBadImage: 'error' | 'skip';
  /** The largest picture that is read; with 'skip' it decides which ones there are. */
  maxPixels?: number | undefined;
  /** Bytes. */
  cacheMemory: number | undefined;
  cacheDir: string | undefined;
}

/** What a store is to hold, and where. */
export interface StorePlan {
  store: NativeStore;
  bytes: number;
  /** The file that is kept for later runs. */
  file: string | null;
}

/** Plans the store of a dataset's pictures. */
export async function planStore(dataset: Dataset, options: StoreOptions): Promise<StorePlan> {
  const { storeSize, views, teacher, cacheDir } = options;
  const { imageSize } = options.preprocessing;
  const store = {
    imageSize,
    classes: dataset.classes.length,
    trainCapacity: dataset.train.samples.length,
    valCapacity: dataset.val.samples.length,
    trainSize: views ? imageSize : storeSize,
    views: views?.count ?? 1,
    view: views?.by ?? null,
    hasTeacher: teacher !== null,
    kept: cacheDir !== undefined,
    folder: cacheDir === undefined ? temporaryFolder() : path.resolve(cacheDir),
    fingerprint: cacheDir === undefined ? '' : await fingerprint(dataset, options),
  };
  const bytes = bytesOf(store);
  const place = bytes <= (options.cacheMemory ?? freeMemory() / 2) ? 'memory' : 'temporary';
  const file = store.kept ? path.join(store.folder, `${store.fingerprint}.store`) : null;
  return { store: { ...store, place }, bytes, file };
}

/** Bytes of a store, its page-sized paddings not counted. */
function bytesOf(store: Omit<NativeStore, 'place'>): number {
  const { imageSize, trainSize, views, classes, trainCapacity, valCapacity } = store;
  const answer = store.hasTeacher ? classes * 4 : 0;
  return (
    trainCapacity * (views * (trainSize ** 2 * 3 + answer) + 16) +
    valCapacity * (imageSize ** 2 * 3 + answer + 16)
  );
}

/** For files without a name. Not the system's temporary folder, which may itself be memory. */
function temporaryFolder(): string {
  const caches = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(process.env.DISTILL_CACHE || path.join(caches, 'node-distill'), 'stores');
}

/** The SHA-256 of all that a store's contents follow from. */
async function fingerprint(dataset: Dataset, options: StoreOptions): Promise<string> {
  const { storeSize, views, teacher, onBadImage } = options;
  const { imageSize, mean, std } = options.preprocessing;
  const maxPixels = onBadImage === 'skip' ? options.maxPixels : undefined;
  const answers = teacher && {
    sha256: teacher.sha256,
    val: teacher.val,
    mean,
    std,
    device: teacher.device.split(':')[0],
    precision: teacher.precision,
  };
  const files = await Promise.all([statSamples(dataset.train), statSamples(dataset.val)]);
  const labels = [dataset.train, dataset.val].map(({ samples }) => samples.map((s) => s.label));
  return createHash('sha256')
    .update(
      JSON.stringify([
        2, // raised when the meaning of a store changes
        { answers, imageSize, storeSize, views, onBadImage, maxPixels },
        dataset.classes,
        labels,
        files,
      ]),
    )
    .digest('hex');
}
