import { z } from 'zod';
import { type DistillOptions, distillOptions } from './distill.js';
import { fields } from './fields.js';
import { series, type TrialsOptions } from './sweep.js';

/** Options of `compare()`: those of `distill()`, but several seeds. Paths are relative to the current folder. */
export interface CompareOptions
  extends Omit<DistillOptions, 'student' | 'alpha' | 'seed'>,
    TrialsOptions {
  /**
   * With a teacher, the weight of its (soft) term of the loss, greater than 0 and at most 1. Default 0.7. Without one it
   * is 0.
   */
  alpha?: number | undefined;
  /** As above. Default 3. */
  seeds?: TrialsOptions['seeds'];
  /** Where the best student that had a teacher is written, as `distill()` writes it. Default: no student is kept. */
  student?: string | undefined;
}

export const compareOptions = distillOptions
  .omit({ student: true, alpha: true, seed: true })
  .extend({
    alpha: z
      .number()
      .gt(0)
      .max(1)
      .describe('a number greater than 0 and at most 1 (0 is without a teacher)')
      .default(0.7),
    seeds: series.seeds.default([1, 2, 3]),
    student: fields.path.optional(),
    out: series.out.optional(),
  });

/** Options once they are checked and the defaults are in. */
export type CheckedCompareOptions = z.output<typeof compareOptions>;
