import type { PixelPreprocessing } from '../model/preprocessing.js';
import type { DistillWarning } from '../warnings.js';
import { percent } from '../words.js';
import { type ReadOptions, readImageSize } from './decode.js';
import { sourceOf } from './samples.js';
import type { ImageSource } from './source.js';
import type { Dataset } from './store.js';

// The sizes of pictures, and the share of a picture that a network sees.

/** A picture's size in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** Below this share of a typical picture, a network sees a detail of it. */
export const SMALL_SHARE = 1 / 3;

/** Pictures at most by whose sizes a run judges. */
const SAMPLED = 64;
/** Files that are read at the same time. */
const AT_ONCE = 16;

/** Returns at most so many things, evenly from all of them. */
export function sampleEvenly<T>(things: readonly T[], most: number): T[] {
  const taken = Math.min(most, things.length);
  return Array.from(
    { length: taken },
    (_, i) => things[Math.floor((i * things.length) / taken)] as T,
  );
}

/** Reads the sizes of pictures from their headers. Pictures whose header cannot be read are left out. */
export async function readSizes(
  sources: readonly ImageSource[],
  options: ReadOptions = {},
): Promise<Size[]> {
  const sizes: (Size | null)[] = [];
  for (let first = 0; first < sources.length; first += AT_ONCE) {
    options.signal?.throwIfAborted();
    const some = sources
      .slice(first, first + AT_ONCE)
      .map((source) => readImageSize(source, options).catch(() => null));
    sizes.push(...(await Promise.all(some)));
  }
  return sizes.filter((size) => size !== null);
}

/** Returns the size of the picture whose area is the median; `null` without a picture. */
export function typicalSize(sizes: readonly Size[]): Size | null {
  const byArea = sizes.toSorted((a, b) => a.width * a.height - b.width * b.height);
  return byArea[byArea.length >> 1] ?? null;
}

/** Returns a picture's size after resizing, by the rule of torchvision's `Resize`. */
export function resizedSize(
  { width, height }: Size,
  { resize = null }: Pick<PixelPreprocessing, 'resize'>,
): Size {
  if (resize === null) return { width, height };
  if (typeof resize !== 'number') return { height: resize[0], width: resize[1] };
  const short = Math.min(width, height);
  const along = (side: number) => (side === short ? resize : Math.trunc((resize * side) / short));
  return { width: along(width), height: along(height) };
}

/** Returns the share of a picture's area, 0..1, that lies in the square that a network sees. */
export function seenShare(size: Size, preprocessing: PixelPreprocessing): number {
  const { padding = [0, 0, 0, 0], crop = true, imageSize } = preprocessing;
  if (!crop) return 1;
  const { width, height } = resizedSize(size, preprocessing);
  const [left, top, right, bottom] = padding;
  const across = seenPixels(width, left, right, imageSize);
  const down = seenPixels(height, top, bottom, imageSize);
  return (across / width) * (down / height);
}

/** Returns the pixels of a side that lie in the crop; `before` and `after` are those of the padding. */
function seenPixels(side: number, before: number, after: number, crop: number): number {
  const start = (before + side + after - crop) / 2; // of the crop
  return Math.max(0, Math.min(start + crop, before + side) - Math.max(start, before));
}

/** Returns the shorter side that is usual for a crop: 256 for 224. */
export function usualResize(imageSize: number): number {
  return Math.round((imageSize * 8) / 7);
}

/** The options of a call by which its pictures may be resized. */
type GivenResize = ReadOptions & { resize?: unknown; preprocess?: unknown };

/** Returns the warning of {@link smallCrop} for the pictures of a dataset. */
export async function smallCropOfDataset(
  { train, val }: Pick<Dataset, 'train' | 'val'>,
  preprocessing: PixelPreprocessing,
  given: GivenResize,
): Promise<DistillWarning | null> {
  const sources = [train, val].flatMap(({ samples }) => samples.map(sourceOf));
  return smallCrop(sources, preprocessing, given);
}

/**
 * Returns the warning of a crop that shows less than {@link SMALL_SHARE} of a typical picture, by the headers of some of the
 * pictures; `null` where it shows more, or where somebody has said how pictures are resized.
 *
 * @param given The options of the call. `resize: false` says that pictures are not resized, as a recipe does.
 */
export async function smallCrop(
  sources: readonly ImageSource[],
  preprocessing: PixelPreprocessing,
  given: GivenResize,
): Promise<DistillWarning | null> {
  const { resize = null, imageSize } = preprocessing;
  if (resize !== null || given.resize !== undefined || given.preprocess !== undefined) return null;
  const { maxPixels, signal } = given;
  const typical = typicalSize(
    await readSizes(sampleEvenly(sources, SAMPLED), { maxPixels, signal }),
  );
  if (!typical) return null;
  const share = seenShare(typical, preprocessing);
  if (share >= SMALL_SHARE) return null;
  const usual = usualResize(imageSize);
  return {
    code: 'WARN_CROP_IS_SMALL',
    message: `The network sees ${percent(share)} of a typical picture, ${typical.width} x ${typical.height} pixels: the ${imageSize} pixels in its middle, as pictures are not resized. Most networks were trained on the middle of resized pictures: give \`resize\` ${usual} (--resize ${usual}) or what the network was trained with, or \`resize\` false (--resize none) if the crop alone is meant.`,
  };
}
