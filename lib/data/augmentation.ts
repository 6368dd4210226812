import type { z } from 'zod';
import { DistillError } from '../errors.js';
import type { NativeAugmentation } from '../native.js';
import type { AUGMENTATIONS, training } from '../options/fields.js';

/** The augmentation of training pictures, and their size before it. */
export interface Augmentation {
  /** Side of the stored pictures, in pixels. */
  storeSize: number;
  /** `null` where the pictures stay as they are. */
  by: NativeAugmentation | null;
}

type Given = Pick<z.output<z.ZodObject<typeof training>>, 'storeSize' | 'cropScale'> & {
  augment: readonly (typeof AUGMENTATIONS)[number][];
  imageSize: number;
};

/**
 * Returns the augmentation that the options ask for.
 *
 * @throws DistillError `ERR_OPTION` where `storeSize` is below `imageSize`, or above it with nothing to use the margin.
 */
export function augmentationOf({ augment, storeSize, imageSize, cropScale }: Given): Augmentation {
  const crop = augment.includes('crop')
    ? 'random'
    : augment.includes('resized-crop')
      ? 'resized'
      : 'center';
  const flip = augment.includes('flip');
  if (storeSize !== undefined && storeSize < imageSize) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected a \`storeSize\` of at least \`imageSize\`, ${imageSize}, but received ${storeSize}.`,
    );
  }
  if (storeSize !== undefined && storeSize > imageSize && crop === 'center') {
    throw new DistillError(
      'ERR_OPTION',
      `\`storeSize\` ${storeSize} is larger than \`imageSize\`, ${imageSize}, but nothing is cropped; name 'crop' or 'resized-crop' in \`augment\`.`,
    );
  }
  const margin = crop === 'center' ? 0 : 2 * Math.floor(imageSize / 8);
  return {
    storeSize: storeSize ?? imageSize + margin,
    by: crop === 'center' && !flip ? null : { crop, minScale: cropScale, flip },
  };
}
