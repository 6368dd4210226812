import type { z } from 'zod';
import { DistillError } from '../errors.js';
import { type PixelPreprocessing, sharedSide } from '../model/preprocessing.js';
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
  preprocessing: PixelPreprocessing;
};

/**
 * Returns the augmentation that the options ask for.
 *
 * @throws DistillError `ERR_OPTION` where `storeSize` is below `imageSize`, or above it with nothing to use the margin, or above
 * the pixels that a resized picture has.
 */
export function augmentationOf({
  augment,
  storeSize,
  preprocessing,
  cropScale,
}: Given): Augmentation {
  const { imageSize } = preprocessing;
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
  const side = sharedSide(preprocessing);
  if (storeSize !== undefined && side !== null && storeSize > Math.max(side, imageSize)) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected a \`storeSize\` of at most ${Math.max(side, imageSize)}, but received ${storeSize}: a picture has no more than ${side} pixels across or down once it is resized, and the rest would be black; raise \`resize\`, or lower \`storeSize\`.`,
    );
  }
  const margin = crop === 'center' ? 0 : 2 * Math.floor(imageSize / 8);
  const wanted = imageSize + margin;
  return {
    storeSize: storeSize ?? Math.max(imageSize, Math.min(wanted, side ?? wanted)),
    by: crop === 'center' && !flip ? null : { crop, minScale: cropScale, flip },
  };
}
