/**
 * JPEG, PNG, WebP, TIFF and GIF through sharp, with the values that Pillow's `convert('RGB')` gives: ICC
 * profiles are not applied, EXIF orientation is ignored (except in TIFF, where Pillow turns the picture), alpha
 * is dropped without blending, grey is repeated. Ordinary JPEGs come here only where the addon for them is not built.
 *
 * sharp's settings for the whole process (cache, concurrency, SIMD) are the caller's and stay as they are: bytes
 * read in order pass by libvips's cache, and many small pictures at once leave its threads little to do.
 */
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';
import { DistillError } from '../../errors.js';
import { limitConcurrency } from './concurrency.js';
import {
  BadImage,
  checkSize,
  MAX_PIXELS,
  MAX_PIXELS_KEPT,
  type OpenedImage,
  type OpenOptions,
  type Region,
} from './image.js';
import { beginsAsRead, unreadKind } from './kinds.js';

/** Pixels in memory at once from which a picture is decoded alone: it takes 50 MB, and 130 MB and more where a decoder keeps it. */
const LARGE = 2 ** 24;
const alone = limitConcurrency(1);

/** Scans of a progressive JPEG; others have about ten, and each is a pass over the whole picture. */
const MAX_SCANS = 100;

/** Reads a picture's header; throws a {@link BadImage} if sharp knows no such format. */
export async function openWithSharp(
  data: Uint8Array,
  { maxPixels, signal, isMended = false }: OpenOptions = {},
): Promise<OpenedImage> {
  const options: SharpOptions = {
    // The level at which libvips and Pillow refuse the same damaged files: warnings pass, missing data does not.
    failOn: isMended ? 'none' : 'error',
    ignoreIcc: true,
    limitInputPixels: false, // `checkSize` refuses it in plain words
  };
  const header = await inPlainWords(data, () => sharp(data, options).metadata());
  if (header.format === 'svg' || header.format === 'pdf') {
    throw new BadImage(`is a drawing (${header.format}) without pixels of its own`);
  }
  if (header.format === 'tiff') options.autoOrient = true;
  const { width, height } = options.autoOrient ? header.autoOrient : header;
  const isKept = isKeptWhole(header);
  checkSize(width, height, maxPixels ?? (isKept ? MAX_PIXELS_KEPT : MAX_PIXELS));
  if (header.format === 'jpeg' && header.isProgressive) checkScans(data);
  const samples = samplesOf(header, data);

  const read = async (region: Region) => {
    // All rows of the crop's columns, though only its own are wanted: libvips decodes in order and stops at
    // the last row asked for, and would not notice that the file is cut short below the crop.
    const columns = { left: region.left, top: 0, width: region.width, height };
    const decode = () => {
      signal?.throwIfAborted();
      return inPlainWords(data, () =>
        samples.select(sharp(data, options).extract(columns).removeAlpha()).toBuffer(),
      );
    };
    const held = (isKept ? width : region.width) * height; // pixels
    const strip = await (held > LARGE ? alone(decode) : decode());
    const row = strip.length / height; // bytes
    return samples.toRgb(strip.subarray(region.top * row, (region.top + region.height) * row));
  };
  return { width, height, read };
}

/** Tells whether libvips has all of a picture in memory to decode it; it reads others row by row. */
function isKeptWhole({ format, isProgressive, orientation = 1 }: Metadata): boolean {
  const isTurned = format === 'tiff' && orientation > 1;
  return isProgressive || isTurned || !['jpeg', 'png', 'tiff'].includes(format);
}

/** Refuses a small file that would take minutes. */
function checkScans(data: Uint8Array): void {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let scans = 0;
  for (let at = bytes.indexOf(START_OF_SCAN); at >= 0; at = bytes.indexOf(START_OF_SCAN, at + 2)) {
    scans += 1;
  }
  if (scans <= MAX_SCANS) return;
  throw new BadImage(
    `is a JPEG of ${scans} scans, and at most ${MAX_SCANS} are read: save it as an ordinary one`,
  );
}

/** A marker that cannot come up within a scan. */
const START_OF_SCAN = Buffer.of(0xff, 0xda);

/** A way to ask sharp for the samples of a picture, and to make RGB of them. */
interface Samples {
  select: (image: Sharp) => Sharp;
  toRgb: (samples: Buffer) => Uint8Array;
}

function samplesOf({ space, depth, format, hasAlpha }: Metadata, data: Uint8Array): Samples {
  if (space === 'cmyk' && (depth === 'uchar' || depth === 'ushort')) {
    return {
      select: (image) => image.pipelineColourspace('cmyk').toColourspace('cmyk').raw({ depth }),
      toRgb: (samples) => cmykToRgb(depth === 'uchar' ? samples : highBytes(samples)),
    };
  }
  // Pillow cuts grey of more than 8 bits off at 255, unless it comes with alpha: then it takes the high byte,
  // as with colours. A PNG's transparent grey value (colour type 0, in byte 25) is no alpha to Pillow.
  const alpha = hasAlpha && !(format === 'png' && data[25] === 0);
  if (depth !== 'uchar' && !alpha && (space === 'grey16' || space === 'b-w')) {
    return {
      select: (image) => image.toColourspace(space).raw({ depth: 'float' }),
      toRgb: cutOff,
    };
  }
  if (depth === 'uchar' || depth === 'ushort') {
    return {
      select: (image) => image.toColourspace('srgb').raw(),
      toRgb: (samples) => samples,
    };
  }
  throw new BadImage(`has samples that are not read: ${depth} in the colour space ${space}`);
}

/** Converts inks as Pillow does, uint8 (pixels, 4): `255 - K - C * (255 - K) / 255`. */
function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4, to += 3) {
    const light = 255 - (cmyk[from + 3] ?? 0);
    for (let c = 0; c < 3; c++) {
      rgb[to + c] = light - Math.round(((cmyk[from + c] ?? 0) * light) / 255);
    }
  }
  return rgb;
}

function highBytes(samples: Buffer): Uint8Array {
  const values = new Uint16Array(samples.buffer, samples.byteOffset, samples.length / 2);
  return Uint8Array.from(values, (value) => value >> 8);
}

function cutOff(samples: Buffer): Uint8Array {
  const values = new Float32Array(samples.buffer, samples.byteOffset, samples.length / 4);
  const rgb = new Uint8Array(3 * values.length);
  for (const [i, value] of values.entries()) {
    rgb.fill(Math.min(255, Math.max(0, value)), 3 * i, 3 * i + 3);
  }
  return rgb;
}

/**
 * libvips keeps one text of errors for the whole process: of several decodes that fail at once, one may find that another
 * has taken its text away. The system may only have refused it a thread, so such a picture is decoded again.
 */
const TEXT_IS_LOST = /\bUnknown error$/;
const MOST_ATTEMPTS = 10;

/** Turns libvips's error into a {@link BadImage} in plain words, with its own error as the cause. */
async function inPlainWords<T>(data: Uint8Array, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (TEXT_IS_LOST.test(message) && attempt < MOST_ATTEMPTS) continue;
      // Not the picture's fault: it must not be passed over.
      if (/creating thread/i.test(message)) {
        throw new DistillError(
          'ERR_THREADS',
          "The system makes no more threads to decode pictures with: raise the limit of the user's processes (ulimit -u) or of the container's (pids.max).",
          { cause: error },
        );
      }
      throw new BadImage(unreadKind(data) ?? reason(message, data), { cause: error });
    }
  }
}

function reason(message: string, data: Uint8Array): string {
  return /unsupported image format/.test(message) && !beginsAsRead(data)
    ? 'is not a JPEG, PNG, WebP, TIFF, GIF, AVIF, HEIC, JPEG XL, BMP, PPM or PGM file, whatever its name'
    : `is damaged or cut short (${message.split('\n', 1)[0]})`;
}
