import type { SweepOptions } from './options/sweep.js';
import { Run } from './training/run.js';
import type { TrialsProgress } from './training/series.js';
import { type SweepEvents, Sweeping, type SweepResult } from './training/sweeping.js';

/** What `sweep()` returns. */
export type SweepRun = Run<SweepResult, SweepEvents, 'point', TrialsProgress>;

/**
 * Distils with every combination of some temperatures, alphas and learning rates: pictures are decoded and the teacher
 * is asked once for all of them. A point whose loss leaves the finite numbers is told as such, and the others go on.
 *
 * A point's scores are means and standard deviations (divided by n - 1) over its seeds, of accuracy (the share of
 * validation pictures whose class is right) and loss (their plain cross entropy): at the best epoch, whose student
 * `distill()` would have kept, and at the last.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `point` and `warning`, and an async
 * iterable of points.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { best } = await sweep({ teacher, dataset, mean, std, temperature: [2, 4], alpha: [0.5, 0.7, 0.9] })
 *   .on('point', ({ temperature, alpha, best }) => console.log(temperature, alpha, best?.accuracy.mean));
 */
export function sweep(options: SweepOptions): SweepRun {
  return new Run(new Sweeping(options), 'point');
}
