import { z } from 'zod';
import { fields, preprocessing, training } from './fields.js';
import type { TrainingOptions } from './training.js';

/** Options of `distill()`. Paths are relative to the current folder. */
export interface DistillOptions extends TrainingOptions {
  /** The teacher: a torchvision DenseNet 121, 161, 169 or 201, as `.pth` or `.safetensors`. */
  teacher?: string | undefined;
  /**
   * Instead of `teacher`: a safetensors file of its logits, which `teacherLogits()` or any other program wrote. Each
   * training picture is found in it by its path from the dataset's folder, such as `train/ants/1.jpg`.
   */
  teacherLogits?: string | undefined;
  /**
   * Where the student is written: as safetensors where the name ends in `.safetensors`, else as a `.pth`. A student
   * that this package wrote is replaced by the first save; another file needs `overwrite`.
   */
  student: string;
  /**
   * Means of R, G, B in 0..1 that the teacher was trained with. Default: those in the teacher's file, which `teach()`
   * writes; `datasetStats` measures a dataset's.
   */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of R, G, B in 0.0001..1. Default: those in the teacher's file. */
  std?: readonly [number, number, number] | undefined;
  /** Passes over the training pictures, at most. Default 500. */
  epochs?: number | undefined;
  /** Adam's learning rate; the largest one where a `schedule` changes it. Default 1e-4. */
  lr?: number | undefined;
  /** Dropout before the last layer, in [0, 1). Default 0.2. */
  dropRate?: number | undefined;
  /** Softens both models' answers before they are compared, 0.01 to 1000; greater is softer. Default 2. */
  temperature?: number | undefined;
  /**
   * The weight of the *teacher's* (soft) term of the loss, in 0..1; the labels' (hard) term weighs
   * `1 - alpha`. Default 0.7. (Other systems use alpha for the opposite.)
   */
  alpha?: number | undefined;
  /** Pictures a training step. Default 4. */
  batchSize?: number | undefined;
  /** Pixels a side of the centre crop. Default: that in the teacher's file, else 224. */
  imageSize?: number | undefined;
  /**
   * A student's file to start from instead of fresh weights. It is judged first and counts as the best so far: it is
   * what `student` holds until an epoch is better, and a `student` that is the same file stays as it is until then.
   */
  initialStudent?: string | undefined;
  /**
   * Which epoch's student is kept: that of the last one that improved validation accuracy *and* loss ('both'), of the
   * most accurate one, and of equals the one with the lesser loss ('accuracy'), or of the one with the least loss
   * ('loss'). Default 'both'.
   */
  keep?: 'both' | 'accuracy' | 'loss' | undefined;
  /**
   * Augmented views that are kept of each training picture, each with the teacher's answer for exactly these pixels;
   * epochs show them in turn (epoch 1 the first of every picture). They are the same in every run, whatever its seed.
   * Memory and the teacher's work grow with them. Default 1.
   */
  views?: number | undefined;
  /** As in every training. Default: with several `views`, `['crop', 'flip']`; else none. */
  augment?: TrainingOptions['augment'];
}

export const distillOptions = z.strictObject({
  teacher: fields.path.optional(),
  teacherLogits: fields.path.optional(),
  student: fields.path,
  ...training,
  mean: preprocessing.mean.optional(),
  std: preprocessing.std.optional(),
  epochs: fields.count.default(500),
  lr: fields.lr.default(1e-4),
  schedule: fields.schedule.default('constant'),
  dropRate: z.number().min(0).lt(1).describe('a number in [0, 1)').default(0.2),
  temperature: fields.temperature.default(2),
  alpha: fields.alpha.default(0.7),
  batchSize: fields.batchSize.default(4),
  initialStudent: fields.path.optional(),
  keep: z
    .enum(['both', 'accuracy', 'loss'])
    .describe("'both', 'accuracy' or 'loss'")
    .default('both'),
  views: z.int().min(1).max(1000).describe('a whole number in 1..1000').default(1),
});

/** Options once they are checked and the defaults are in. */
export type CheckedOptions = z.output<typeof distillOptions>;
