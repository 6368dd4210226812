import type { TeachOptions } from './options/teach.js';
import { Run, type TeachRun } from './training/run.js';
import { Teaching } from './training/teaching.js';

/**
 * Trains a DenseNet on a folder of pictures: a teacher for `distill()`.
 *
 * It learns from the labels by cross entropy and AdamW, from fresh weights (those of `torch.manual_seed(seed)` and
 * torchvision's constructor) or from others, such as torchvision's for ImageNet. Whenever validation accuracy
 * improves, or at the same accuracy the loss, it is saved, atomically, as a file that PyTorch loads into torchvision's
 * model and that carries classes, mean, std and image size: `distill()` needs none of these then. All epochs are run.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `best` and
 * `warning`, and an async iterable of epoch reports.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { best } = await teach({ teacher: 'teacher.pth', dataset: 'photos/', weights: 'densenet121-a639ec97.pth' });
 */
export function teach(options: TeachOptions): TeachRun {
  return new Run(new Teaching(options), 'epoch');
}
