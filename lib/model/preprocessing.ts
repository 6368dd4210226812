import { DistillError } from '../errors.js';
import type { CheckpointContents } from './inspect.js';
import { readLabels } from './labels.js';

/** The steps from a picture's file to its pixels, uint8 RGB (imageSize, imageSize, 3). A further step is a field here. */
export interface PixelPreprocessing {
  /** 'apply' turns a picture as its EXIF says, as Pillow's `ImageOps.exif_transpose` does. Default 'ignore'. */
  exif?: 'ignore' | 'apply';
  /** The shorter side, or both sides, that a picture is resized to, in pixels; `null` (the default): it is not resized. */
  resize?: number | readonly [height: number, width: number] | null;
  /** The filter of resizing, as Pillow's. Default 'bilinear'. */
  interpolation?: 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'nearest';
  /** Black pixels on each side after resizing and before the crop. Default none. */
  padding?: readonly [left: number, top: number, right: number, bottom: number];
  /** Cuts the square out of the middle (the default); without it the resized and padded picture is the square. */
  crop?: boolean;
  /** Side of the square, in pixels. */
  imageSize: number;
}

/** Returns the bytes of one picture's pixels. */
export function pixelBytes({ imageSize }: PixelPreprocessing): number {
  return imageSize * imageSize * 3;
}

/** The steps from a picture's file to a network's input, `(pixels / 255 - mean) / std`. */
export interface Preprocessing extends PixelPreprocessing {
  /** Means of R, G, B, in 0..1. */
  mean: readonly [number, number, number];
  /** Standard deviations of R, G, B, in 0.0001..1. */
  std: readonly [number, number, number];
}

/** Side of the square that a network sees, in pixels, where neither the caller nor a file says it. */
export const IMAGE_SIZE = 224;

/** Leaves pixels in 0..1: for work whose outcome does not depend on it. */
export const UNNORMALIZED = { mean: [0, 0, 0], std: [1, 1, 1] } as const;

/**
 * Returns a model's preprocessing and class names: the caller's, or else those in its file.
 *
 * @param given.labels Names by index, or a file of `index name` lines.
 * @throws DistillError `ERR_NO_METADATA` where neither says them, `ERR_LABELS` where the names are not as many as
 * the model's classes.
 */
export async function preprocessingOf(
  {
    path,
    classes,
    architecture,
    metadata,
  }: Pick<CheckpointContents, 'path' | 'classes' | 'architecture' | 'metadata'>,
  given: {
    labels?: string | readonly string[] | undefined;
    mean?: Preprocessing['mean'] | undefined;
    std?: Preprocessing['std'] | undefined;
    imageSize?: number | undefined;
  },
): Promise<{ preprocessing: Preprocessing; labels: readonly string[] }> {
  const read = typeof given.labels === 'string' ? await readLabels(given.labels) : given.labels;
  const labels = read ?? metadata?.classes;
  const mean = given.mean ?? metadata?.mean;
  const std = given.std ?? metadata?.std;
  if (!labels || !mean || !std) {
    const missing = Object.entries({ labels, mean, std }).filter(([, value]) => !value);
    throw new DistillError(
      'ERR_NO_METADATA',
      `'${path}' has no ${missing.map(([name]) => name).join(', ')}; pass ${missing.length > 1 ? 'them as options' : 'it as an option'}.`,
    );
  }
  // An unknown architecture is refused when it is loaded.
  if (architecture !== null && classes !== labels.length) {
    throw new DistillError(
      'ERR_LABELS',
      `'${path}' has ${classes} classes, but there are ${labels.length} labels${typeof given.labels === 'string' ? ` in '${given.labels}'` : ''}.`,
    );
  }
  const imageSize = given.imageSize ?? metadata?.imageSize ?? IMAGE_SIZE;
  return { preprocessing: { imageSize, mean, std }, labels };
}
