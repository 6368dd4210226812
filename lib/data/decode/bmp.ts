/**
 * Windows and OS/2 bitmaps, which sharp's libvips does not read: 1, 4, 8, 16, 24 and 32 bits, run lengths of
 * 8 and 4 bits, bit fields, either row order. Only the rows of the crop are touched.
 *
 * The quirks of the format are resolved as Pillow resolves them, so that both read the same values. The npm
 * packages for the format read fewer kinds, round 16-bit colours otherwise, and allocate what a header says.
 */
import {
  BadImage,
  checkSize,
  isMostlyMissing,
  MAX_PIXELS,
  type OpenedImage,
  type Region,
  truncated,
} from './image.js';

// Compression values of the header.
const RAW = 0;
const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;

/** The facts of the headers, sizes in pixels and bytes. */
interface Header {
  width: number;
  height: number;
  topDown: boolean;
  bits: number;
  compression: number;
  /** The byte of the file at which the pixels start. */
  start: number;
  /** RGB by index; black where the file gives no colour. Empty above 8 bits. */
  palette: Uint8Array;
  /** The masks of red, green and blue; all zero where the file names none. */
  masks: [number, number, number];
}

/** Reads a bitmap's headers; null if the data is not a bitmap. */
export function openBmp(data: Uint8Array, maxPixels = MAX_PIXELS): OpenedImage | null {
  if (data[0] !== 0x42 || data[1] !== 0x4d) return null; // 'BM'
  const header = readHeader(data);
  checkSize(header.width, header.height, maxPixels);
  const { width, height, compression } = header;
  const read =
    compression === RLE8 || compression === RLE4
      ? (region: Region) => readRuns(data, header, region)
      : (region: Region) => readRows(data, header, region);
  return { width, height, read };
}

/**
 * Returns a bitmap that holds the whole rows of one that is cut short, with zeros for the others; `null` where the data is
 * none, ends within its header, has run lengths, or is mostly missing ({@link isMostlyMissing}).
 */
export function mendBmp(data: Uint8Array, maxPixels: number): Uint8Array | null {
  if (data[0] !== 0x42 || data[1] !== 0x4d) return null;
  const { width, height, bits, compression, start } = readHeader(data);
  if (compression === RLE8 || compression === RLE4) return null;
  checkSize(width, height, maxPixels);
  const row = Math.ceil((width * bits) / 8); // bytes, without what fills it up
  const stride = Math.ceil(row / 4) * 4;
  const whole = start + stride * height;
  if (isMostlyMissing(whole, data.length)) return null;
  const rows = Math.max(0, Math.floor((data.length - start - row) / stride) + 1);
  const mended = new Uint8Array(whole);
  const end = rows === 0 ? start : start + stride * (rows - 1) + row;
  mended.set(data.subarray(0, Math.min(end, whole)));
  return mended;
}

function readHeader(data: Uint8Array): Header {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 26) throw truncated('BMP');
  const size = view.getUint32(14, true); // of the second header, which follows 14 bytes of the first
  if (![12, 40, 52, 56, 64, 108, 124].includes(size)) {
    throw new BadImage(`is a BMP file with an unknown header of ${size} bytes`);
  }
  if (data.length < 14 + size) throw truncated('BMP');

  const old = size === 12; // OS/2 1.x: 16-bit sizes, three bytes a colour
  const rows = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? RAW : view.getUint32(30, true);
  const entry = old ? 3 : 4; // bytes a palette colour
  let end = 14 + size;

  const masks: Header['masks'] = [0, 0, 0];
  if (compression === BITFIELDS) {
    // Part of the longer headers; after one of 40 bytes, at the same place.
    if (data.length < 66) throw truncated('BMP');
    for (const i of [0, 1, 2] as const) masks[i] = view.getUint32(54 + 4 * i, true);
    if (size === 40) end = 66;
  }

  const colours = bits > 8 ? 0 : (old ? 0 : view.getUint32(46, true)) || 2 ** bits;
  if (colours > 256)
    throw new BadImage(`is a BMP file with ${colours} colours, at most 256 are read`);
  const palette = new Uint8Array(bits > 8 ? 0 : 3 * 256);
  for (let i = 0; i < colours; i++) {
    for (let c = 0; c < 3; c++) palette[3 * i + c] = data[end + entry * i + 2 - c] ?? 0;
  }

  let start = view.getUint32(10, true);
  // Writers that give no start of the pixels, or forget that the palette comes first.
  if (start === 14 + size) start += entry * colours;
  if (start === 0) start = end + entry * colours;

  return {
    width: old ? view.getUint16(18, true) : view.getUint32(18, true),
    height: Math.abs(rows),
    topDown: rows < 0,
    bits,
    compression,
    start,
    palette,
    masks,
  };
}

/** Pixels that lie in rows, each filled up to four bytes. */
function readRows(data: Uint8Array, header: Header, region: Region): Uint8Array {
  const { width, height, bits, start } = header;
  const pixel = pixelReader(data, header);
  const stride = Math.floor((width * bits + 31) / 32) * 4; // bytes a row
  // The last row may lack its filling.
  if (data.length < start + stride * (height - 1) + Math.ceil((width * bits) / 8)) {
    throw truncated('BMP');
  }
  const rgb = new Uint8Array(3 * region.width * region.height);
  let at = 0;
  for (let y = region.top; y < region.top + region.height; y++) {
    const row = start + stride * (header.topDown ? y : height - 1 - y);
    for (let x = region.left; x < region.left + region.width; x++, at += 3) pixel(row, x, rgb, at);
  }
  return rgb;
}

/** Writes pixel `x` of the row that starts at byte `row` to `rgb[at]` and the two values after it. */
type PixelReader = (row: number, x: number, rgb: Uint8Array, at: number) => void;

function pixelReader(data: Uint8Array, header: Header): PixelReader {
  const { bits, compression, palette, masks } = header;
  if (compression !== RAW && compression !== BITFIELDS) {
    throw new BadImage(`is a BMP file with compression ${compression}, which is not read`);
  }
  if (bits === 1 || bits === 4 || bits === 8) {
    const perByte = 8 / bits;
    return (row, x, rgb, at) => {
      const byte = data[row + Math.floor(x / perByte)] ?? 0;
      const index = (byte >> (8 - bits - (x % perByte) * bits)) & (2 ** bits - 1);
      for (let c = 0; c < 3; c++) rgb[at + c] = palette[3 * index + c] ?? 0;
    };
  }
  if (bits === 16) {
    const green = compression === BITFIELDS && masks[1] === 0x7e0 ? 6 : 5; // bits
    const known = green === 6 ? [0xf800, 0x7e0, 0x1f] : [0x7c00, 0x3e0, 0x1f];
    if (compression === RAW || masks.every((mask, i) => mask === known[i])) {
      const most = 2 ** green - 1;
      return (row, x, rgb, at) => {
        const value = (data[row + 2 * x] ?? 0) | ((data[row + 2 * x + 1] ?? 0) << 8);
        rgb[at] = Math.floor((((value >> (5 + green)) & 31) * 255) / 31);
        rgb[at + 1] = Math.floor((((value >> 5) & most) * 255) / most);
        rgb[at + 2] = Math.floor(((value & 31) * 255) / 31);
      };
    }
  }
  if (bits === 24 || bits === 32) {
    const named = masks.some((mask) => mask !== 0);
    const bytes = named
      ? masks.map((mask) => [0xff, 0xff00, 0xff0000, 0xff000000].indexOf(mask))
      : [2, 1, 0];
    if (bytes.every((byte) => byte >= 0 && byte < bits / 8)) {
      return (row, x, rgb, at) => {
        const pixel = row + (x * bits) / 8;
        for (let c = 0; c < 3; c++) rgb[at + c] = data[pixel + (bytes[c] ?? 0)] ?? 0;
      };
    }
  }
  const layout =
    compression === BITFIELDS ? ` and masks ${masks.map((mask) => mask.toString(16))}` : '';
  throw new BadImage(`is a BMP file with ${bits} bits a pixel${layout}, which is not read`);
}

/**
 * Pixels that lie in runs. `at` counts the pixels in the file's order, and `x` follows it except after a
 * literal that goes on into the next row, whose surplus Pillow drops.
 */
function readRuns(data: Uint8Array, header: Header, region: Region): Uint8Array {
  const { width, height, bits, compression, palette } = header;
  const nibbles = compression === RLE4;
  if (bits !== (nibbles ? 4 : 8)) {
    throw new BadImage(`is a BMP file with ${bits} bits a pixel in run lengths, which is not read`);
  }
  const total = width * height;
  const indices = new Uint8Array(region.width * region.height); // what no run covers is index 0
  let at = 0;
  let x = 0;
  const put = (index: number) => {
    const line = Math.floor(at / width);
    const column = (at % width) - region.left;
    const row = (header.topDown ? line : height - 1 - line) - region.top;
    if (column >= 0 && column < region.width && row >= 0 && row < region.height) {
      indices[row * region.width + column] = index;
    }
    at += 1;
  };

  let next = header.start;
  while (at < total && next + 1 < data.length) {
    const count = data[next++] ?? 0;
    const code = data[next++] ?? 0;
    if (count > 0) {
      const run = Math.min(count, Math.max(0, width - x));
      for (let i = 0; i < run; i++) put(nibbles ? (i % 2 === 0 ? code >> 4 : code & 15) : code);
      x += run;
    } else if (code === 0) {
      at = Math.ceil(at / width) * width;
      x = 0;
    } else if (code === 1) {
      break;
    } else if (code === 2) {
      if (next + 1 >= data.length) break;
      at = Math.min(total, at + (data[next] ?? 0) + (data[next + 1] ?? 0) * width);
      next += 2;
      x = at % width;
    } else {
      const pixels = Math.min(total - at, code);
      const bytes = nibbles ? Math.ceil(pixels / 2) : pixels;
      if (next + bytes > data.length) break;
      for (let i = 0; i < pixels; i++) {
        const byte = data[next + (nibbles ? i >> 1 : i)] ?? 0;
        put(nibbles ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
      }
      next += bytes;
      next += next % 2; // literals are filled up to an even place in the file
      x += code;
    }
  }
  if (at < total) throw truncated('BMP');

  const rgb = new Uint8Array(3 * indices.length);
  for (const [i, index] of indices.entries())
    rgb.set(palette.subarray(3 * index, 3 * index + 3), 3 * i);
  return rgb;
}
