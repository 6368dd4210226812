import { z } from 'zod';
import { between, fields, preprocessing, training } from './fields.js';
import type { TrainingOptions } from './training.js';

/** Options of `teach()`. Paths are relative to the current folder. */
export interface TeachOptions extends TrainingOptions {
  /**
   * Where the teacher is written: as safetensors where the name ends in `.safetensors`, else as a `.pth`. A teacher
   * that this package wrote is replaced by the first save; another file needs `overwrite`.
   */
  teacher: string;
  /** torchvision's name of the DenseNet. Default: that of `weights`, else 'densenet121'. */
  architecture?: 'densenet121' | 'densenet161' | 'densenet169' | 'densenet201' | undefined;
  /**
   * A DenseNet's file to start from instead of fresh weights, such as torchvision's for ImageNet. Its last layer is
   * replaced by a fresh one, unless the file itself says that it tells the same classes apart: then it is
   * judged first, and is what `teacher` holds until an epoch is better.
   */
  weights?: string | undefined;
  /** Means of R, G, B in 0..1. Default: those in the file of `weights`, else ImageNet's, 0.485, 0.456, 0.406. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of R, G, B in 0.0001..1. Default: as `mean`; ImageNet's are 0.229, 0.224, 0.225. */
  std?: readonly [number, number, number] | undefined;
  /** Pixels a side of what the network sees, 32 or more. Default: that in the file of `weights`, else 224. */
  imageSize?: number | undefined;
  /** Passes over the training pictures. Default 30. */
  epochs?: number | undefined;
  /** The learning rate; the largest one where a schedule changes it. Default 1e-3. */
  lr?: number | undefined;
  /** Pictures a training step, 2 or more; a last batch of a single picture is left out. Default 32. */
  batchSize?: number | undefined;
  /** 'adamw', whose weight decay is no part of the gradient, or 'adam', which has none. Default 'adamw'. */
  optimizer?: 'adamw' | 'adam' | undefined;
  /** Of AdamW. Default 0.01. */
  weightDecay?: number | undefined;
  /** The share of each label that goes to all classes alike, in [0, 1). What is to teach a student is better off without. Default 0. */
  labelSmoothing?: number | undefined;
  /**
   * First epochs in which the features rest, BatchNorm's statistics as well, and the last layer alone learns: for
   * `weights` that are good already. Default 0.
   */
  freezeEpochs?: number | undefined;
  /** As in every training, but by default 'one-cycle'. */
  schedule?: TrainingOptions['schedule'];
  /** As in every training. Default `['crop', 'flip']`. */
  augment?: TrainingOptions['augment'];
}

export const ARCHITECTURES = ['densenet121', 'densenet161', 'densenet169', 'densenet201'] as const;

export const teachOptions = z.strictObject({
  teacher: fields.path,
  ...training,
  architecture: z
    .enum(ARCHITECTURES)
    .describe("'densenet121', 'densenet161', 'densenet169' or 'densenet201'")
    .optional(),
  weights: fields.path.optional(),
  mean: preprocessing.mean.optional(),
  std: preprocessing.std.optional(),
  epochs: fields.count.default(30),
  lr: fields.lr.default(1e-3),
  batchSize: z.int().min(2).max(4096).describe('a whole number in 2..4096').default(32),
  optimizer: z.enum(['adamw', 'adam']).describe("'adamw' or 'adam'").default('adamw'),
  weightDecay: between(0, 1).optional(),
  schedule: fields.schedule.default('one-cycle'),
  labelSmoothing: z.number().min(0).lt(1).describe('a number in [0, 1)').default(0),
  freezeEpochs: fields.countOrNone.default(0),
});

/** Options once they are checked and the defaults are in. */
export type CheckedTeachOptions = z.output<typeof teachOptions>;
