/** A rectangle of a picture, and where its top left corner goes in the crop. All in pixels. */
export interface Region {
  left: number;
  top: number;
  width: number;
  height: number;
  /** The column of the crop that holds the region's first column. */
  x: number;
  /** The row of the crop that holds the region's first row. */
  y: number;
}

/** A picture whose header has been read and whose pixels have not. */
export interface OpenedImage {
  width: number;
  height: number;
  /** The RGB values of a region, uint8 (height, width, 3); throws a {@link BadImage}. */
  read(region: Region): Uint8Array | Promise<Uint8Array>;
}

export interface OpenOptions {
  /** The largest picture that is read, in pixels. Default: {@link MAX_PIXELS}, and {@link MAX_PIXELS_KEPT} where it is kept as a whole. */
  maxPixels?: number | undefined;
  /** Ends the reading, and the waiting for another large picture. */
  signal?: AbortSignal | undefined;
  /** The file has been mended (decode/truncated.ts): what is missing in it is no error. */
  isMended?: boolean | undefined;
}

/** The reason why a picture cannot be read: `message` completes "The picture … is not read: it". */
export class BadImage extends Error {}

/** The largest picture that is read unless another limit is given, in pixels: Pillow's limit. */
export const MAX_PIXELS = 178_956_970;
/** The same where a decoder keeps the whole picture, in up to 8 bytes a pixel: where Pillow begins to warn. */
export const MAX_PIXELS_KEPT = 89_478_485;

/**
 * Returns the region that torchvision's `CenterCrop(size)` takes from a picture. A side longer than `size` loses
 * `round((side - size) / 2)` at its start, halves rounded to even; a shorter one is padded with
 * `floor((size - side) / 2)` at its start and the rest at its end.
 */
export function centerCrop(width: number, height: number, size: number): Region {
  const across = along(width, size);
  const down = along(height, size);
  return {
    left: across.from,
    top: down.from,
    width: across.length,
    height: down.length,
    x: across.to,
    y: down.to,
  };
}

function along(side: number, size: number): { from: number; to: number; length: number } {
  return side < size
    ? { from: 0, to: (size - side) >> 1, length: side }
    : { from: roundHalfEven((side - size) / 2), to: 0, length: size };
}

/** Rounds as Python does: to the nearest integer, halves to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/**
 * Refuses a size that no picture has, and one above the limit, before anything is allocated for it.
 *
 * @param limit Pixels.
 */
export function checkSize(width: number, height: number, limit: number): void {
  if (width < 1 || height < 1) {
    throw new BadImage(`has no pixels: its header says ${width} x ${height}`);
  }
  if (width * height > limit) {
    throw new BadImage(
      `is too large: ${width} x ${height} are ${width * height} pixels, and at most ${limit} are read; resize it, or raise \`maxPixels\``,
    );
  }
}

/** Returns the refusal of a file that ends before its pixels do. */
export function truncated(format: string): BadImage {
  return new BadImage(`is cut short: the ${format} file ends before its pixels do`);
}

/**
 * Tells whether so much of a file is missing that it is not mended: a few bytes of a large picture would take much memory.
 *
 * @param whole Bytes of the whole file.
 * @param there Bytes that there are.
 */
export function isMostlyMissing(whole: number, there: number): boolean {
  return whole > 3 * there + 2 ** 25;
}
