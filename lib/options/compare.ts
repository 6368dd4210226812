import { z } from 'zod';
import { type DistillOptions, distillOptions } from './distill.js';
import type { Expect, Holds } from './held.js';
import { metaOf, option } from './option.js';
import { type TrialsOptions, trials } from './sweep.js';

/** Options of `compare()`: those of `distill()`, but several seeds. Paths are relative to the current folder. */
export interface CompareOptions
  extends Omit<DistillOptions, 'student' | 'alpha' | 'seed'>,
    TrialsOptions {
  /**
   * With the teacher, the weight of its (soft) term of the loss, greater than 0 and at most 1; without it the weight is 0.
   * Default 0.7.
   */
  alpha?: number | undefined;
  /**
   * The number of trainings with the teacher and without it, with the seeds 1, 2 and so on; or a list of seeds.
   * Trainings with equal seeds start from equal weights and see the pictures in the same order. Default 3.
   */
  seeds?: TrialsOptions['seeds'];
  /**
   * The file to write the best student that had a teacher to, as `distill()` writes it. Default: no student is kept.
   */
  student?: string | undefined;
}

const { student, alpha, seed, ...rest } = distillOptions.shape;

export const compareOptions = z.strictObject({
  seeds: option(trials.seeds.default([1, 2, 3]), { shown: '3' }),
  student: option(student.optional(), {
    help: 'the .pth, .safetensors or .pt2 to write the best student to that had a teacher',
    shown: 'it is not kept',
  }),
  out: trials.out,
  ...rest,
  alpha: option(
    z
      .number()
      .gt(0)
      .max(1)
      .describe('a number greater than 0 and at most 1 (0 is without a teacher)')
      .default(0.7),
    metaOf(alpha),
  ),
});

export type _Held = Expect<Holds<CompareOptions, typeof compareOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedCompareOptions = z.output<typeof compareOptions>;
