import { z } from 'zod';
import { architecture } from './architectures.js';
import {
  averaged,
  choice,
  dataset,
  fields,
  partialShare,
  pixelSteps,
  preprocessing,
  training,
  unlabeled,
  whole,
} from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';
import type { PixelOptions } from './preprocessing.js';
import type { TrainingOptions } from './training.js';

const FROM_TEACHER = { shown: "from the teacher's file" };

/** Options of `distill()`. Paths are relative to the current folder. */
export interface DistillOptions extends TrainingOptions, PixelOptions {
  /**
   * The teacher: the state dict of a torchvision DenseNet or ResNet or another network that
   * docs/teachers-and-students.md lists, as `.pth` or `.safetensors`, or any classifier as `.onnx`, which
   * needs `onnxruntime-node` or `onnxruntime-web`. Either this or `teacherLogits`.
   */
  teacher?: string | undefined;
  /** Takes the averaged (EMA) weights of a teacher's file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /**
   * Instead of `teacher`: a safetensors file of its logits, which `teacherLogits()` or any other program wrote. Each
   * training picture is found in it by its path from the dataset's folder, such as `train/ants/1.jpg`.
   */
  teacherLogits?: string | undefined;
  /**
   * Pictures without a class, which are trained on besides those of the dataset by the teacher's term of the loss alone: a folder
   * (searched recursively), a manifest or an archive. A file of logits names them `unlabeled/1.jpg`. Default: there are none.
   */
  unlabeled?: string | undefined;
  /**
   * The file to write the student to: as safetensors where the name ends in `.safetensors`, as an exported program where in
   * `.pt2`, else as a `.pth`. A student
   * that this package wrote is replaced by the first save; another file needs `overwrite`.
   */
  student: string;
  /**
   * The student's network: `'cnn'`, the reference's; `'resnet20'` or `'resnet32'`, CIFAR's; torchvision's `'resnet18'`,
   * `'mobilenet_v3_small'` or `'shufflenet_v2_x0_5'`; or the path of a `.pt2` that `torch.export.save` wrote, whose weights
   * the student starts from. docs/teachers-and-students.md compares them. Default 'cnn'.
   */
  architecture?: string | undefined;
  /**
   * Of the architecture `'cnn'`: all channels times this, a multiple of 0.25 in 0.25..8. Parameters and arithmetic grow with
   * its square; the reference's has 1. Default 1.
   */
  width?: number | undefined;
  /**
   * Means of red, green and blue, in 0..1, that the teacher was trained with; `datasetStats()` measures a dataset's.
   * Default: those in the teacher's file, which `teach()` writes.
   */
  mean?: readonly [number, number, number] | undefined;
  /**
   * Standard deviations of red, green and blue, in 0.0001..1, that the teacher was trained with. Default: those in the
   * teacher's file.
   */
  std?: readonly [number, number, number] | undefined;
  /** Passes over the training pictures, at most. Default 500. */
  epochs?: number | undefined;
  /** Adam's learning rate; the largest one where a `schedule` changes it. Default 1e-4. */
  lr?: number | undefined;
  /** Dropout before the last layer, in [0, 1). Default: 0.2 for the architecture `'cnn'`, else the network's own. */
  dropRate?: number | undefined;
  /** Softens both models' answers before they are compared, 0.01 to 1000; greater is softer. Default 2. */
  temperature?: number | undefined;
  /**
   * The weight of the *teacher's* (soft) term of the loss, in 0..1; the labels' (hard) term weighs `1 - alpha`. Other
   * systems use alpha for the opposite. Default 0.7.
   */
  alpha?: number | undefined;
  /**
   * The loss that the student learns from. `'distillation'`, of Hinton, Vinyals and Dean (2015), is
   * alpha · T² · KL(teacher ‖ student) + (1 - alpha) · CE(labels, student), where T is `temperature`. Default 'distillation'.
   */
  loss?: 'distillation' | undefined;
  /** Pictures per training step. Default 4. */
  batchSize?: number | undefined;
  /** The side of the square that a network sees, in pixels. Default: that in the teacher's file, else 224. */
  imageSize?: number | undefined;
  /**
   * A student's file to start from. It is validated first and counts as the best so far: `student` holds it until an
   * epoch is better; where both are the same file, that stays as it is until then. Default: fresh weights.
   */
  initialStudent?: string | undefined;
  /**
   * The epoch whose student is kept: the last one that improved validation accuracy *and* loss (`'accuracy-and-loss'`); the
   * most accurate one (`'accuracy'`), the one that agrees with the teacher most often (`'agreement'`), of equals the one with
   * the lesser loss; or the one with the least loss (`'loss'`). `patience` waits for the same. Default 'accuracy-and-loss'.
   */
  monitor?: 'accuracy-and-loss' | 'accuracy' | 'loss' | 'agreement' | undefined;
  /**
   * Augmented views of each training picture that are kept, each with the teacher's answer for exactly these pixels;
   * epochs show them in turn (epoch 1 the first of every picture). They are the same in every run, whatever its seed.
   * Memory and the teacher's work grow with them. Default 1.
   */
  views?: number | undefined;
  /**
   * Changes to training pictures that the views are made by:
   *
   * - `'crop'` takes a square of `imageSize` from a random place instead of the middle;
   * - `'resized-crop'` takes a box from a random place, of `cropScale` to all of the area and of a ratio of 3:4 to 4:3, and
   *   resizes it bilinearly, as torchvision's `RandomResizedCrop` without antialiasing;
   * - `'flip'` mirrors every other picture left to right.
   *
   * Default: with several `views`, `['crop', 'flip']`; else none.
   */
  augment?: TrainingOptions['augment'];
}

export const distillOptions = z.strictObject({
  teacher: option(fields.file.optional(), {
    help: "a known network's .pth or .safetensors, or an .onnx (or give `teacherLogits`)",
    synonyms: 'teacherModel teacherPath teacherFile srcModel sourceModel model weights pretrained',
  }),
  averaged: option(averaged, {
    help: "take the averaged (EMA) weights of the teacher's file, where it has both",
  }),
  teacherLogits: option(fields.file.optional(), {
    help: "a file of the teacher's logits, as `distill logits` writes it, instead of `teacher`",
    synonyms: 'logits teacherOutputs teacherAnswers',
  }),
  student: option(fields.file, {
    help: 'the .pth, .safetensors or .pt2 to write',
    synonyms:
      'studentModel studentPath studentFile dstModel target output out outFile save modelPath checkpoint',
    resume: 'free',
  }),
  ...architecture,
  ...dataset,
  unlabeled,
  mean: option(preprocessing.mean.optional(), FROM_TEACHER),
  std: option(preprocessing.std.optional(), FROM_TEACHER),
  ...pixelSteps,
  imageSize: option(training.imageSize, { shown: `${FROM_TEACHER.shown}, or 224` }),
  epochs: fields.epochs.default(500),
  lr: fields.lr.default(1e-4),
  schedule: fields.schedule.default('constant'),
  warmup: training.warmup,
  dropRate: option(partialShare.optional(), {
    help: 'dropout before the last layer, in [0, 1)',
    shown: "0.2 for cnn, else the network's own",
    placeholder: 'p',
    synonyms: 'dropout dropoutRate dropoutProbability pDropout',
    recorded: 'always',
  }),
  temperature: fields.temperature.default(2),
  alpha: fields.alpha.default(0.7),
  loss: option(choice('distillation').default('distillation'), {
    help: 'the loss that the student learns from',
    synonyms: 'criterion lossFunction objective',
    recorded: 'changed',
  }),
  batchSize: fields.batchSize.default(4),
  shuffle: training.shuffle,
  sampler: training.sampler,
  classWeights: training.classWeights,
  initialStudent: option(fields.file.optional(), {
    help: "a student's file to start from, and to improve on",
    shown: 'fresh weights',
    synonyms: 'init initial initialWeights startFrom pretrainedStudent',
  }),
  monitor: training.monitor,
  patience: training.patience,
  minDelta: training.minDelta,
  maxSeconds: training.maxSeconds,
  views: option(whole(1, 1000).default(1), {
    help: 'augmented views of each picture, each answered by the teacher',
    synonyms: 'numViews augmentedViews',
    recorded: 'always',
  }),
  augment: option(training.augment, { shown: 'crop,flip with several `views`, else none' }),
  storeSize: training.storeSize,
  cropScale: training.cropScale,
  precision: training.precision,
  seed: training.seed,
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

export type _Held = Expect<Holds<DistillOptions, typeof distillOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedOptions = z.output<typeof distillOptions>;
