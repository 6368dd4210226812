import { z } from 'zod';
import type { DistillWarning } from '../warnings.js';
import { callback, execution, fields, preprocessing } from './fields.js';

/** Options of `predict()`. Paths are relative to the current folder. */
export interface PredictOptions {
  /** The file of a student (or of a DenseNet, to see what a teacher says): `.pth` or safetensors. */
  student: string;
  /** A file, a folder (searched recursively), a file's bytes, or several of these. */
  images: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Class names by index, or a file of `index name` lines. Default: from the student's file. */
  labels?: string | readonly string[] | undefined;
  /** Means of R, G, B in 0..1. Default: from the student's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of R, G, B in 0.0001..1. Default: from the student's file. */
  std?: readonly [number, number, number] | undefined;
  /** Pixels a side of the centre crop. Default: from the student's file, else 224. */
  imageSize?: number | undefined;
  /** How many classes `top` lists. Default 5, or all where there are fewer. */
  topK?: number | undefined;
  /** Pictures that go through the student together. Default 32. */
  batchSize?: number | undefined;
  /** 'auto' (a GPU where LibTorch can use one), 'cpu', 'cuda' or 'cuda:N'. Default 'auto'. */
  device?: string | undefined;
  /**
   * What the convolutions compute in. 'fp32' follows PyTorch's numbers; 'bf16' halves the memory and is faster
   * where the processor multiplies bfloat16, and slower elsewhere; 'auto' chooses it only there. Default 'fp32'.
   */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /** As in `distill()`. Default: one a processor that this process may use. */
  threads?: number | undefined;
  /** What a picture that does not decode does: end everything, or be passed over with a warning. Default 'error'. */
  onBadImage?: 'error' | 'skip' | undefined;
  /** The largest picture that is read, in pixels. Default: as in `distill()`. */
  maxPixels?: number | undefined;
  /** Told of pictures passed over. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
  /** Ends the work before the next prediction: the promise or the iteration rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
}

const picture = z.union([fields.picture, z.instanceof(Uint8Array)]);
export const predictOptions = z.strictObject({
  student: fields.path,
  images: z
    .union([picture, z.array(picture).min(1).readonly()])
    .describe('a path, a Buffer, or a list of these'),
  labels: fields.labels.optional(),
  mean: preprocessing.mean.optional(),
  std: preprocessing.std.optional(),
  imageSize: preprocessing.imageSize.optional(),
  topK: fields.count.default(5),
  batchSize: fields.batchSize.default(32),
  device: execution.device.default('auto'),
  precision: execution.precision.default('fp32'),
  threads: execution.threads.optional(),
  onBadImage: execution.onBadImage.default('error'),
  maxPixels: execution.maxPixels.optional(),
  onWarning: callback<(warning: DistillWarning) => void>().optional(),
  signal: execution.signal.optional(),
});

/** Options once they are checked and the defaults are in. */
export type CheckedPredictOptions = z.output<typeof predictOptions>;
