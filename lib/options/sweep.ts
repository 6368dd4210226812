import { z } from 'zod';
import { type DistillOptions, distillOptions } from './distill.js';
import { fields } from './fields.js';

/** Options of several trainings on one store, besides those of the trainings. */
export interface TrialsOptions {
  /**
   * How many trainings there are of each kind, with the seeds 1, 2 and so on; or a list of seeds. Equal seeds start
   * from equal weights and see the pictures in the same order.
   */
  seeds?: number | readonly number[] | undefined;
  /** Where the result is written as JSON: it replaces its like, and another file with `overwrite`. Default: nowhere. */
  out?: string | undefined;
}

/**
 * Options of `sweep()`: those of `distill()`, but lists for the three that make the grid. Paths are relative to the
 * current folder.
 */
export interface SweepOptions
  extends Omit<DistillOptions, 'student' | 'temperature' | 'alpha' | 'lr' | 'seed'>,
    TrialsOptions {
  /** Adam's learning rate, or several; the largest where a `schedule` changes it. Default 1e-4. */
  lr?: number | readonly number[] | undefined;
  /** Softens both models' answers before they are compared; or several temperatures. Default 2. */
  temperature?: number | readonly number[] | undefined;
  /** The weight of the *teacher's* (soft) term of the loss, in 0..1, or several weights. Default 0.7. */
  alpha?: number | readonly number[] | undefined;
  /** As above. Default 1. */
  seeds?: TrialsOptions['seeds'];
  /**
   * Where the best point's best student is written, as `distill()` writes it. It is replaced whenever a point is done
   * that is better than those before it. Default: no student is kept.
   */
  student?: string | undefined;
}

/** A number or a list of different ones; always a list once it is checked. */
const listOf = (one: z.ZodNumber) => {
  const list = z
    .array(one)
    .min(1)
    .max(100)
    .refine((values) => new Set(values).size === values.length);
  return z
    .union([one.transform((value) => [value]), list])
    .describe(`${one.description}, or a list of up to 100 different ones,`);
};

/** Numbers of `TrialsOptions`, checked. */
export const series = {
  seeds: z
    .union([
      z
        .int()
        .min(1)
        .max(100)
        .transform((count) => Array.from({ length: count }, (_, i) => i + 1)),
      z
        .array(fields.seed)
        .min(1)
        .max(100)
        .refine((seeds) => new Set(seeds).size === seeds.length),
    ])
    .describe('a number of seeds in 1..100, or a list of different seeds,'),
  out: fields.path,
};

export const sweepOptions = distillOptions
  .omit({ student: true, temperature: true, alpha: true, lr: true, seed: true })
  .extend({
    temperature: listOf(fields.temperature).default([2]),
    alpha: listOf(fields.alpha).default([0.7]),
    lr: listOf(fields.lr).default([1e-4]),
    seeds: series.seeds.default([1]),
    student: fields.path.optional(),
    out: series.out.optional(),
  });

/** Options once they are checked and the defaults are in. */
export type CheckedSweepOptions = z.output<typeof sweepOptions>;
