import { DistillError } from '../errors.js';
import type { CheckpointContents } from './inspect.js';
import { readLabels } from './labels.js';

/** What a network sees of a picture. */
export interface Preprocessing {
  /** Pixels a side. */
  imageSize: number;
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

/** What a model needs besides its weights. */
export interface ModelUse extends Preprocessing {
  /** Class names by index. */
  labels: readonly string[];
}

/**
 * Class names and preprocessing of a model: the caller's, else those in its file.
 *
 * @param given.labels Names, or a file of `index name` lines.
 * @throws DistillError `ERR_NO_METADATA` where neither says them, `ERR_LABELS` where the names are not as many as
 * the model's classes.
 */
export async function modelUse(
  {
    path,
    classes,
    architecture,
    metadata,
  }: Pick<CheckpointContents, 'path' | 'classes' | 'architecture' | 'metadata'>,
  given: {
    labels?: string | readonly string[] | undefined;
    mean?: ModelUse['mean'] | undefined;
    std?: ModelUse['std'] | undefined;
    imageSize?: number | undefined;
  },
): Promise<ModelUse> {
  const read = typeof given.labels === 'string' ? await readLabels(given.labels) : given.labels;
  const labels = read ?? metadata?.classes;
  const mean = given.mean ?? metadata?.mean;
  const std = given.std ?? metadata?.std;
  if (!labels || !mean || !std) {
    const missing = Object.entries({ labels, mean, std }).filter(([, value]) => !value);
    throw new DistillError(
      'ERR_NO_METADATA',
      `'${path}' carries no ${missing.map(([name]) => name).join(', ')}; pass ${missing.length > 1 ? 'them' : 'it'} as options.`,
    );
  }
  // Where the architecture is unknown, loading says so.
  if (architecture !== null && classes !== labels.length) {
    throw new DistillError(
      'ERR_LABELS',
      `'${path}' tells ${classes} classes apart, but there are ${labels.length} labels${typeof given.labels === 'string' ? ` in '${given.labels}'` : ''}.`,
    );
  }
  return { labels, mean, std, imageSize: given.imageSize ?? metadata?.imageSize ?? 224 };
}
