import { z } from 'zod';
import {
  averaged,
  between,
  choice,
  dataset,
  fields,
  partialShare,
  pixelSteps,
  preprocessing,
  training,
  whole,
} from './fields.js';
import type { Expect, Holds } from './held.js';
import { metaOf, option } from './option.js';
import type { PixelOptions } from './preprocessing.js';
import type { TrainingOptions } from './training.js';

/** Options of `teach()`. Paths are relative to the current folder. */
export interface TeachOptions extends TrainingOptions, PixelOptions {
  /**
   * The file to write the teacher to: as safetensors where the name ends in `.safetensors`, else as a `.pth`. A teacher
   * that this package wrote is replaced by the first save; another file needs `overwrite`.
   */
  teacher: string;
  /**
   * The teacher's network: torchvision's `'densenet121'`, `'densenet161'`, `'densenet169'`, `'densenet201'`, `'resnet18'`,
   * `'resnet34'`, `'resnet50'`, `'resnet101'`, `'resnet152'`, `'mobilenet_v2'`, `'mobilenet_v3_small'`,
   * `'mobilenet_v3_large'`, `'efficientnet_b0'` or `'shufflenet_v2_x0_5'`, CIFAR's `'resnet20'` or `'resnet32'`, or timm's
   * `'resnet10t'`, `'resnet14t'`, `'resnet18d'`, `'resnet26'`, `'resnet26d'`, `'resnet34d'`, `'resnet50d'`, `'resnet101d'`
   * or `'resnet152d'`. Default: that of `weights`, else 'densenet121'.
   */
  architecture?: (typeof ARCHITECTURES)[number] | undefined;
  /**
   * A file of weights to start from, such as torchvision's for ImageNet. Its last layer is replaced by a fresh one, unless
   * the file says that it has the same classes: then it is validated first, and `teacher` holds it until an epoch is
   * better. Default: fresh weights, those of `torch.manual_seed(seed)` and torchvision's constructor.
   */
  weights?: string | undefined;
  /** Takes the averaged (EMA) weights of the file of `weights`, where it has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /** Means of red, green and blue, in 0..1. Default: those in the file of `weights`, else ImageNet's, 0.485, 0.456, 0.406. */
  mean?: readonly [number, number, number] | undefined;
  /**
   * Standard deviations of red, green and blue, in 0.0001..1. Default: those in the file of `weights`, else ImageNet's,
   * 0.229, 0.224, 0.225.
   */
  std?: readonly [number, number, number] | undefined;
  /** The side of the square that the network sees, in pixels, 32 or more. Default: that in the file of `weights`, else 224. */
  imageSize?: number | undefined;
  /** Passes over the training pictures; all of them are made. Default 30. */
  epochs?: number | undefined;
  /** The learning rate; the largest one where a `schedule` changes it. Default 1e-3. */
  lr?: number | undefined;
  /** Pictures per training step, 2 or more; a last batch of a single picture is left out. Default 32. */
  batchSize?: number | undefined;
  /** `'adamw'`, whose weight decay is no part of the gradient, or `'adam'`, which has none. Default 'adamw'. */
  optimizer?: 'adamw' | 'adam' | undefined;
  /**
   * The epoch whose teacher is kept: the most accurate one, and of equals the one with the lesser loss (`'accuracy'`); the one
   * with the least loss (`'loss'`); or the last one that improved both (`'accuracy-and-loss'`). `patience` waits for the same.
   * Default 'accuracy'.
   */
  monitor?: 'accuracy-and-loss' | 'accuracy' | 'loss' | undefined;
  /** AdamW's weight decay. Default: 0.01 with 'adamw'. */
  weightDecay?: number | undefined;
  /** The share of each label that goes to all classes alike, in [0, 1). A teacher of students is better off without. Default 0. */
  labelSmoothing?: number | undefined;
  /**
   * First epochs in which the features are frozen, BatchNorm's statistics as well, and the last layer alone learns: for
   * `weights` that are good already. Default 0.
   */
  freezeEpochs?: number | undefined;
  /**
   * The course of the learning rate, step by step. `'one-cycle'` is PyTorch's `OneCycleLR`: by cosines from `lr` / 25 up to
   * `lr` in the first 30 % of the steps, then down to `lr` / 250,000; beta1 goes the other way between 0.95 and 0.85.
   * `'cosine'` goes up to `lr` linearly during `warmup`, then down to zero. `'constant'` does not change it. Default 'one-cycle'.
   */
  schedule?: TrainingOptions['schedule'];
  /**
   * Changes to training pictures, new ones each time a picture is shown:
   *
   * - `'crop'` takes a square of `imageSize` from a random place instead of the middle;
   * - `'resized-crop'` takes a box from a random place, of `cropScale` to all of the area and of a ratio of 3:4 to 4:3, and
   *   resizes it bilinearly, as torchvision's `RandomResizedCrop` without antialiasing;
   * - `'flip'` mirrors every other picture left to right.
   *
   * Default: `['crop', 'flip']`.
   */
  augment?: TrainingOptions['augment'];
}

/** The networks that can be teachers by name, in the order of the addon's `architectures()`. */
export const ARCHITECTURES = [
  'densenet121',
  'densenet161',
  'densenet169',
  'densenet201',
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mobilenet_v3_large',
  'efficientnet_b0',
  'shufflenet_v2_x0_5',
  'resnet20',
  'resnet32',
  'resnet10t',
  'resnet14t',
  'resnet18d',
  'resnet26',
  'resnet26d',
  'resnet34d',
  'resnet50d',
  'resnet101d',
  'resnet152d',
] as const;

const FROM_WEIGHTS = 'from the file of `weights`, or';

/** The default weight decay of the optimizer 'adamw', as PyTorch's. */
export const ADAMW_WEIGHT_DECAY = 0.01;

export const teachOptions = z.strictObject({
  teacher: option(fields.file, {
    help: 'the .pth or .safetensors to write',
    synonyms: 'teacherModel teacherPath teacherFile dstModel model output out outFile save',
    resume: 'free',
  }),
  architecture: option(choice(...ARCHITECTURES).optional(), {
    help: 'the network, by the name that torchvision or timm gives it',
    placeholder: 'name',
    shown: `${FROM_WEIGHTS} densenet121`,
    synonyms: 'arch network backbone',
  }),
  weights: option(fields.file.optional(), {
    help: "a file of weights to start from, such as torchvision's",
    shown: 'fresh weights',
    synonyms: 'pretrained pretrainedWeights initialWeights initialTeacher checkpoint',
  }),
  averaged: option(averaged, {
    help: 'take the averaged (EMA) weights of the file of `weights`, where it has both',
  }),
  ...dataset,
  mean: option(preprocessing.mean.optional(), { shown: `${FROM_WEIGHTS} ImageNet's` }),
  std: option(preprocessing.std.optional(), { shown: `${FROM_WEIGHTS} ImageNet's` }),
  ...pixelSteps,
  imageSize: option(training.imageSize, { shown: `${FROM_WEIGHTS} 224` }),
  epochs: option(fields.epochs.default(30), { help: 'passes over the training pictures' }),
  lr: option(fields.lr.default(1e-3), { help: 'the learning rate, or the largest of a schedule' }),
  schedule: fields.schedule.default('one-cycle'),
  warmup: training.warmup,
  batchSize: option(whole(2, 4096).default(32), metaOf(fields.batchSize)),
  shuffle: training.shuffle,
  sampler: training.sampler,
  classWeights: training.classWeights,
  weightDecay: option(between(0, 1).optional(), {
    help: "AdamW's weight decay",
    placeholder: 'rate',
    shown: `${ADAMW_WEIGHT_DECAY} for adamw`,
    synonyms: 'wd decay l2',
    recorded: 'always',
  }),
  labelSmoothing: option(partialShare.default(0), {
    help: 'the share of each label that goes to all classes alike',
    placeholder: 'share',
    synonyms: 'smoothing',
    recorded: 'always',
  }),
  freezeEpochs: option(whole(0, 1e9).default(0), {
    help: 'first epochs in which the last layer alone learns',
    synonyms: 'freeze freezeBackbone',
    recorded: 'always',
  }),
  seed: training.seed,
  monitor: option(
    choice('accuracy-and-loss', 'accuracy', 'loss').default('accuracy'),
    metaOf(training.monitor),
  ),
  patience: training.patience,
  minDelta: training.minDelta,
  maxSeconds: training.maxSeconds,
  optimizer: option(choice('adamw', 'adam').default('adamw'), {
    help: 'the optimizer',
    placeholder: 'name',
    synonyms: 'optim',
    recorded: 'always',
  }),
  augment: option(training.augment, { shown: 'crop,flip' }),
  storeSize: training.storeSize,
  cropScale: training.cropScale,
  precision: training.precision,
  device: training.device,
  threads: training.threads,
  onBadImage: training.onBadImage,
  maxPixels: training.maxPixels,
  cacheMemory: training.cacheMemory,
  cacheDir: training.cacheDir,
  runDir: training.runDir,
  resume: training.resume,
  checkpointEvery: training.checkpointEvery,
  overwrite: training.overwrite,
  signal: training.signal,
});

export type _Held = Expect<Holds<TeachOptions, typeof teachOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedTeachOptions = z.output<typeof teachOptions>;
