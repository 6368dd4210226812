import type { z } from 'zod';
import { DistillError } from '../errors.js';
import type { NativeAugmentation } from '../native.js';
import type { AUGMENTATIONS, training } from '../options/fields.js';

/** What is done to training pictures, and how large they are before. */
export interface Augmentation {
  /** Pixels a side. */
  storeSize: number;
  /** `null` where nothing is done. */
  by: NativeAugmentation | null;
}

type Given = Pick<z.output<z.ZodObject<typeof training>>, 'storeSize' | 'cropScale'> & {
  augment: readonly (typeof AUGMENTATIONS)[number][];
  imageSize: number;
};

/**
 * What the options come to.
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
