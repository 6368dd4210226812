import { DistillError } from '../errors.js';

/**
 * Refuses a model's answers that are no finite numbers, as finite weights may give them too.
 *
 * @param answers Row by row.
 * @param given.rows Pictures that it answered for.
 * @param given.model Its file.
 * @param given.nameOf What the picture of a row is called.
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
