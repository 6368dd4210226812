/**
 * The contract of the native addons, written by hand: what crosses between JavaScript and C++.
 *
 * `[sync]` returns at once. `[async]` runs on a thread of the addon and settles its promise exactly
 * once, in the order of the calls on one object; it rejects with an `Error` that has a `code`, among them ERR_THREADS where
 * no thread can be made, and ERR_OUT_OF_MEMORY.
 * Plain values are copied when a call is made. Typed arrays are borrowed: the caller keeps them
 * unchanged until the promise settles.
 */
import { createRequire } from 'node:module';
import type Bindings from 'bindings';
import { DistillError, toDistillError } from './errors.js';
import { packageRoot } from './package.js';

/** How a picture becomes a network's input. */
export interface NativePreprocessing {
  /** Pixels a side of the centre crop. */
  imageSize: number;
  /** R, G, B, of values in 0..1. */
  mean: readonly number[];
  std: readonly number[];
}

/** Where and how the work is done. */
export interface NativeExecution {
  /** 'auto', 'cpu', 'cuda' or 'cuda:N'. */
  device: string;
  /** What convolutions compute in; 'auto' is bf16 where the processor multiplies it natively. */
  precision: 'auto' | 'fp32' | 'bf16';
  /** 0: LibTorch's choice. */
  threads: number;
}

/** What is done to training pictures, drawn anew each time. */
export interface NativeAugmentation {
  /** 'random': any place; 'resized': a box of any place and size, resized. */
  crop: 'center' | 'random' | 'resized';
  /** The smallest box's share of the picture's area. */
  minScale: number;
  /** Left to right, every other picture. */
  flip: boolean;
}

export interface NativeStore {
  imageSize: number;
  classes: number;
  /** Pictures at most. */
  trainCapacity: number;
  valCapacity: number;
  /** Pixels a side of the training pictures that are kept; imageSize by default. */
  trainSize?: number;
  /** Views that are kept of each training picture, each with the teacher's answer; 1 by default. */
  views?: number;
  /** What a view is made by, of the pictures that are appended; by default they are kept as they are. */
  view?: NativeAugmentation;
  /** Whether a teacher answers for the training pictures; true by default. */
  hasTeacher?: boolean;
  /** Where it is while it is in use: in memory, or in a file without a name. */
  place: 'memory' | 'temporary';
  /** Of that file, and of the kept one. */
  folder: string;
  /** 64 hexadecimal digits that stand for everything the store's contents follow from. */
  fingerprint: string;
  /** Whether it is written to a file for later runs as well; false by default. */
  kept?: boolean;
}

/** What every training is told. */
export interface NativeTraining {
  epochs: number;
  /** The largest that the schedule reaches. */
  lr: number;
  batchSize: number;
  shuffle: boolean;
  seed: number;
  /** A JSON object; `epoch` and `metrics` are added to it in the network's file. */
  metadata: string;
  /**
   * A file with the network to start from that is good already. It is judged first, as epoch 0, of which there are the
   * validation's numbers alone, and is the best so far: it goes to the network's file, unless that is the same one.
   * None by default.
   */
  start?: string;
  /** Whether the network's file may replace one that is no such network with metadata; false by default. ERR_EXISTS. */
  overwrite?: boolean;
}

/** How the learning rate goes; by default it is constant. */
export interface NativeSchedule {
  schedule: 'constant' | 'one-cycle' | 'cosine';
  /** Epochs of the cosine schedule in which the learning rate grows. */
  warmup: number;
}

export interface NativeTrainConfig extends NativeTraining, Partial<NativeSchedule> {
  dropRate: number;
  temperature: number;
  /** Weighs the teacher's (soft) term. */
  alpha: number;
  /**
   * Where the best student is written, atomically; as safetensors where it ends in '.safetensors'. '':
   * nowhere.
   */
  student: string;
  /** A checkpoint to start from, or ''. */
  initialStudent: string;
  /** Which student is the best; 'both' by default. */
  keep?: 'both' | 'accuracy' | 'loss';
  /** Whether epochs tell `valAgreement`; the validation pictures are answered in the store then. */
  agreement?: boolean;
}

/** How the optimizer's steps go. */
export interface NativeOptimization extends NativeSchedule {
  /** Decoupled, as AdamW's; 0: Adam. */
  weightDecay: number;
}

export interface NativeTeachConfig extends NativeTraining, NativeOptimization {
  /** A DenseNet's name; that of `weights` where they are given. */
  architecture: string;
  /** A checkpoint to start from, or ''. */
  weights: string;
  /** Whether its last layer is kept: it tells the same classes apart. */
  keepHead: boolean;
  labelSmoothing: number;
  /** First epochs in which the last layer alone learns. */
  freezeEpochs: number;
  /** None by default. */
  augment?: NativeAugmentation;
  /** Where the best teacher is written, atomically. */
  teacher: string;
}

export interface NativeEpoch {
  /** From 1; 0 of what was judged before. */
  epoch: number;
  trainLoss: number;
  trainAccuracy: number;
  valLoss: number;
  valAccuracy: number;
  /** The share of validation pictures for which teacher and student say the same class. */
  valAgreement: number | null;
  /** The distillation loss of each training batch, in order. */
  stepLosses: Float64Array;
  trainSeconds: number;
  valSeconds: number;
  /** Where the training's seconds went, summed over its steps. */
  phaseSeconds: {
    gather: number;
    forward: number;
    loss: number;
    backward: number;
    optimizer: number;
  };
  /** Whether this epoch's network is the best so far, and what is in the file. */
  saved: boolean;
}

export interface NativeTrainResult {
  stopReason: 'completed' | 'early-stop' | 'stopped';
  best: NativeEpoch | null;
  last: NativeEpoch | null;
}

/** Pictures, or views of them, for a store. */
export interface NativeBatch {
  split: 'train' | 'val';
  /** (n, size, size, 3) RGB. */
  pixels: Uint8Array;
  /** Side of the pictures, in pixels; imageSize by default. */
  size?: number;
  /** (n) */
  labels: Int32Array;
  /** (n) Indices of the pictures in the dataset. */
  sources: Int32Array;
  /** Whether the teacher answers for them; by default for training pictures alone. */
  answered?: boolean;
  /** (n, classes) */
  teacherLogits?: Float32Array;
}

/** One training: a thread with a prepared store and, for a distillation, a teacher. */
export interface NativeSession {
  /**
   * [async] Chooses device, precision and threads; resolves to what was chosen, and why 'auto' has
   * no GPU where LibTorch is built for one. ERR_DEVICE.
   */
  open(): Promise<{ device: string; precision: 'fp32' | 'bf16'; warning: string | null }>;
  /** [async] Reads a DenseNet. ERR_CHECKPOINT_…, ERR_TEACHER_ARCHITECTURE. */
  loadTeacher(path: string): Promise<{ architecture: string; classes: number; parameters: number }>;
  /** [async] Makes an empty store, in memory or in a file. ERR_CACHE, ERR_OUT_OF_MEMORY. */
  createStore(store: NativeStore): Promise<void>;
  /**
   * [async] Takes over a copy of the kept store of an earlier run. Resolves to which of the listed pictures it
   * holds, or to null where there is none that is whole and fits, or it was stopped. ERR_CACHE where what is there may be
   * another user's, ERR_OUT_OF_MEMORY.
   */
  reopenStore(store: NativeStore): Promise<{ train: Int32Array; val: Int32Array } | null>;
  /**
   * [async] Copies pictures, or views of them, into the store; those that are `answered` (by default,
   * the training pictures) go through the teacher, or come with its logits where none is loaded.
   * pixels: (n, size, size, 3) RGB; labels and sources: (n); teacherLogits: (n, classes).
   * ERR_NOT_FINITE.
   */
  append(batch: NativeBatch): Promise<void>;
  /** [async] The store is complete: the teacher goes, a kept file is written. ERR_CACHE. */
  sealStore(): Promise<void>;
  /**
   * [async] How the teacher does on pictures that are answered, in all their views, beside the most common class and its
   * share of them.
   */
  validateTeacher(
    split: 'train' | 'val',
  ): Promise<{ loss: number; accuracy: number; commonest: number; share: number }>;
  /**
   * [async] Trains a student on the store, as often as it is called. `onEpoch` is called on the
   * JavaScript thread; what it throws ends the training, which rejects with it. ERR_NOT_FINITE, ERR_CHECKPOINT_…, ERR_WRITE.
   */
  train(
    config: NativeTrainConfig,
    onEpoch: (epoch: NativeEpoch) => void,
  ): Promise<NativeTrainResult>;
  /** [async] Trains a DenseNet on the store's labels. As `train`; also ERR_TEACHER_ARCHITECTURE. */
  teach(
    config: NativeTeachConfig,
    onEpoch: (epoch: NativeEpoch) => void,
  ): Promise<NativeTrainResult>;
  /** [sync] Ends a training after its batch, with the stop reason 'stopped'. */
  stop(): void;
  /** [sync] Where a training stands: epoch from 1, batches done and in all of this epoch. */
  progress(): { epoch: number; step: number; steps: number };
  /**
   * [async] Gives teacher, store and thread back to the system, without waiting for the collector, after the calls before
   * it. Those after it reject with ERR_CLOSED, but `close` itself.
   */
  close(): Promise<void>;
}

/** A model that answers for batches of pictures, on a thread of its own. */
export interface NativeClassifier {
  /**
   * [async] Resolves to why 'auto' has no GPU where LibTorch is built for one. ERR_CHECKPOINT_…,
   * ERR_MODEL_ARCHITECTURE, ERR_DEVICE.
   */
  load(): Promise<{ warning: string | null }>;
  /** [async] pixels (n, imageSize, imageSize, 3) RGB -> logits (n, classes), row by row. */
  logits(pixels: Uint8Array): Promise<Float32Array>;
  /** [async] The same after softmax. */
  probabilities(pixels: Uint8Array): Promise<Float32Array>;
  /** [async] Gives model and thread back to the system, as a session's. */
  close(): Promise<void>;
}

export interface NativeContents {
  format: 'zip' | 'legacy' | 'safetensors';
  architecture: string | null;
  classes: number | null;
  tensors: { name: string; shape: number[]; dtype: string }[];
  /** The run's metadata as JSON, where the file has it. */
  metadata: string | null;
}

/** Its shape, and its elements in row-major order. */
export interface NativeTensor {
  shape: number[];
  data: Float32Array | Uint8Array;
}

/** What one pass of one of the student's convolutions takes by itself. */
export interface NativeConvolutionRate {
  inChannels: number;
  outChannels: number;
  /** Pixels a side. */
  size: number;
  pass: 'forward' | 'inputGradient' | 'weightGradient';
  /** Floating-point operations: a multiplication and an addition are two. */
  flops: number;
  /** The median of the repeats. */
  seconds: number;
}

/** What LibTorch finds itself on. */
export interface NativeMachine {
  /** The folder that its libraries were loaded from. */
  libtorch: string;
  /** The CUDA that it has loaded, such as '13.0'; '' without. */
  cuda: string;
  /** Of the processor, those that make a difference here: 'AVX2', 'AVX-512', 'NEON', 'bf16', 'bf16 matrices'. */
  features: string[];
  /** That it computes on, unless it is told otherwise. */
  threads: number;
  /** Those that it can use, with their memory in bytes; `peak` is the most that this process has held at once. */
  gpus: { device: string; memory: number; free: number; peak: number }[];
}

export interface NativeAddon {
  /** LibTorch's version that the addon was built with, and whether that build knows CUDA. */
  libtorch: string;
  cuda: boolean;
  /** [async] What LibTorch finds itself on. */
  machine(): Promise<NativeMachine>;
  Session: new (options: NativePreprocessing & NativeExecution) => NativeSession;
  Classifier: new (
    options: NativePreprocessing & NativeExecution & { model: string },
  ) => NativeClassifier;
  /** [async] What a checkpoint holds. ERR_CHECKPOINT_…. */
  inspect(path: string): Promise<NativeContents>;
  /** [async] One tensor of a checkpoint as doubles. ERR_CHECKPOINT_…. */
  readTensor(path: string, name: string): Promise<{ shape: number[]; data: Float64Array }>;
  /**
   * [async] Tensors of a checkpoint by name: floating-point ones as float32, uint8 ones as they are.
   * ERR_CHECKPOINT_…; _MISMATCH where there is none such, _NOT_FINITE.
   */
  readTensors(path: string, names: readonly string[]): Promise<NativeTensor[]>;
  /**
   * [async] Writes tensors as safetensors, atomically; `metadata` is JSON, as NativeContents gives it
   * back. ERR_WRITE.
   */
  writeTensors(options: {
    path: string;
    tensors: ({ name: string } & NativeTensor)[];
    metadata: string;
  }): Promise<void>;
  /**
   * [async] Writes the weights of a student or a DenseNet again, with the metadata beside them.
   * ERR_CHECKPOINT_…, ERR_MODEL_ARCHITECTURE, ERR_WRITE.
   */
  convert(options: { from: string; to: string; format: 'pth' | 'safetensors' }): Promise<void>;
  /** [async] Replaces a file in one step. ERR_WRITE. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /**
   * [async] Writes freshly initialised weights: 'student' or a DenseNet's name. As safetensors where
   * the path ends in '.safetensors'. ERR_WRITE.
   */
  createModel(options: {
    path: string;
    architecture: string;
    classes: number;
    seed: number;
  }): Promise<void>;
  /**
   * [async] The distillation loss of one batch in training mode without dropout, and its gradient by
   * each parameter of the student, without taking a step: what parity tests compare.
   * pixels (n, imageSize, imageSize, 3), labels (n), teacherLogits (n, classes).
   */
  gradients(
    options: NativePreprocessing & {
      student: string;
      pixels: Uint8Array;
      labels: Int32Array;
      teacherLogits: Float32Array;
      temperature: number;
      alpha: number;
    },
  ): Promise<{ loss: number; gradients: Record<string, Float64Array> }>;
  /**
   * [async] The cross entropy of one batch and a DenseNet in training mode, its gradient by each
   * parameter, and the running statistics after it. pixels (n, imageSize, imageSize, 3), labels (n).
   */
  teacherGradients(
    options: NativePreprocessing & {
      teacher: string;
      precision: 'fp32' | 'bf16';
      pixels: Uint8Array;
      labels: Int32Array;
      labelSmoothing: number;
    },
  ): Promise<{
    loss: number;
    gradients: Record<string, Float64Array>;
    statistics: Record<string, Float64Array>;
  }>;
  /**
   * [async] What an optimizer makes of values (n) in some steps, whose gradients (steps, n) are given,
   * and what each step is taken with.
   */
  optimize(
    options: NativeOptimization & {
      lr: number;
      /** Steps that the schedule is for, and of these the first ones in which it warms up. */
      totalSteps: number;
      warmupSteps: number;
      values: Float32Array;
      gradients: Float32Array;
    },
  ): Promise<{ values: Float64Array; lr: Float64Array; beta1: Float64Array }>;
  /**
   * [async] Augments pictures (n, from, from, 3) as in one epoch (or for one view, counted from 0):
   * pixels (n, imageSize, imageSize, 3), the same made by the operators that a GPU runs, the
   * normalised images (n, imageSize, imageSize, 3), and left, top, width, height and flip (0 or 1)
   * of each window.
   */
  augment(
    options: NativePreprocessing & {
      from: number;
      pixels: Uint8Array;
      augment: NativeAugmentation;
      seed: number;
      epoch: number;
      threads: number;
    },
  ): Promise<{
    pixels: Uint8Array;
    pixelsByOperators: Uint8Array;
    images: Float64Array;
    windows: Int32Array;
  }>;
  /**
   * [async] The student's convolutions one by one, in channels-last memory, on the CPU: what a step
   * could come down to. The first one's gradient by the pictures is left out, as no step asks for it.
   */
  convolutionRates(options: {
    batchSize: number;
    imageSize: number;
    precision: 'fp32' | 'bf16';
    threads: number;
    repeats: number;
  }): Promise<NativeConvolutionRate[]>;
  /** [async] Shows that a checkpoint could be written there, and removes what killed runs have left in its folder. ERR_WRITE. */
  checkWritable(path: string): Promise<void>;
  /**
   * [async] Makes a folder that the next run removes, should this process be killed before it does: `lock`, a file
   * descriptor, is closed after that. ERR_WRITE.
   */
  makeTemporaryFolder(parent: string): Promise<{ path: string; lock: number }>;
  /**
   * [sync] Ends all work within a batch; what is not settled by then never will be. For the process's
   * end: process.exit() would destroy LibTorch under threads at work.
   */
  shutDown(): void;
}

/**
 * The second addon: it decodes ordinary JPEGs by libjpeg-turbo, in less than half of sharp's time. It stands apart
 * because it needs no LibTorch, and need not be there itself.
 */
export interface NativeJpeg {
  /**
   * [async] Writes the centre crop of a JPEG to `crop`: (size, size, 3) RGB. `source` is a file's path or its bytes;
   * a path is read as well. Runs on one of libuv's threads, in any order, and never rejects. Resolves to false, with
   * anything in `crop`, where the source is something else than an ordinary JPEG without the least damage and of
   * `maxPixels` at most: then sharp is to judge it.
   */
  cropJpeg(options: {
    source: string | Uint8Array;
    size: number;
    maxPixels: number;
    crop: Uint8Array;
  }): Promise<boolean>;
}

let addon: NativeAddon | undefined;

/**
 * The addon, loaded at the first call, so that importing the package needs none.
 *
 * @throws DistillError `ERR_ADDON_MISSING` where it has not been built or does not load.
 */
export function loadAddon(): NativeAddon {
  if (addon) return addon;
  try {
    const loaded = load('distill') as NativeAddon;
    process.on('exit', () => loaded.shutDown());
    addon = loaded;
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    const state = reason?.startsWith('Could not locate')
      ? 'the native addon has not been built'
      : `the native addon does not load (${reason})`;
    throw new DistillError('ERR_ADDON_MISSING', `${state}; run \`npx distill setup\``, { cause });
  }
  return addon;
}

let jpegAddon: NativeJpeg | null | undefined;

/** The addon for JPEGs, loaded at the first call; null where it was not built, or libjpeg-turbo has gone since. */
export function loadJpegAddon(): NativeJpeg | null {
  if (jpegAddon === undefined) {
    try {
      jpegAddon = load('jpeg') as NativeJpeg;
    } catch {
      jpegAddon = null;
    }
  }
  return jpegAddon;
}

function load(name: string): unknown {
  // CommonJS, so that only a call, never an import, depends on it.
  const bindings: typeof Bindings = createRequire(import.meta.url)('bindings');
  const folder = process.env.DISTILL_BUILD || 'build';
  return bindings({
    bindings: name,
    module_root: packageRoot,
    try: [['module_root', folder, 'Release', 'bindings']],
  });
}

/** Awaits a call of the addon, and turns its rejection into a DistillError with a code of lib/errors.ts. */
export async function native<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw toDistillError(error);
  }
}
