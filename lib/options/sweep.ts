import { z } from 'zod';
import { type DistillOptions, distillOptions } from './distill.js';
import { fields } from './fields.js';
import type { Expect, Holds } from './held.js';
import { metaOf, option } from './option.js';

/** Options of several trainings on one store, besides those of each training. */
export interface TrialsOptions {
  /**
   * The number of trainings of each kind, with the seeds 1, 2 and so on; or a list of seeds. Trainings with equal
   * seeds start from equal weights and see the pictures in the same order.
   */
  seeds?: number | readonly number[] | undefined;
  /**
   * A JSON file to write the result to. It replaces a file of its own kind, and another one with `overwrite`. Default:
   * it is not written.
   */
  out?: string | undefined;
}

/**
 * Options of `sweep()`: those of `distill()`, but lists for the three that make the grid. Paths are relative to the
 * current folder.
 */
export interface SweepOptions
  extends Omit<DistillOptions, 'student' | 'temperature' | 'alpha' | 'lr' | 'seed'>,
    TrialsOptions {
  /** Adam's learning rate, or several; the largest one where a `schedule` changes it. Default 1e-4. */
  lr?: number | readonly number[] | undefined;
  /** Softens both models' answers before they are compared, 0.01 to 1000; or several temperatures. Default 2. */
  temperature?: number | readonly number[] | undefined;
  /** The weight of the *teacher's* (soft) term of the loss, in 0..1, or several weights. Default 0.7. */
  alpha?: number | readonly number[] | undefined;
  /**
   * The number of trainings of each point, with the seeds 1, 2 and so on; or a list of seeds. Trainings with equal
   * seeds start from equal weights and see the pictures in the same order. Default 1.
   */
  seeds?: TrialsOptions['seeds'];
  /**
   * The file to write the best point's best student to, as `distill()` writes it. It is replaced whenever a point is done
   * that is better than those before it. Default: no student is kept.
   */
  student?: string | undefined;
}

/** A number or a list of different ones; always a list once it is checked. */
const listOf = (one: z.ZodNumber, such: string) => {
  const list = z
    .array(one)
    .min(1)
    .max(100)
    .refine((values) => new Set(values).size === values.length)
    .readonly();
  const field = z
    .union([one.transform((value) => [value]), list])
    .describe(`${one.description}, or a list of up to 100 different ones,`);
  const { help, synonyms = '' } = metaOf(one);
  return option(field, { help: `${help}; or several: ${such}`, placeholder: 'list', synonyms });
};

/** Options of `TrialsOptions`. */
export const trials = {
  seeds: option(
    z
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
          .refine((seeds) => new Set(seeds).size === seeds.length)
          .readonly(),
      ])
      .describe('a number of seeds in 1..100, or a list of different seeds,'),
    {
      help: 'how many seeds, from 1 on; or which: 7,8,9',
      placeholder: 'n or list',
      synonyms: 'seed numSeeds repeats runs',
    },
  ),
  out: option(fields.file.optional(), {
    help: 'JSON to write, with the figures of every training',
    flag: '-o, --out',
    shown: 'it is not written',
    synonyms: 'output outFile outputFile report results',
    resume: 'free',
  }),
};

const { student, temperature, alpha, lr, seed, ...rest } = distillOptions.shape;

export const sweepOptions = z.strictObject({
  temperature: listOf(fields.temperature, '2,4,8').default([2]),
  alpha: listOf(fields.alpha, '0.5,0.7,0.9').default([0.7]),
  lr: listOf(fields.lr, '1e-4,1e-3').default([1e-4]),
  seeds: option(trials.seeds.default([1]), { shown: '1' }),
  student: option(student.optional(), {
    help: "the .pth, .safetensors or .pt2 to write the best point's best student to",
    shown: 'it is not kept',
  }),
  out: trials.out,
  ...rest,
});

export type _Held = Expect<Holds<SweepOptions, typeof sweepOptions>>;

/** Options once they are checked and the defaults are in. */
export type CheckedSweepOptions = z.output<typeof sweepOptions>;
