import { z } from 'zod';
import { execution, fields, preprocessing } from './options.js';

/** Options of `distill()`. Paths are relative to the current folder. */
export interface DistillOptions {
  /** The teacher: a torchvision DenseNet 121, 161, 169 or 201, as `.pth` or `.safetensors`. */
  teacher?: string | undefined;
  /**
   * Instead of `teacher`: a safetensors file of its logits, which `teacherLogits()` or any other program wrote. Each
   * training picture is found in it by its path from the dataset's folder, such as `train/ants/1.jpg`.
   */
  teacherLogits?: string | undefined;
  /**
   * Where the student is written: as safetensors where the name ends in `.safetensors`, else as a `.pth`. A file that
   * is there is replaced by the first save.
   */
  student: string;
  /** A folder with `train/` and `val/`, each with a folder of pictures for each class. */
  dataset?: string | undefined;
  /** The training pictures' folder, instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, instead of `dataset`. */
  val?: string | undefined;
  /** Means of R, G, B in 0..1 that the teacher was trained with; `datasetStats` measures a dataset's. */
  mean: readonly [number, number, number];
  /** Standard deviations of R, G, B in 0..1. */
  std: readonly [number, number, number];
  /** Passes over the training pictures, at most. Default 500. */
  epochs?: number | undefined;
  /** Adam's learning rate. Default 1e-4. */
  lr?: number | undefined;
  /** Dropout before the last layer, in [0, 1). Default 0.2. */
  dropRate?: number | undefined;
  /** Softens both models' answers before they are compared; greater is softer. Default 2. */
  temperature?: number | undefined;
  /**
   * The weight of the *teacher's* (soft) term of the loss, in 0..1; the labels' (hard) term weighs
   * `1 - alpha`. Default 0.7. (Other systems use alpha for the opposite.)
   */
  alpha?: number | undefined;
  /** Pictures a training step. Default 4. */
  batchSize?: number | undefined;
  /** Pixels a side of the centre crop. Default 224. */
  imageSize?: number | undefined;
  /** Makes a run repeatable on one machine and thread count. Default: drawn, and reported. */
  seed?: number | undefined;
  /** 'auto' (a GPU where LibTorch can use one), 'cpu', 'cuda' or 'cuda:N'. Default 'auto'. */
  device?: string | undefined;
  /**
   * What the convolutions compute in. 'fp32' follows PyTorch's numbers; 'bf16' halves the memory and is faster
   * where the processor multiplies bfloat16, and slower elsewhere; 'auto' chooses it only there. Parameters, BatchNorm
   * statistics and the optimizer are float32 in any case. Default 'fp32'.
   */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /** Threads of LibTorch. Default: one a core. */
  threads?: number | undefined;
  /** Ends the run after its current batch; it then rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
  /** A student's file to start from instead of fresh weights. */
  initialStudent?: string | undefined;
  /** Whether each epoch sees the pictures in a new order. Default true. */
  shuffle?: boolean | undefined;
  /** What a picture that does not decode does: end the run, or be passed over with a warning. Default 'error'. */
  onBadImage?: 'error' | 'skip' | undefined;
  /** Bytes of memory for prepared pictures; beyond it they are kept in a file. Default: half of what is free. */
  cacheMemory?: number | undefined;
  /**
   * A folder to keep the prepared pictures and the teacher's answers in: a later run with the same
   * teacher, pictures and preprocessing starts with training. Default: none, nothing is kept.
   */
  cacheDir?: string | undefined;
}

export const distillOptions = z.strictObject({
  teacher: fields.path.optional(),
  teacherLogits: fields.path.optional(),
  student: fields.path,
  dataset: fields.path.optional(),
  train: fields.path.optional(),
  val: fields.path.optional(),
  mean: preprocessing.mean,
  std: preprocessing.std,
  epochs: fields.count.default(500),
  lr: z.number().gt(0).max(1).describe('a number greater than 0 and at most 1').default(1e-4),
  dropRate: z.number().min(0).lt(1).describe('a number in [0, 1)').default(0.2),
  temperature: z.number().gt(0).max(1000).describe('a number in (0, 1000]').default(2),
  alpha: z.number().min(0).max(1).describe('a number in 0..1').default(0.7),
  batchSize: fields.batchSize.default(4),
  imageSize: preprocessing.imageSize.default(224),
  seed: z.int().min(0).describe('a whole number in 0..2^53-1').optional(),
  device: execution.device.default('auto'),
  precision: execution.precision.default('fp32'),
  threads: execution.threads.optional(),
  signal: execution.signal.optional(),
  initialStudent: fields.path.optional(),
  shuffle: z.boolean().describe('true or false').default(true),
  onBadImage: execution.onBadImage.default('error'),
  cacheMemory: z.number().min(0).describe('a number of bytes').optional(),
  cacheDir: fields.path.optional(),
});

/** Options once they are checked and the defaults are in. */
export type CheckedOptions = z.output<typeof distillOptions>;
