/**
 * The contract of the native addons, written by hand: all that crosses between JavaScript and C++.
 *
 * `[sync]` returns at once. `[async]` runs on a thread of the addon and settles its promise exactly
 * once, in the order of the calls on one object; it rejects with an `Error` that has a `code`, among
 * them ERR_THREADS where no thread can be made, and ERR_OUT_OF_MEMORY.
 *
 * C++ has no defaults of its own: every field is required, and a missing or unknown field, an unknown
 * name or a value of another type is refused with an error that names the field
 * (ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE).
 *
 * Plain values are copied when a call is made. Typed arrays are borrowed: the caller keeps them
 * unchanged until the promise settles.
 */

/** The preprocessing that makes a network's input of a picture. */
export interface NativePreprocessing {
  /** Side of the centre crop, in pixels. */
  imageSize: number;
  /** R, G, B, of values in 0..1. */
  mean: readonly number[];
  /** As `mean`; above 0. */
  std: readonly number[];
}

/** The device, the number format and the threads of a computation. */
export interface NativeExecution {
  /** 'auto', 'cpu', 'cuda' or 'cuda:N'. */
  device: string;
  /** Format of the convolutions; 'auto' is bf16 where the processor multiplies it natively. */
  precision: 'auto' | 'fp32' | 'bf16';
  /** 0: LibTorch's choice. */
  threads: number;
}

/** Random changes to training pictures, drawn anew in each epoch. */
export interface NativeAugmentation {
  /** 'random': any place; 'resized': a box of any place and size, resized. */
  crop: 'center' | 'random' | 'resized';
  /** The smallest box's share of the picture's area; of 'resized' alone. */
  minScale: number;
  /** Mirrors every other picture, left to right. */
  flip: boolean;
}

export interface NativeStore {
  imageSize: number;
  classes: number;
  /** Pictures at most. */
  trainCapacity: number;
  valCapacity: number;
  /** Side of the training pictures in the store, in pixels; `imageSize` where nothing crops them later. */
  trainSize: number;
  /** Views of each training picture in the store, each with the teacher's logits. */
  views: number;
  /** Makes a view of a picture that is appended; null: pictures go into the store as they are. */
  view: NativeAugmentation | null;
  /** True where the store holds a teacher's logits for the training pictures. */
  hasTeacher: boolean;
  /** Its place while it is in use: memory, or a file without a name. */
  place: 'memory' | 'temporary';
  /** The folder of that file, and of the kept one. */
  folder: string;
  /** 64 hexadecimal digits that stand for everything the store's contents follow from; '' where it is not kept. */
  fingerprint: string;
  /** True where it is written to a file for later runs as well. */
  kept: boolean;
  /**
   * A file that keeps the teacher's answers as they are given, where the run has a folder: with the same fingerprint they are
   * not asked for again. Null: they are not kept.
   */
  answers: { file: string; fingerprint: string } | null;
}

/** Pictures on their way into a store. */
export interface NativeBatch {
  split: 'train' | 'val';
  /** (n, size, size, 3) RGB. */
  pixels: Uint8Array;
  /** Side of the pictures, in pixels. */
  size: number;
  /** (n): classes; -1 for a training picture without a label. */
  labels: Int32Array;
  /** (n): each picture's place in the list of files. */
  sources: Int32Array;
  /** True where the teacher's logits for them go into the store. */
  answered: boolean;
  /**
   * (n, classes), of pictures that are `answered` where no teacher is loaded; else null. Where training pictures become
   * views, (n * views, classes): the answers for what `views()` returns of them.
   */
  teacherLogits: Float32Array | null;
}

/** The course of the learning rate. */
export interface NativeSchedule {
  /** A name in the table of core/training/schedule.cpp: 'constant', 'one-cycle' or 'cosine'. */
  schedule: string;
  /** Epochs of the cosine schedule in which the learning rate grows. */
  warmup: number;
}

export interface NativeOptimizer {
  /** A name in the table of core/training/optimizer.cpp: 'adam' or 'adamw'. */
  optimizer: string;
  /** Decoupled, of 'adamw' alone. */
  weightDecay: number;
}

/** The state of a training in its file, behind each epoch, each `every` seconds and in the end. */
export interface NativeKeep {
  /** The file of the state: safetensors. */
  state: string;
  /** The file of the network as the last epoch left it. */
  last: string;
  /** Seconds between two states within an epoch. */
  every: number;
  /** Goes on from the state, as if it had never been interrupted. ERR_STATE where it has another fingerprint, or is none. */
  resume: boolean;
  /** Stands for all that the training's numbers follow from. */
  fingerprint: string;
}

/** What a training's state tells. */
export interface NativeState {
  fingerprint: string;
  /** The epoch under way, and its steps that are done. */
  epoch: number;
  step: number;
  /** Of the run. */
  seconds: number;
  /** The epochs that have ended, without `stepLosses`; the first may be epoch 0. */
  epochs: NativeEpoch[];
}

/** The options that every training has. */
export interface NativeTraining extends NativeSchedule, NativeOptimizer {
  epochs: number;
  /** The largest that the schedule reaches. */
  lr: number;
  /** A name in the table of core/training/loss.cpp: 'distillation', or 'cross-entropy', which needs no teacher. */
  loss: string;
  /** By class: the weight of its pictures in the labels' term of the loss, as PyTorch's `weight`. Null: all weigh the same. */
  classWeights: readonly number[] | null;
  batchSize: number;
  /** A name in the table of core/training/sampler.cpp: 'sequential', 'shuffle' or 'balanced'. */
  sampler: string;
  /** Seed of the initial weights, the order, the dropout and the augmentation. */
  seed: number;
  /** Null: pictures are shown as the store holds them. */
  augment: NativeAugmentation | null;
  /** The condition that makes a network the best so far: accuracy and loss both improve, or one of them, or the agreement. */
  monitor: 'accuracy-and-loss' | 'accuracy' | 'loss' | 'agreement';
  /** True for a training that ends early, at a validation loss below 0.0001 or an accuracy above 0.9999. */
  earlyStop: boolean;
  /** Epochs without a better one before the training ends; null: it does not end for that. */
  patience: number | null;
  /** What an epoch has to be better by to count for `patience`. */
  minDelta: number;
  /** Seconds of the run before the training ends; null: any. */
  maxSeconds: number | null;
  /** The run's seconds before this training, those before an interruption included. */
  elapsed: number;
  /**
   * The files of the best network, written atomically, each in the format that its name's end tells ('.safetensors', '.pt2',
   * else .pth).
   */
  files: readonly string[];
  /** How the training's state is kept; null: it is not. */
  keep: NativeKeep | null;
  /**
   * A file with the network that the training starts from, where it is good already, or ''. It is validated first, as
   * epoch 0, of which only the validation's numbers are reported, and is the best so far: it goes to `files`, unless it lies
   * there.
   */
  start: string;
  /** True where `files` may replace others that are no such network with metadata; else ERR_EXISTS. */
  overwrite: boolean;
  /** A JSON object; `epoch` and `metrics` are added to it in the network's file. */
  metadata: string;
}

export interface NativeTrainConfig extends NativeTraining {
  /** Softens the logits of teacher and student. */
  temperature: number;
  /** Weighs the teacher's (soft) term. At 0, epochs show labelled pictures alone: nothing learns from others. */
  alpha: number;
  /** The student's network: one of `architectures()` with the role 'student', or the path of a `.pt2`. */
  architecture: string;
  /** All channels times this; 1 where the network has no other widths. */
  width: number;
  /** Dropout before the last layer; null: the network's own. */
  dropRate: number | null;
  /** A checkpoint to start from, or ''. */
  initialStudent: string;
  /** True where epochs report `valAgreement`; the store then holds the teacher's logits for the validation pictures. */
  agreement: boolean;
}

/** The student of a training, and the pictures that it is to learn from. */
export type NativeStudentCheck = Pick<
  NativeTrainConfig,
  'architecture' | 'width' | 'dropRate' | 'initialStudent'
> & { classes: number; imageSize: number };

export interface NativeTeachConfig extends NativeTraining {
  labelSmoothing: number;
  /** One of architectures() that can teach; that of `weights` where they are given. */
  architecture: string;
  /** A checkpoint to start from, or ''. */
  weights: string;
  /** Takes its averaged weights, where it has plain ones as well. */
  averaged: boolean;
  /** True where the last layer of `weights` is kept: its classes are the same. */
  keepHead: boolean;
  /** First epochs in which all but the last layer is frozen. */
  freezeEpochs: number;
}

export interface NativeEpoch {
  /** From 1; 0: the network that the training starts from. */
  epoch: number;
  trainLoss: number;
  trainAccuracy: number;
  valLoss: number;
  valAccuracy: number;
  /** The share of validation pictures for which teacher and student have the same most likely class. */
  valAgreement: number | null;
  /** The loss of each training batch, in order; empty where the epoch was run before an interruption. */
  stepLosses: Float64Array;
  trainSeconds: number;
  valSeconds: number;
  /** The training's seconds in each phase, summed over its steps. */
  phaseSeconds: {
    gather: number;
    forward: number;
    loss: number;
    backward: number;
    optimizer: number;
  };
  /** True where this epoch's network is the best so far, and in the files. */
  saved: boolean;
}

/** 'max-seconds' and 'stopped' end a training within an epoch, which then counts as not run. */
export type StopReason = 'completed' | 'early-stop' | 'patience' | 'max-seconds' | 'stopped';

export interface NativeTrainResult {
  stopReason: StopReason;
  best: NativeEpoch | null;
  last: NativeEpoch | null;
  /** The epoch that each monitor would have kept; 0: the network that the training started from; null: none. */
  keptBy: Record<NativeTraining['monitor'], number | null>;
}

/** One training: a thread with a prepared store and, for a distillation, a teacher. */
export interface NativeSession {
  /**
   * [async] Chooses device, precision and threads; resolves to the choice, and to the reason why 'auto' has no GPU where
   * LibTorch is built for one. ERR_DEVICE.
   */
  open(): Promise<{ device: string; precision: 'fp32' | 'bf16'; warning: string | null }>;
  /**
   * [async] Reads a teacher; `averaged`: its averaged weights, where the file has plain ones as well.
   * ERR_CHECKPOINT_…, ERR_TEACHER_ARCHITECTURE.
   */
  loadTeacher(
    path: string,
    averaged: boolean,
  ): Promise<{ architecture: string; classes: number; parameters: number }>;
  /** [async] Makes an empty store, in memory or in a file. ERR_CACHE, ERR_OUT_OF_MEMORY. */
  createStore(store: NativeStore): Promise<void>;
  /**
   * [async] Takes over a copy of the kept store of an earlier run. Resolves to the places of its pictures in the lists of
   * files, or to null where there is no store that is whole and fits, or it was stopped. ERR_CACHE where the file may be
   * another user's, ERR_OUT_OF_MEMORY.
   */
  reopenStore(store: NativeStore): Promise<{ train: Int32Array; val: Int32Array } | null>;
  /**
   * [async] Returns the pixels that `append()` makes of training pictures, for a teacher that answers outside of the addon:
   * (n * views, imageSize, imageSize, 3), the views of each picture side by side. They depend on `sources` alone, so that
   * `append()` of the same pictures puts these very pixels into the store.
   */
  views(pictures: Pick<NativeBatch, 'pixels' | 'size' | 'sources'>): Promise<Uint8Array>;
  /**
   * [async] Resolves to true where the teacher's answers for all of these pictures are kept in the file `answers`: then
   * `append()` needs none.
   */
  hasAnswers(pictures: Pick<NativeBatch, 'split' | 'sources'>): Promise<boolean>;
  /**
   * [async] Copies pictures, or views of them, into the store, and asks the teacher about those that are `answered`.
   * ERR_NOT_FINITE.
   */
  append(batch: NativeBatch): Promise<void>;
  /** [async] The store is complete: the teacher goes, a kept file is written. ERR_CACHE. */
  sealStore(): Promise<void>;
  /**
   * [async] The teacher's scores on labelled pictures that are answered, in all their views, beside the most common class
   * and its share of these pictures.
   */
  validateTeacher(
    split: 'train' | 'val',
  ): Promise<{ loss: number; accuracy: number; commonest: number; share: number }>;
  /**
   * [async] Trains a student on the store; may be called again. `onEpoch` is called on the JavaScript thread; an error
   * that it throws ends the training, which rejects with it. ERR_NOT_FINITE, ERR_CHECKPOINT_…, ERR_STATE, ERR_WRITE.
   */
  train(
    config: NativeTrainConfig,
    onEpoch: (epoch: NativeEpoch) => void,
  ): Promise<NativeTrainResult>;
  /** [async] Trains a teacher on the store's labelled pictures. As `train`; also ERR_TEACHER_ARCHITECTURE. */
  teach(
    config: NativeTeachConfig,
    onEpoch: (epoch: NativeEpoch) => void,
  ): Promise<NativeTrainResult>;
  /** [sync] Ends a training after its batch, with the stop reason 'stopped'. */
  stop(): void;
  /** [sync] The progress of a training: epoch from 1, batches of this epoch done and in all. */
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
   * [async] Reads the model; resolves to the reason why 'auto' has no GPU where LibTorch is built for one.
   * ERR_CHECKPOINT_…, ERR_MODEL_ARCHITECTURE, ERR_DEVICE.
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
  format: 'zip' | 'legacy' | 'pt2' | 'safetensors';
  architecture: string | null;
  classes: number | null;
  /** The width of a 'cnn'; null for other networks. */
  width: number | null;
  /** The graph of a file that has one: what it says of itself, and the number of calls of each operator. */
  graph: {
    /** The class of the model, such as 'torchvision.models.resnet.ResNet'. */
    module: string | null;
    /** The version of PyTorch that exported it. */
    torch: string | null;
    operators: Record<string, number>;
    /** Side of its pictures, in pixels, where it takes one size alone. */
    imageSize: number | null;
    /** The reason why it cannot be used; null where it can. */
    refusal: string | null;
  } | null;
  /** The reason why no architecture is recognised, where one is known: a sentence without a full stop. */
  problem: string | null;
  /** The place of the weights in the file. */
  weights: {
    /** Keys of the dicts around them, joined by dots; '' for the file's own dict. */
    key: string;
    /** The beginning of all names, which is taken off. */
    prefix: string;
    /** The name that the last layer has in the file, where it is another than the architecture's. */
    head: string | null;
    /** True for averaged weights. */
    averaged: boolean;
  };
  /** The names of the file's other entries, 64 at most. */
  passedOver: string[];
  tensors: { name: string; shape: number[]; dtype: string }[];
  /** The run's metadata as JSON, where the file has it. */
  metadata: string | null;
  /** Other texts in a safetensors file's metadata, 64 of up to a MiB at most. */
  otherMetadata: { name: string; text: string }[];
}

/** A tensor: its shape, and its elements in row-major order. */
export interface NativeTensor {
  shape: number[];
  data: Float32Array | Uint8Array | BigInt64Array;
}

/** Time and work of one pass of one of the student's convolutions by itself. */
export interface NativeConvolutionRate {
  inChannels: number;
  outChannels: number;
  /** Side of the pictures, in pixels. */
  size: number;
  pass: 'forward' | 'inputGradient' | 'weightGradient';
  /** Floating-point operations: a multiplication and an addition are two. */
  flops: number;
  /** The median of the repeats. */
  seconds: number;
}

/** The machine as LibTorch sees it. */
export interface NativeMachine {
  /** The folder that its libraries were loaded from. */
  libtorch: string;
  /** The CUDA that it has loaded, such as '13.0'; '' without. */
  cuda: string;
  /** Instructions of the processor that make a difference here: 'AVX2', 'AVX-512', 'NEON', 'bf16', 'bf16 matrices'. */
  features: string[];
  /** Threads that it computes with by default. */
  threads: number;
  /** GPUs that it can use, with their memory in bytes; `peak` is the most that this process has held at once. */
  gpus: { device: string; memory: number; free: number; peak: number }[];
}

/** The options of a session. */
export type NativeSessionOptions = NativePreprocessing & NativeExecution;

/** The options of a classifier. */
export type NativeClassifierOptions = NativePreprocessing &
  NativeExecution & {
    model: string;
    /** Takes its averaged weights, where it has plain ones as well. */
    averaged: boolean;
  };

export interface NativeAddon {
  /** The version of LibTorch that the addon was built with. */
  libtorch: string;
  /** True where the LibTorch that is loaded is built for CUDA. */
  cuda: boolean;
  /** [async] Describes the machine. */
  machine(): Promise<NativeMachine>;
  Session: new (options: NativeSessionOptions) => NativeSession;
  /** [async] Reads what a training's state tells. ERR_STATE. */
  readState(path: string): Promise<NativeState>;
  /**
   * [async] Locks a folder until the file descriptor that it resolves to is closed, or the process ends; null where another
   * one holds the lock. ERR_WRITE.
   */
  lockFolder(path: string): Promise<number | null>;
  Classifier: new (options: NativeClassifierOptions) => NativeClassifier;
  /**
   * [async] Lists the contents of a checkpoint; `averaged`: with its averaged weights, where it has plain ones as well.
   * ERR_CHECKPOINT_….
   */
  inspect(path: string, averaged: boolean): Promise<NativeContents>;
  /**
   * [async] Returns the JSON of a model's graph: the one in its file, or that of its architecture.
   * ERR_CHECKPOINT_…, ERR_MODEL_ARCHITECTURE where there is neither.
   */
  readGraph(path: string): Promise<string>;
  /** [async] Reads one tensor of a checkpoint, or a constant of an exported program, as doubles. ERR_CHECKPOINT_…. */
  readTensor(path: string, name: string): Promise<{ shape: number[]; data: Float64Array }>;
  /**
   * [async] Reads tensors of a checkpoint, or constants of an exported program, by name: floating-point ones as float32, uint8 ones as they are, booleans as
   * bytes, other integers as int64. ERR_CHECKPOINT_…; _MISMATCH where there is none such, _NOT_FINITE.
   */
  readTensors(path: string, names: readonly string[], averaged: boolean): Promise<NativeTensor[]>;
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
   * [async] Writes the weights of a network again, with the metadata beside them.
   * ERR_CHECKPOINT_…, ERR_MODEL_ARCHITECTURE, ERR_WRITE.
   */
  convert(options: {
    from: string;
    to: string;
    format: 'pth' | 'pt2' | 'safetensors';
    averaged: boolean;
  }): Promise<void>;
  /** [async] Replaces a file in one step. ERR_WRITE. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** [async] The kinds of network that there are, in the order in which a file is compared with them. */
  architectures(): Promise<{ name: string; roles: ('teacher' | 'student')[] }[]>;
  /**
   * [async] Writes freshly initialised weights: one of architectures(). As safetensors where
   * the path ends in '.safetensors'. ERR_MODEL_ARCHITECTURE, ERR_WRITE.
   */
  createModel(options: {
    path: string;
    architecture: string;
    classes: number;
    seed: number;
  }): Promise<void>;
  /**
   * [async] Makes the student of a training, shows it a picture and forgets it. Resolves to its architecture, the number of its
   * parameters, the fewest pictures of a training step, and the number of classes of the file that it is made of, where
   * its last layer is replaced as the pictures have another; else null. Rejects as `train` would.
   */
  checkStudent(options: NativeStudentCheck): Promise<{
    architecture: string;
    parameters: number;
    smallestBatch: number;
    replacedClasses: number | null;
  }>;
  /**
   * [async] Computes the loss of one batch in training mode without dropout, and its gradient by each parameter of the
   * student, without taking a step: parity tests compare them.
   * pixels (n, imageSize, imageSize, 3), labels (n), teacherLogits (n, classes).
   */
  gradients(
    options: NativePreprocessing &
      Pick<NativeTrainConfig, 'loss' | 'temperature' | 'alpha' | 'classWeights'> & {
        student: string;
        pixels: Uint8Array;
        labels: Int32Array;
        teacherLogits: Float32Array;
      },
  ): Promise<{ loss: number; gradients: Record<string, Float64Array> }>;
  /**
   * [async] Computes the cross entropy of one batch and a DenseNet in training mode, its gradient by each
   * parameter, and the running statistics after it. pixels (n, imageSize, imageSize, 3), labels (n).
   */
  teacherGradients(
    options: NativePreprocessing & {
      teacher: string;
      precision: 'fp32' | 'bf16';
      pixels: Uint8Array;
      labels: Int32Array;
      labelSmoothing: number;
      classWeights: readonly number[] | null;
    },
  ): Promise<{
    loss: number;
    gradients: Record<string, Float64Array>;
    statistics: Record<string, Float64Array>;
  }>;
  /**
   * [async] Takes optimizer steps on values (n) with the given gradients (steps, n). Resolves to the values after them,
   * and to the learning rate and beta1 of each step.
   */
  optimize(
    options: Pick<NativeSchedule, 'schedule'> &
      NativeOptimizer & {
        lr: number;
        /** Steps of the whole schedule, and of these the first ones in which it warms up. */
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
   * [async] Measures the student's convolutions one by one, in channels-last memory, on the CPU: the least time that a
   * step could take. The first one's gradient by the pictures is left out, as no step computes it.
   */
  convolutionRates(options: {
    batchSize: number;
    imageSize: number;
    precision: 'fp32' | 'bf16';
    threads: number;
    repeats: number;
  }): Promise<NativeConvolutionRate[]>;
  /** [async] Checks that a checkpoint could be written there, and removes files that killed runs have left in its folder. ERR_WRITE. */
  checkWritable(path: string): Promise<void>;
  /**
   * [async] Makes a folder that the next run removes, should this process be killed before it does: `lock`, a file
   * descriptor, is closed after that. ERR_WRITE.
   */
  makeTemporaryFolder(parent: string): Promise<{ path: string; lock: number }>;
  /**
   * [sync] Ends all work within a batch; promises that are not settled by then never will be. Called when the process
   * exits: process.exit() would destroy LibTorch under threads at work.
   */
  shutDown(): void;
}

/** The steps from a decoded picture to a network's pixels, in this order. Sizes are in pixels. */
export interface NativePixelSteps {
  /** 1..8, as EXIF numbers them. */
  orientation: number;
  /** The shorter side, or height and width; `null`: not resized. */
  resize: readonly number[] | null;
  interpolation: 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'nearest';
  /** Left, top, right, bottom. */
  padding: readonly number[];
  /** Without it, the picture is a square of `imageSize` when it has been resized and padded. */
  crop: boolean;
  /** The rounding of half of a surplus that a crop takes away at the start: to the even number, or down. */
  cropRounding: 'even' | 'down';
  imageSize: number;
}

/** The second addon: it resamples decoded pictures. It needs no LibTorch. */
export interface NativePixels {
  /**
   * [sync] The region of a picture of width x height pixels, as it is stored, that the steps look at.
   * ERR_BAD_IMAGE, with a phrase about the picture, where it is too long to be resized.
   */
  visibleRegion(options: { width: number; height: number; steps: NativePixelSteps }): {
    left: number;
    top: number;
    width: number;
    height: number;
  };
  /**
   * [async] Fills `pixels` (imageSize, imageSize, 3) from the visible region (height, width, 3), both RGB, on one of
   * libuv's threads. ERR_BAD_IMAGE as above, ERR_OUT_OF_RANGE where a picture without a crop has another size.
   */
  fillPixels(options: {
    width: number;
    height: number;
    steps: NativePixelSteps;
    region: Uint8Array;
    pixels: Uint8Array;
  }): Promise<void>;
}

/**
 * The third addon: it decodes ordinary JPEGs by libjpeg-turbo, in less than half of sharp's time. It stands apart
 * because it needs no LibTorch, and need not be there itself.
 */
export interface NativeJpeg {
  /**
   * [async] Fills `pixels` (imageSize, imageSize, 3) RGB from a JPEG. `source` is a file's path or its bytes;
   * a path is read as well. Runs on one of libuv's threads, in any order, and never rejects. Resolves to false, with
   * anything in `pixels`, where the source is something else than an ordinary JPEG without the least damage and of
   * `maxPixels` at most: then sharp decodes it.
   */
  readJpeg(options: {
    source: string | Uint8Array;
    steps: NativePixelSteps;
    maxPixels: number;
    pixels: Uint8Array;
  }): Promise<boolean>;
}
