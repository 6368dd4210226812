import type { DistillOptions } from './options/distill.js';
import { Distillation } from './training/distillation.js';
import { type DistillRun, Run } from './training/run.js';

/**
 * Distils a trained DenseNet into a small CNN (430,000 parameters) on a folder of pictures.
 *
 * The teacher answers for every training picture once; from then on only the student runs. It learns
 * from `alpha · T² · KL(teacher ‖ student) + (1 - alpha) · CE(labels, student)` (Hinton, Vinyals and
 * Dean 2015) by Adam. Whenever validation accuracy *and* loss both improve it is saved, atomically, as
 * a `.pth` that PyTorch loads (or safetensors) and that carries classes, mean, std and image size.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `best` and
 * `warning`, and an async iterable of epoch reports.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const result = await distill({ teacher, student, dataset, mean, std })
 *   .on('epoch', ({ epoch, valAccuracy }) => console.log(epoch, valAccuracy));
 */
export function distill(options: DistillOptions): DistillRun {
  return new Run(new Distillation(options), 'epoch');
}
