import { loadAddon } from '../addon.js';
import { DistillError } from '../errors.js';
import type { NativeClassifier, NativeExecution, NativePreprocessing } from '../native.js';
import type { Preprocessing } from './preprocessing.js';

/**
 * Makes a classifier of a model's file: it loads at `load()`, and holds memory and a thread until `close()`.
 *
 * @param execution.threads 0: LibTorch's choice.
 */
export function makeClassifier(
  model: string,
  { imageSize, mean, std }: Preprocessing,
  { device, precision, threads }: NativeExecution,
): NativeClassifier {
  const options: NativePreprocessing & NativeExecution & { model: string } = {
    model,
    imageSize,
    mean,
    std,
    device,
    precision,
    threads,
  };
  return new (loadAddon().Classifier)(options);
}

/**
 * Refuses a network's answers where one is no finite number.
 *
 * @param answers (rows, classes), row by row.
 * @param given.nameOf Names the picture of a row, such as `the picture ants/1.jpg`.
 * @throws DistillError `ERR_NOT_FINITE` that names the first such picture.
 */
export function checkFinite(
  answers: Float32Array,
  { rows, model, nameOf }: { rows: number; model: string; nameOf: (row: number) => string },
): void {
  const first = answers.findIndex((answer) => !Number.isFinite(answer));
  if (first < 0) return;
  const name = nameOf(Math.floor((first * rows) / answers.length));
  throw new DistillError(
    'ERR_NOT_FINITE',
    `The answers of '${model}' for ${name} are not finite numbers: check mean and std, or use a checkpoint from before its training diverged.`,
  );
}
