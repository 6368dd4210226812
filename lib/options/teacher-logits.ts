import { z } from 'zod';
import type { PrepareProgress } from '../data/prepare.js';
import type { DistillWarning } from '../warnings.js';
import { callback, dataset, execution, fields, preprocessing, reports } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

const FROM_TEACHER = { shown: "from the teacher's file" };

/** Options of `teacherLogits()`. Paths are relative to the current folder. */
export interface TeacherLogitsOptions {
  /** Whose answers: a DenseNet's or a student's file. */
  teacher: string;
  /** The safetensors file to write. */
  output: string;
  /** A folder with `train/` and `val/`, each with a folder of pictures for each class. */
  dataset?: string | undefined;
  /** The training pictures' folder, instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, instead of `dataset`. */
  val?: string | undefined;
  /** Means of R, G, B in 0..1 that the teacher was trained with. Default: from the teacher's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of R, G, B in 0.0001..1. Default: from the teacher's file. */
  std?: readonly [number, number, number] | undefined;
  /** Pixels a side of the centre crop that the teacher sees. Default: from the teacher's file, else 224. */
  imageSize?: number | undefined;
  /** 'auto' (a GPU where LibTorch can use one), 'cpu', 'cuda' or 'cuda:N'. Default 'auto'. */
  device?: string | undefined;
  /** What the convolutions compute in, as in `distill()`. Default 'fp32'. */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /** As in `distill()`. Default: one a processor that this process may use. */
  threads?: number | undefined;
  /** What a picture that does not decode does: end everything, or be passed over with a warning. Default 'error'. */
  onBadImage?: 'error' | 'skip' | undefined;
  /** The largest picture that is read, in pixels. Default: as in `distill()`. */
  maxPixels?: number | undefined;
  /** Whether a file that is there is replaced, whatever it is. Default false: only one that this function wrote. */
  overwrite?: boolean | undefined;
  /** Told after each batch how many pictures the teacher has answered for. */
  onProgress?: ((progress: PrepareProgress) => void) | undefined;
  /** Told of pictures passed over. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
  /** Ends the work: the promise rejects with `ERR_ABORTED`, and nothing is written. */
  signal?: AbortSignal | undefined;
}

export const teacherLogitsOptions = z.strictObject({
  teacher: option(fields.file, {
    help: 'the .pth or .safetensors of a DenseNet or a student',
    synonyms: 'teacherModel teacherPath teacherFile srcModel sourceModel model weights pretrained',
  }),
  output: fields.output,
  ...dataset,
  mean: option(preprocessing.mean.optional(), FROM_TEACHER),
  std: option(preprocessing.std.optional(), FROM_TEACHER),
  imageSize: option(preprocessing.imageSize.optional(), {
    shown: `${FROM_TEACHER.shown}, or 224`,
  }),
  device: execution.device,
  precision: execution.precision,
  threads: execution.threads,
  onBadImage: execution.onBadImage,
  maxPixels: execution.maxPixels,
  overwrite: fields.overwrite,
  onProgress: option(callback<(progress: PrepareProgress) => void>().optional(), {
    synonyms: 'progress onEpoch progressCallback',
  }),
  onWarning: reports.onWarning,
  signal: execution.signal,
});

export type _Held = Expect<Holds<TeacherLogitsOptions, typeof teacherLogitsOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedTeacherLogitsOptions = z.output<typeof teacherLogitsOptions>;
