import { z } from 'zod';
import type { DistillWarning } from '../warnings.js';
import { averaged, execution, fields, pixelSteps, preprocessing, reports } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';
import type { PixelOptions } from './preprocessing.js';

const FROM_STUDENT = { shown: "from the student's file" };

/** Options of `predict()`. Paths are relative to the current folder. */
export interface PredictOptions extends PixelOptions {
  /** The file of a student (or of another known network, to see a teacher's answers): `.pth` or safetensors. */
  student: string;
  /** Takes the averaged (EMA) weights of a file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /** A file, a folder (searched recursively), an archive (`.tar`, `.zip`), a file's bytes, or several of these. */
  images: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Class names by index, or a file of `index name` lines. Default: those in the student's file. */
  labels?: string | readonly string[] | undefined;
  /** Means of red, green and blue, in 0..1. Default: those in the student's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of red, green and blue, in 0.0001..1. Default: those in the student's file. */
  std?: readonly [number, number, number] | undefined;
  /** The side of the square centre crop, in pixels. Default: that in the student's file, else 224. */
  imageSize?: number | undefined;
  /** Classes that `top` lists; all, where there are fewer. Default 5. */
  topK?: number | undefined;
  /** Pictures that go through the student together. Default 32. */
  batchSize?: number | undefined;
  /** `'auto'` (the first GPU that LibTorch can use, else the CPU), `'cpu'`, `'cuda'` or `'cuda:N'`. Default 'auto'. */
  device?: string | undefined;
  /**
   * The type that convolutions compute in, as in `distill()`: `'fp32'`, `'bf16'`, or `'auto'`, which is `'bf16'` where
   * that is faster. Default 'fp32'.
   */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /** Threads that share LibTorch's work. Default: one per processor that this process may use. */
  threads?: number | undefined;
  /**
   * At a picture that does not decode, `'error'` ends everything, `'skip'` goes on without it, with a warning, and `'truncate'` takes
   * what there is of one that is damaged or cut short, as Pillow does under `LOAD_TRUNCATED_IMAGES`, with a warning. Default
   * 'error'.
   */
  onBadImage?: 'error' | 'skip' | 'truncate' | undefined;
  /** The largest picture that is read, in pixels. Default: as in `distill()`, 178,956,970, and half of it for some kinds. */
  maxPixels?: number | undefined;
  /** Receives each warning, such as of a picture that is skipped. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
  /** Ends the work before the next prediction: the promise or the iteration rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
}

const picture = z.union([
  fields.picture,
  z.custom<Uint8Array>((value) => value instanceof Uint8Array),
]);

export const predictOptions = z.strictObject({
  student: option(fields.file, {
    help: "the student's .pth or .safetensors",
    synonyms: 'studentModel studentPath studentFile model modelPath checkpoint weights',
  }),
  averaged: option(averaged, {
    help: "take the file's averaged (EMA) weights, where it has both",
  }),
  images: option(
    z
      .union([picture, z.array(picture).min(1).readonly()])
      .describe('a path, a Buffer, or a list of these'),
    {
      help: 'files, folders that are searched for pictures, or archives (.tar, .zip)',
      synonyms:
        'image imagesPath picture pictures file files path paths input inputs folder dataset',
    },
  ),
  labels: fields.labels.optional(),
  mean: option(preprocessing.mean.optional(), FROM_STUDENT),
  std: option(preprocessing.std.optional(), FROM_STUDENT),
  ...pixelSteps,
  imageSize: option(preprocessing.imageSize.optional(), {
    shown: `${FROM_STUDENT.shown}, or 224`,
  }),
  topK: option(fields.count.default(5), {
    help: 'classes listed for each picture',
    synonyms: 'k top topN',
  }),
  batchSize: option(fields.batchSize.default(32), {
    help: 'pictures that go through the student together',
  }),
  device: execution.device,
  precision: execution.precision,
  threads: execution.threads,
  onBadImage: execution.onBadImage,
  maxPixels: execution.maxPixels,
  onWarning: reports.onWarning,
  signal: execution.signal,
});

export type _Held = Expect<Holds<PredictOptions, typeof predictOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedPredictOptions = z.output<typeof predictOptions>;
