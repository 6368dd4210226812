import { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { type DistillOptions, distillOptions } from './distill.js';
import { callback } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

/** The outcome of one check. */
export interface Finding {
  topic: 'machine' | 'dataset' | 'teacher' | 'needs' | 'time';
  /** The name of the check, such as `addon` or `pictures`: stable, for programs. */
  check: string;
  /** `problem`: the run would fail, or fail to do what it is for; `warning`: it would run, but look at this first. */
  status: 'ok' | 'warning' | 'problem';
  /** The code of the error that the run would end with, where it would. */
  code: ErrorCode | null;
  /** One sentence. */
  message: string;
  /** The remedy in one sentence; `null` where all is well. */
  remedy: string | null;
  /** A line for each of several, such as the pictures that do not decode. */
  details: string[];
}

/** The progress of a check of many pictures. */
export interface DoctorProgress {
  check: string;
  done: number;
  total: number;
}

/**
 * Options of `doctor()`: those of the `distill()` that is meant to run, as far as they are known. Without a dataset, it
 * checks the machine and the installation alone.
 */
export interface DoctorOptions extends Omit<DistillOptions, 'student'> {
  /** The file that the student is to be written to. Nothing is written there now. */
  student?: string | undefined;
  /** Receives each finding at once. */
  onFinding?: ((finding: Finding) => void) | undefined;
  /** Receives `{ check, done, total }` while many pictures are checked. */
  onProgress?: ((progress: DoctorProgress) => void) | undefined;
}

export const doctorOptions = z.strictObject({
  ...distillOptions.shape,
  student: option(distillOptions.shape.student.optional(), {
    help: 'the file that `distill train` is to write; nothing is written now',
  }),
  onFinding: callback<(finding: Finding) => void>().optional(),
  onProgress: option(callback<(progress: DoctorProgress) => void>().optional(), {
    synonyms: 'progress onEpoch progressCallback',
  }),
});

export type _Held = Expect<Holds<DoctorOptions, typeof doctorOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedDoctorOptions = z.output<typeof doctorOptions>;
