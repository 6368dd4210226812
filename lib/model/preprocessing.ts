import { isDeepStrictEqual } from 'node:util';
import type { INTERPOLATIONS } from '../options/fields.js';

/** The steps from a picture to the region that a network sees, in their order. A further step is a field here. */
export interface PixelSteps {
  /** 'apply' turns a picture upright by its EXIF orientation, as Pillow's `ImageOps.exif_transpose` does. */
  exif: 'ignore' | 'apply';
  /** The length of the shorter side, or height and width, that a picture is resized to, in pixels; `null`: it is not resized. */
  resize: number | readonly [height: number, width: number] | null;
  /** The filter of resizing. All but 'nearest' are antialiased. */
  interpolation: (typeof INTERPOLATIONS)[number];
  /** Black pixels that are added on each side, as torchvision's `Pad` does. */
  padding: readonly [left: number, top: number, right: number, bottom: number];
  /** True where the middle is cut out, as torchvision's `CenterCrop` does; false where `resize` and `padding` give the square. */
  crop: boolean;
  /**
   * The rounding of the half of a surplus that a crop takes away on the left and at the top: 'even' as torchvision and timm
   * (halves to the even number), or 'down' as Hugging Face's image processors. A recipe says it; there is no option for it.
   */
  cropRounding: 'even' | 'down';
}

/** The steps from a picture's file to its pixels, uint8 RGB (imageSize, imageSize, 3). */
export interface PixelPreprocessing extends PixelSteps {
  /** Side of the square that a network sees, in pixels. */
  imageSize: number;
}

/** The default steps: the crop alone. */
export const CENTER_CROP: PixelSteps = {
  exif: 'ignore',
  resize: null,
  interpolation: 'bilinear',
  padding: [0, 0, 0, 0],
  crop: true,
  cropRounding: 'even',
};

/** The names of the steps, in their order. */
export const STEPS = Object.keys(CENTER_CROP) as (keyof PixelSteps)[];

/** Returns the preprocessing that takes the middle of a picture, and does nothing else. */
export function centerCropOf(imageSize: number): PixelPreprocessing {
  return { ...CENTER_CROP, imageSize };
}

/** Returns those of the steps that are not the default ones: files leave out the others. */
export function changedSteps(steps: PixelSteps): Partial<PixelSteps> {
  const changed = STEPS.filter((name) => !isDeepStrictEqual(steps[name], CENTER_CROP[name]));
  return Object.fromEntries(changed.map((name) => [name, steps[name]]));
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
 * Returns the side of the largest square in the middle of every picture that has no margin of black, in pixels; `null` where
 * it depends on the picture.
 */
export function sharedSide({ resize, crop, imageSize }: PixelPreprocessing): number | null {
  if (!crop) return imageSize;
  if (resize === null) return null;
  return typeof resize === 'number' ? resize : Math.min(...resize);
}
