/**
 * JPEG, PNG, WebP, TIFF and GIF through sharp, with the values that Pillow's `convert('RGB')` gives: ICC
 * profiles are not applied, EXIF orientation is ignored (except in TIFF, where Pillow turns the picture), alpha
 * is dropped without blending, grey is repeated. Ordinary JPEGs come here only where the addon for them is not built.
 *
 * sharp's settings for the whole process (cache, concurrency, SIMD) are the caller's and stay as they are: bytes
 * read in order pass by libvips's cache, and many small pictures at once leave its threads little to do.
 */
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';
import { BadPicture, MAX_PIXELS, type Picture, type Region } from './picture.js';

/** Reads a picture's header; throws a {@link BadPicture} if sharp knows no such format. */
export async function openWithSharp(data: Uint8Array): Promise<Picture> {
  const options: SharpOptions = {
    // The level at which libvips and Pillow refuse the same damaged files: warnings pass, missing data does not.
    failOn: 'error',
    ignoreIcc: true,
    limitInputPixels: MAX_PIXELS,
  };
  const header = await inPlainWords(() => sharp(data, options).metadata());
  if (header.format === 'svg' || header.format === 'pdf') {
    throw new BadPicture(`is a drawing (${header.format}) without pixels of its own`);
  }
  if (header.format === 'tiff') options.autoOrient = true;
  const { width, height } = options.autoOrient ? header.autoOrient : header;
  const samples = samplesOf(header, data);

  const read = async (region: Region) => {
    // All rows of the crop's columns, though only its own are wanted: libvips decodes in order and stops at
    // the last row asked for, and would not notice that the file is cut short below the crop.
    const columns = { left: region.left, top: 0, width: region.width, height };
    const strip = await inPlainWords(() =>
      samples.select(sharp(data, options).extract(columns).removeAlpha()).toBuffer(),
    );
    const row = strip.length / height; // bytes
    return samples.toRgb(strip.subarray(region.top * row, (region.top + region.height) * row));
  };
  return { width, height, read };
}

/** How sharp is asked for the samples of a picture, and how they become RGB. */
interface Samples {
  select: (picture: Sharp) => Sharp;
  toRgb: (samples: Buffer) => Uint8Array;
}

function samplesOf({ space, depth, format, hasAlpha }: Metadata, data: Uint8Array): Samples {
  if (space === 'cmyk' && (depth === 'uchar' || depth === 'ushort')) {
    return {
      select: (picture) => picture.pipelineColourspace('cmyk').toColourspace('cmyk').raw({ depth }),
      toRgb: (samples) => cmykToRgb(depth === 'uchar' ? samples : highBytes(samples)),
    };
  }
  // Pillow cuts grey of more than 8 bits off at 255, unless it comes with alpha: then it takes the high byte,
  // as with colours. A PNG's transparent grey value (colour type 0, in byte 25) is no alpha to Pillow.
  const alpha = hasAlpha && !(format === 'png' && data[25] === 0);
  if (depth !== 'uchar' && !alpha && (space === 'grey16' || space === 'b-w')) {
    return {
      select: (picture) => picture.toColourspace(space).raw({ depth: 'float' }),
      toRgb: cutOff,
    };
  }
  if (depth === 'uchar' || depth === 'ushort') {
    return {
      select: (picture) => picture.toColourspace('srgb').raw(),
      toRgb: (samples) => samples,
    };
  }
  throw new BadPicture(`has samples that are not read: ${depth} in the colour space ${space}`);
}

/** Pillow's conversion of inks, uint8 (pixels, 4): `255 - K - C * (255 - K) / 255`. */
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

/** Says what libvips has against a picture, keeping its own error as the cause. */
async function inPlainWords<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/unsupported image format/.test(said)) {
      throw new BadPicture(
        'is not a JPEG, PNG, WebP, TIFF, GIF, BMP, PPM or PGM file, whatever its name',
        { cause: error },
      );
    }
    if (/exceeds pixel limit/.test(said)) {
      throw new BadPicture(`is too large: at most ${MAX_PIXELS} pixels are read`, { cause: error });
    }
    throw new BadPicture(`is damaged or cut short (${said.split('\n', 1)[0]})`, { cause: error });
  }
}
