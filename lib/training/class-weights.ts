import { DistillError } from '../errors.js';
import { quoted } from '../words.js';

// The weights of classes in the labels' term of the loss.

/** The option `classWeights`. */
export type ClassWeights = 'balanced' | readonly number[];

/**
 * Refuses a list of weights that are not one for each class.
 *
 * @throws DistillError `ERR_OPTION` that names the classes in their order.
 */
export function checkClassWeights(
  weights: ClassWeights | undefined,
  classes: readonly string[],
): void {
  if (weights === undefined || weights === 'balanced' || weights.length === classes.length) return;
  throw new DistillError(
    'ERR_OPTION',
    `Expected a weight for each of the ${classes.length} classes (${quoted(classes)}, in this order) in \`classWeights\` but received ${weights.length}.`,
  );
}

/**
 * Returns the weight of each class; `null` where all weigh the same. Balanced ones are n / (classes · nc), where n is the
 * number of pictures and nc that of the class, as scikit-learn's `compute_class_weight('balanced')`.
 *
 * @param perClass The number of labelled training pictures of each class.
 */
export function classWeightsOf(
  weights: ClassWeights | undefined,
  perClass: readonly number[],
): readonly number[] | null {
  if (weights !== 'balanced') return weights ?? null;
  const labelled = perClass.reduce((sum, count) => sum + count, 0);
  return perClass.map((count) => labelled / (perClass.length * count));
}
