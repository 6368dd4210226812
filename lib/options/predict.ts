import { z } from 'zod';
import type { DistillWarning } from '../warnings.js';
import { execution, fields, preprocessing, reports } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

const FROM_STUDENT = { shown: "from the student's file" };

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

const picture = z.union([
  fields.picture,
  z.custom<Uint8Array>((value) => value instanceof Uint8Array),
]);

export const predictOptions = z.strictObject({
  student: option(fields.file, {
    help: "the student's .pth or .safetensors",
    synonyms: 'studentModel studentPath studentFile model modelPath checkpoint weights',
  }),
  images: option(
    z
      .union([picture, z.array(picture).min(1).readonly()])
      .describe('a path, a Buffer, or a list of these'),
    {
      help: 'files, or folders that are searched for pictures',
      synonyms:
        'image imagesPath picture pictures file files path paths input inputs folder dataset',
    },
  ),
  labels: fields.labels.optional(),
  mean: option(preprocessing.mean.optional(), FROM_STUDENT),
  std: option(preprocessing.std.optional(), FROM_STUDENT),
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
