import type { CompareOptions } from './options/compare.js';
import { type CompareEvents, type CompareResult, Comparison } from './training/comparison.js';
import { Run } from './training/run.js';
import type { TrialsProgress } from './training/series.js';

/** What `compare()` returns. */
export type CompareRun = Run<CompareResult, CompareEvents, 'trial', TrialsProgress>;

/**
 * Shows whether the teacher helps: trains the same student with it and without it (alpha 0, from the labels alone), with
 * several seeds, on the same prepared pictures. Students of one seed start from the same weights and see the pictures
 * in the same order.
 *
 * All is measured on the validation pictures. Accuracy is the share of pictures whose class is right, loss their plain
 * cross entropy, agreement the share for which student and teacher say the same class, right or wrong: at the best
 * epoch, whose student `distill()` would have kept, and at the last; means and standard deviations (divided by n - 1)
 * over seeds. The cost of a model is its parameters, the bytes of its file, and its latency: the median of
 * 31 predictions of a single picture from its pixels, on this machine.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `trial` and `warning`, and an
 * async iterable of trials.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { gain } = await compare({ teacher, dataset, mean, std, epochs: 15 });
 * console.log(`the teacher adds ${gain?.accuracy.mean} of accuracy`);
 */
export function compare(options: CompareOptions): CompareRun {
  return new Run(new Comparison(options), 'trial');
}
