import { z } from 'zod';
import type { DoctorProgress, Finding } from '../doctor/findings.js';
import { type DistillOptions, distillOptions } from './distill.js';
import { callback } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

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
