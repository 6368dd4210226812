/**
 * Netpbm's PBM, PGM and PPM, plain and raw (P1 to P6), which sharp's libvips does not read. Values are scaled
 * as Pillow scales them, which for grey above 8 bits means: to 16 bits, then cut off at 255.
 */
import {
  BadImage,
  checkSize,
  isMostlyMissing,
  MAX_PIXELS,
  type OpenedImage,
  type Region,
  roundHalfEven,
  truncated,
} from './image.js';

const HASH = 0x23;
const LINE_ENDS = [0x0a, 0x0d];
const SPACES = [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d];

/** Reads the header of a PBM, PGM or PPM file; null if the data is none. */
export function openNetpbm(data: Uint8Array, maxPixels = MAX_PIXELS): OpenedImage | null {
  const kind = (data[1] ?? 0) - 0x30;
  if (data[0] !== 0x50 || kind < 1 || kind > 6 || !SPACES.includes(data[2] ?? 0)) return null; // 'P1 '

  const header = new Tokens(data, 3);
  const bitmap = kind === 1 || kind === 4;
  const width = header.number();
  const height = header.number();
  const maxval = bitmap ? 1 : header.number();
  checkSize(width, height, maxPixels);
  if (maxval < 1 || maxval > 65535) {
    throw new BadImage(
      `is a PNM file with the largest value ${maxval}, which should be 1 to 65535`,
    );
  }
  const channels = kind === 3 || kind === 6 ? 3 : 1;
  const scale = bitmap ? (value: number) => (value === 0 ? 255 : 0) : scaling(maxval, channels);

  const read = (region: Region) => {
    const samples: Samples = { width, height, channels, maxval, scale };
    if (kind === 4) return readBits(data, header.at, samples, region);
    if (kind > 4) return readRaw(data, header.at, samples, region);
    const text = new Tokens(data, header.at);
    return readPlain(() => (bitmap ? text.bit() : text.number()), samples, region);
  };
  return { width, height, read };
}

/**
 * Returns a file that holds the whole rows of a raw PBM, PGM or PPM that is cut short, and black ones for the others; `null`
 * where the data is none, ends within its header, has another largest value than a whole number of bytes, or is mostly missing
 * ({@link isMostlyMissing}).
 */
export function mendNetpbm(data: Uint8Array, maxPixels: number): Uint8Array | null {
  const kind = (data[1] ?? 0) - 0x30;
  if (data[0] !== 0x50 || ![4, 5, 6].includes(kind)) return null;
  const header = new Tokens(data, 3);
  const width = header.number();
  const height = header.number();
  checkSize(width, height, maxPixels);
  const maxval = kind === 4 ? 1 : header.number();
  const bits = kind === 4 ? 1 : maxval === 255 ? 8 * (kind === 6 ? 3 : 1) : 16;
  if (bits === 16 && (maxval !== 65535 || kind === 6)) return null;
  const row = Math.ceil((width * bits) / 8); // bytes
  const rows = Math.min(height, Math.floor((data.length - header.at) / row));
  if (isMostlyMissing(header.at + row * height, data.length)) return null;
  const mended = new Uint8Array(header.at + row * height);
  if (kind === 4) mended.fill(0xff);
  mended.set(data.subarray(0, header.at + row * rows));
  return mended;
}

interface Samples {
  width: number;
  height: number;
  /** 1 for grey, which is repeated, or 3 for RGB. */
  channels: 1 | 3;
  maxval: number;
  /** Maps a value of the file to 0..255. */
  scale: (value: number) => number;
}

function scaling(maxval: number, channels: 1 | 3): (value: number) => number {
  const most = maxval > 255 && channels === 1 ? 65535 : 255;
  return (value) => Math.min(255, roundHalfEven((value / maxval) * most));
}

function put(
  rgb: Uint8Array,
  pixel: number,
  channel: number,
  channels: 1 | 3,
  value: number,
): void {
  if (channels === 3) rgb[3 * pixel + channel] = value;
  else rgb.fill(value, 3 * pixel, 3 * pixel + 3);
}

/** Samples of one byte each, or of two, the higher first, where maxval needs them. */
function readRaw(data: Uint8Array, start: number, samples: Samples, region: Region): Uint8Array {
  const { width, height, channels, maxval, scale } = samples;
  const bytes = maxval > 255 ? 2 : 1;
  if (data.length < start + width * height * channels * bytes) throw truncated('PNM');
  const rgb = new Uint8Array(3 * region.width * region.height);
  for (let y = 0, pixel = 0; y < region.height; y++) {
    let at = start + ((region.top + y) * width + region.left) * channels * bytes;
    for (let x = 0; x < region.width; x++, pixel++) {
      for (let c = 0; c < channels; c++, at += bytes) {
        const first = data[at] ?? 0;
        const value = bytes === 2 ? first * 256 + (data[at + 1] ?? 0) : first;
        put(rgb, pixel, c, channels, scale(value));
      }
    }
  }
  return rgb;
}

/** One bit a sample, each row filled up to a byte. */
function readBits(data: Uint8Array, start: number, samples: Samples, region: Region): Uint8Array {
  const stride = Math.ceil(samples.width / 8);
  if (data.length < start + stride * samples.height) throw truncated('PNM');
  const rgb = new Uint8Array(3 * region.width * region.height);
  for (let y = 0, pixel = 0; y < region.height; y++) {
    const row = start + (region.top + y) * stride;
    for (let x = region.left; x < region.left + region.width; x++, pixel++) {
      const bit = ((data[row + (x >> 3)] ?? 0) >> (7 - (x & 7))) & 1;
      put(rgb, pixel, 0, 1, samples.scale(bit));
    }
  }
  return rgb;
}

/** Samples written out as decimal numbers: all before the region's end have to be read. */
function readPlain(next: () => number, samples: Samples, region: Region): Uint8Array {
  const { width, height, channels, maxval, scale } = samples;
  const rgb = new Uint8Array(3 * region.width * region.height);
  for (let y = 0; y < height; y++) {
    const row = y - region.top;
    for (let x = 0; x < width; x++) {
      const column = x - region.left;
      const wanted = row >= 0 && row < region.height && column >= 0 && column < region.width;
      for (let c = 0; c < channels; c++) {
        const value = next();
        if (value > maxval) {
          throw new BadImage(`is a PNM file with a value of ${value} above its largest, ${maxval}`);
        }
        if (wanted) put(rgb, row * region.width + column, c, channels, scale(value));
      }
    }
  }
  return rgb;
}

/** The tokens of a header or of plain samples, between white space; comments go from `#` to a line's end. */
class Tokens {
  readonly #data: Uint8Array;
  /** The next byte to read. */
  at: number;

  constructor(data: Uint8Array, at: number) {
    this.#data = data;
    this.at = at;
  }

  /** The next character that is no comment, or -1 at the end. */
  #next(): number {
    while (this.#data[this.at] === HASH) {
      while (this.at < this.#data.length && !LINE_ENDS.includes(this.#data[this.at] ?? 0))
        this.at++;
      this.at++;
    }
    return this.#data[this.at++] ?? -1;
  }

  /** The next token as a number, and past the one white space that ends it. */
  number(): number {
    let character = this.#next();
    while (SPACES.includes(character)) character = this.#next();
    if (character === -1) throw truncated('PNM');
    let value = 0;
    for (let digits = 1; character !== -1 && !SPACES.includes(character); digits++) {
      // Pillow reads as many digits: a file of one endless number is refused early.
      if (character < 0x30 || character > 0x39 || digits > 10) {
        throw new BadImage(
          `is a PNM file with something else than a number at byte ${this.at - 1}`,
        );
      }
      value = value * 10 + character - 0x30;
      character = this.#next();
    }
    return value;
  }

  /** The next bit, 0 or 1; white space between bits is optional. */
  bit(): number {
    let character = this.#next();
    while (SPACES.includes(character)) character = this.#next();
    if (character === -1) throw truncated('PNM');
    if (character !== 0x30 && character !== 0x31) {
      throw new BadImage(`is a PNM file with something else than a bit at byte ${this.at - 1}`);
    }
    return character - 0x30;
  }
}
