/** The steps from a decoded picture to a network's pixels, where these are not done while it is decoded. */
import { loadPixelsAddon, native } from '../../addon.js';
import type { PixelPreprocessing } from '../../model/preprocessing.js';
import type { NativePixelSteps } from '../../native.js';
import { BadImage, centerCrop, type OpenedImage } from './image.js';

/** Returns the steps as the addons for pixels and JPEGs take them. */
export function pixelSteps(
  preprocessing: PixelPreprocessing,
  orientation: number,
): NativePixelSteps {
  const { resize, interpolation, padding, crop, cropRounding, imageSize } = preprocessing;
  return {
    orientation,
    resize: typeof resize === 'number' ? [resize] : resize,
    interpolation,
    padding,
    crop,
    cropRounding,
    imageSize,
  };
}

/** Tells whether pixels of the picture are pixels of the crop, so that no addon is needed. */
export function isPlainCrop(steps: NativePixelSteps): boolean {
  const { orientation, resize, padding, crop, cropRounding } = steps;
  const isPadded = padding.some((side) => side > 0);
  return orientation === 1 && resize === null && !isPadded && crop && cropRounding === 'even';
}

/** Copies the middle of a picture to `pixels`, (size, size, 3). */
export async function cutOut(image: OpenedImage, size: number, pixels: Uint8Array): Promise<void> {
  const region = centerCrop(image.width, image.height, size);
  const rgb = await image.read(region);
  const row = region.width * 3; // bytes
  if (region.width < size || region.height < size) pixels.fill(0);
  for (let y = 0; y < region.height; y++) {
    pixels.set(rgb.subarray(y * row, (y + 1) * row), ((region.y + y) * size + region.x) * 3);
  }
}

/**
 * Fills `pixels`, (imageSize, imageSize, 3), with the picture after all steps. Only the region that these look at is read.
 *
 * @throws BadImage where the picture is too long to be resized.
 */
export async function resample(
  image: OpenedImage,
  steps: NativePixelSteps,
  pixels: Uint8Array,
): Promise<void> {
  const { width, height } = image;
  const addon = loadPixelsAddon();
  try {
    const visible = addon.visibleRegion({ width, height, steps });
    const region = await image.read({ ...visible, x: 0, y: 0 });
    await native(addon.fillPixels({ width, height, steps, region, pixels }));
  } catch (error) {
    const isUnfit =
      !(error instanceof BadImage) && (error as { code?: unknown }).code === 'ERR_BAD_IMAGE';
    throw isUnfit ? new BadImage((error as Error).message) : error;
  }
}
