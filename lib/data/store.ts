import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import { freeMemory } from '../memory.js';
import type { OnnxNetwork } from '../model/onnx-teacher/network.js';
import { changedSteps, type Preprocessing } from '../model/preprocessing.js';
import type { NativeAugmentation, NativeStore } from '../native.js';
import type { TeacherLogits } from './logits-file.js';
import { type LabelledFolder, statSamples } from './samples.js';

/** The pictures of a distillation. */
export interface Dataset {
  classes: string[];
  train: LabelledFolder;
  val: LabelledFolder;
}

/** The teacher whose answers a store keeps. */
export interface Answering {
  /** The SHA-256 of the teacher's file, or of the file of its logits. */
  sha256: string;
  /** True for its averaged weights: the same file, another teacher. */
  averaged: boolean;
  /** The teacher's answers, where they come from a file. */
  logits: TeacherLogits | null;
  /** The teacher, where it answers outside of the addon. Default: none. */
  network?: OnnxNetwork | null;
  /** Whether the teacher answers for the validation pictures as well. Default false. */
  val?: boolean;
  device: string;
  precision: 'fp32' | 'bf16';
}

/** The facts that a store's contents and place follow from. */
export interface StoreOptions {
  /** The network's preprocessing. */
  preprocessing: Preprocessing;
  /** Side of the training pictures before augmentation, in pixels. */
  storeSize: number;
  /** The number of augmented views that are kept of each training picture, and the augmentation; `null`: the pictures are kept. */
  views: { count: number; by: NativeAugmentation } | null;
  /** `null` where no teacher answers for the training pictures. */
  teacher: Answering | null;
  onBadImage: 'error' | 'skip' | 'truncate';
  /** The largest picture that is read; with 'skip' it decides which ones there are. */
  maxPixels?: number | undefined;
  /** Bytes that the store may take in memory. */
  cacheMemory: number | undefined;
  cacheDir: string | undefined;
  /** The file that keeps the teacher's answers as they are given. */
  answers?: NativeStore['answers'];
}

/** The plan of a store: its contents and place. */
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
  const shape = {
    imageSize,
    classes: dataset.classes.length,
    trainCapacity: dataset.train.samples.length,
    valCapacity: dataset.val.samples.length,
    trainSize: views ? imageSize : storeSize,
    views: views?.count ?? 1,
    hasTeacher: teacher !== null,
  };
  const bytes = bytesOf(shape);
  const folder = cacheDir === undefined ? temporaryFolder() : path.resolve(cacheDir);
  const store: NativeStore = {
    ...shape,
    place: bytes <= (options.cacheMemory ?? freeMemory() / 2) ? 'memory' : 'temporary',
    folder,
    fingerprint: cacheDir === undefined ? '' : await fingerprint(dataset, options),
    kept: cacheDir !== undefined,
    view: views?.by ?? null,
    answers: options.answers ?? null,
  };
  const file = store.kept ? path.join(folder, `${store.fingerprint}.store`) : null;
  return { store, bytes, file };
}

/** The facts of a store that its size follows from. */
type StoreShape = Pick<
  NativeStore,
  'imageSize' | 'classes' | 'trainCapacity' | 'valCapacity' | 'trainSize' | 'views' | 'hasTeacher'
>;

/** Returns the bytes of a store, its page-sized paddings not counted. */
function bytesOf(store: StoreShape): number {
  const { imageSize, trainSize, views, classes, trainCapacity, valCapacity } = store;
  const answer = store.hasTeacher ? classes * 4 : 0;
  return (
    trainCapacity * (views * (trainSize ** 2 * 3 + answer) + 16) +
    valCapacity * (imageSize ** 2 * 3 + answer + 16)
  );
}

/** Returns the folder for files without a name. The system's temporary folder may itself be memory. */
function temporaryFolder(): string {
  const caches = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  return path.join(process.env.DISTILL_CACHE || path.join(caches, 'node-distill'), 'stores');
}

/** Returns the SHA-256 of the pictures' names, sizes, times and labels, and of the classes' names. */
export async function hashOf({ classes, train, val }: Dataset): Promise<string> {
  const files = await Promise.all([statSamples(train), statSamples(val)]);
  const labels = [train, val].map(({ samples }) => samples.map((sample) => sample.label));
  return createHash('sha256')
    .update(JSON.stringify([classes, labels, files]))
    .digest('hex');
}

/** Returns the SHA-256 of all that a store's contents follow from. */
async function fingerprint(dataset: Dataset, options: StoreOptions): Promise<string> {
  const { storeSize, views, teacher, onBadImage } = options;
  const { preprocessing } = options;
  const { imageSize, mean, std } = preprocessing;
  const maxPixels = onBadImage === 'skip' ? options.maxPixels : undefined;
  const answers = teacher && {
    sha256: teacher.sha256,
    averaged: teacher.averaged || undefined,
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
        {
          answers,
          imageSize,
          storeSize,
          views,
          onBadImage,
          maxPixels,
          ...changedSteps(preprocessing),
        },
        dataset.classes,
        labels,
        files,
      ]),
    )
    .digest('hex');
}
