import { z } from 'zod';
import type { PrepareProgress } from '../run/events.js';
import type { DistillWarning } from '../warnings.js';
import {
  averaged,
  callback,
  dataset,
  execution,
  fields,
  pixelSteps,
  preprocessing,
  reports,
  unlabeled,
} from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';
import type { PixelOptions } from './preprocessing.js';

const FROM_TEACHER = { shown: "from the teacher's file" };

/** Options of `teacherLogits()`. Paths are relative to the current folder. */
export interface TeacherLogitsOptions extends PixelOptions {
  /** The file of a known network, a student or an ONNX model (`.onnx`), whose logits are written. */
  teacher: string;
  /** The safetensors file to write. */
  output: string;
  /** Takes the averaged (EMA) weights of a teacher's file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /**
   * A folder with `train/` and `val/`, each with a folder of pictures for each class; or a manifest of pictures (`.csv`, `.jsonl`);
   * or archives (`.tar`, `.zip`, shards of WebDataset such as `photos-{000..009}.tar`).
   * docs/datasets.md describes them.
   */
  dataset?: string | undefined;
  /** The training pictures' folder, with a folder for each class; together with `val` instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, with a folder for each class; together with `train` instead of `dataset`. */
  val?: string | undefined;
  /**
   * The share of each class, between 0 and 1, to validate with where the dataset has no `val/`: a folder of class folders, or
   * `train/` alone. Which pictures these are follows from their paths, their classes and `splitSeed` alone. Default: `val/` is
   * there.
   */
  valSplit?: number | undefined;
  /** Decides which pictures `valSplit` takes, in every call and for every `seed` alike. Default 0. */
  splitSeed?: number | undefined;
  /** Pictures without a class, as in `distill()`: a folder, a manifest or an archive. Default: there are none. */
  unlabeled?: string | undefined;
  /** Means of red, green and blue, in 0..1, that the teacher was trained with. Default: those in the teacher's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of red, green and blue, in 0.0001..1. Default: those in the teacher's file. */
  std?: readonly [number, number, number] | undefined;
  /** The side of the square centre crop that the teacher sees, in pixels. Default: that in the teacher's file, else 224. */
  imageSize?: number | undefined;
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
   * At a picture that does not decode, `'error'` ends the call, `'skip'` goes on without it, with a warning, and `'truncate'` takes
   * what there is of one that is damaged or cut short, as Pillow does under `LOAD_TRUNCATED_IMAGES`, with a warning. Default
   * 'error'.
   */
  onBadImage?: 'error' | 'skip' | 'truncate' | undefined;
  /** The largest picture that is read, in pixels. Default: as in `distill()`, 178,956,970, and half of it for some kinds. */
  maxPixels?: number | undefined;
  /** Replaces a file that is there, whatever it is. Without it, only a file that this function wrote is replaced. Default false. */
  overwrite?: boolean | undefined;
  /** Receives `{ done, total }` after each batch: the pictures that the teacher has answered for, and all. */
  onProgress?: ((progress: PrepareProgress) => void) | undefined;
  /** Receives each warning, such as of a picture that is skipped. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
  /** Ends the work: the promise rejects with `ERR_ABORTED`, and nothing is written. */
  signal?: AbortSignal | undefined;
}

export const teacherLogitsOptions = z.strictObject({
  teacher: option(fields.file, {
    help: 'the .pth or .safetensors of a known network or a student, or an .onnx',
    synonyms: 'teacherModel teacherPath teacherFile srcModel sourceModel model weights pretrained',
  }),
  averaged: option(averaged, {
    help: "take the file's averaged (EMA) weights, where it has both",
  }),
  output: fields.output,
  ...dataset,
  unlabeled,
  mean: option(preprocessing.mean.optional(), FROM_TEACHER),
  std: option(preprocessing.std.optional(), FROM_TEACHER),
  ...pixelSteps,
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
