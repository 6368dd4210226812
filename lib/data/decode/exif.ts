/**
 * The orientation of a picture's EXIF, as Pillow's `ImageOps.exif_transpose` finds it (compared with 13.0). The rules are
 * Pillow's in what the formats leave open: which of several blocks counts, XMP where EXIF has no orientation, what a
 * damaged block means. Where Pillow raises an error because of the block, the orientation is 1.
 *
 * sharp's `metadata().orientation` and the npm packages for EXIF follow other rules in each of these.
 */
import { constants, inflateSync } from 'node:zlib';
import { latin1 } from './kinds.js';

/** Pillow's numbers, which are EXIF's: 1 is upright, 2 to 4 are flipped or turned by 180 degrees, 5 to 8 change the sides. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** The metadata of a picture's file that can name its orientation. */
interface Metadata {
  /** A TIFF of tags, perhaps after `Exif\0\0`. */
  exif?: Uint8Array | undefined;
  /** XML, as Latin-1. */
  xmp?: string | undefined;
}

/**
 * Returns the orientation in which a picture's pixels lie in its file.
 *
 * It is 1 for kinds without EXIF (BMP, GIF, PNM) and for those whose decoders turn the pixels themselves: TIFF by its
 * tag, HEIC and AVIF by their boxes, JPEG XL by its header.
 *
 * @param data The file. Nothing in it is trusted for its size.
 */
export function exifOrientation(data: Uint8Array): Orientation {
  const { exif, xmp } = metadataOf(data);
  if (exif !== undefined) {
    const orientation = orientationOf(exif);
    if (orientation !== null) return orientation;
  }
  const digit = /tiff:Orientation(?:="|>)([0-9])/.exec(xmp ?? '')?.[1];
  return asOrientation(Number(digit));
}

function metadataOf(data: Uint8Array): Metadata {
  if (data[0] === 0xff && data[1] === 0xd8) return readJpeg(data);
  const beginning = latin1(data.subarray(0, 16));
  if (beginning.startsWith('\x89PNG\r\n\x1a\n')) return readPng(data);
  if (/^RIFF....WEBPVP8X/s.test(beginning)) return readWebp(data);
  return {};
}

const EXIF = 'Exif\0\0';
const XMP = 'http://ns.adobe.com/xap/1.0/\0';

/** The segments before the first scan; several of EXIF are one, and of XMP the last one counts. */
function readJpeg(data: Uint8Array): Metadata {
  const found: Metadata = {};
  let at = 2;
  while (at + 1 < data.length) {
    if (data[at] !== 0xff) {
      at += 1;
      continue;
    }
    const marker = data[at + 1] ?? 0;
    if (marker === 0xff) {
      at += 1; // a fill byte
      continue;
    }
    if (marker === 0xda) break; // the pixels
    at += 2;
    if (isBare(marker)) continue;
    const length = Math.max(2, (data[at] ?? 0) * 256 + (data[at + 1] ?? 0));
    if (marker === 0xe1) {
      const segment = data.subarray(at + 2, at + length);
      const text = latin1(segment);
      if (text.startsWith(EXIF)) found.exif = joined(found.exif, segment);
      else if (text.startsWith(XMP)) found.xmp = text.slice(XMP.length);
    }
    at += length;
  }
  return found;
}

/** Tells whether a marker of JPEG stands without a segment. */
function isBare(marker: number): boolean {
  return (
    marker === 0xc8 || (marker >= 0xd0 && marker <= 0xd9) || (marker >= 0xf0 && marker <= 0xfd)
  );
}

function joined(before: Uint8Array | undefined, segment: Uint8Array): Uint8Array {
  return before ? Buffer.concat([before, segment.subarray(EXIF.length)]) : segment;
}

/** The chunks of a whole PNG, of the first frame where it moves; of several of a kind the last one counts. */
function readPng(data: Uint8Array): Metadata {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const texts = new Map<string, string>();
  let exif: Uint8Array | undefined;
  let isAnimated = false;
  let hasPixels = false;
  for (let at = 8; at + 8 <= data.length; ) {
    const length = view.getUint32(at);
    const kind = latin1(data.subarray(at + 4, at + 8));
    const chunk = data.subarray(at + 8, at + 8 + length);
    at += 12 + length; // a checksum follows
    if (kind === 'IEND' || (kind === 'fcTL' && isAnimated && hasPixels)) break;
    if (kind === 'IDAT') hasPixels = true;
    else if (kind === 'acTL') isAnimated = true;
    else if (kind === 'eXIf') exif = Buffer.concat([Buffer.from(EXIF), chunk]);
    else if (TEXT_CHUNKS.has(kind)) {
      const text = textOf(kind, chunk);
      if (!text || text.key === '') continue;
      // Pillow keeps the text `exif` where it keeps the chunk.
      if (kind === 'tEXt' && text.key === 'exif') exif = Buffer.from(text.value, 'latin1');
      texts.set(text.key, text.value);
    }
  }
  const profile = texts.get('Raw profile type exif');
  if (exif === undefined && profile !== undefined) exif = profileOf(profile);
  return { exif, xmp: texts.get('XML:com.adobe.xmp') };
}

const TEXT_CHUNKS: ReadonlySet<string> = new Set(['tEXt', 'zTXt', 'iTXt']);

/** Bytes that a compressed text may have, as in Pillow. */
const LONGEST_TEXT = 2 ** 20;

/** The key and the value of a chunk of text, as Latin-1; `null` where Pillow passes over it. */
function textOf(kind: string, chunk: Uint8Array): { key: string; value: string } | null {
  const end = chunk.indexOf(0);
  const key = latin1(end < 0 ? chunk : chunk.subarray(0, end));
  const rest = end < 0 ? chunk.subarray(chunk.length) : chunk.subarray(end + 1);
  if (kind === 'tEXt') return { key, value: latin1(rest) };
  if (kind === 'zTXt') return { key, value: latin1(inflated(rest.subarray(1)) ?? NOTHING) };

  // iTXt: a flag of compression, its method, and two more texts that end with a zero.
  const language = rest.indexOf(0, 2);
  const keyword = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (keyword < 0) return null;
  const text = rest.subarray(keyword + 1);
  if (rest[0] === 0) return { key, value: latin1(text) };
  const value = rest[1] === 0 ? inflated(text) : null;
  return value ? { key, value: latin1(value) } : null;
}

const NOTHING = new Uint8Array(0);

function inflated(data: Uint8Array): Uint8Array | null {
  try {
    // What there is of a text that is cut short counts.
    const finishFlush = constants.Z_SYNC_FLUSH;
    return inflateSync(data, { maxOutputLength: LONGEST_TEXT, finishFlush });
  } catch {
    return null;
  }
}

/** The bytes of a profile that ImageMagick writes as text: three lines before hexadecimal digits. */
function profileOf(text: string): Uint8Array {
  const digits = text.split('\n').slice(3).join('').replace(/\s/g, '');
  return /^([0-9a-f]{2})*$/i.test(digits) ? Buffer.from(digits, 'hex') : DAMAGED;
}

/** A block that is none, and keeps XMP from being asked. */
const DAMAGED = Buffer.of(0);

/** The first chunks of their kinds, where the header says that there are such. */
function readWebp(data: Uint8Array): Metadata {
  const found: Metadata = {};
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const flags = data[20] ?? 0;
  for (let at = 12; at + 8 <= data.length; ) {
    const kind = latin1(data.subarray(at, at + 4));
    const length = view.getUint32(at + 4, true);
    const chunk = data.subarray(at + 8, at + 8 + length);
    if (kind === 'EXIF' && flags & 8 && chunk.length > 0) found.exif ??= chunk;
    if (kind === 'XMP ' && flags & 4) found.xmp ??= latin1(chunk);
    at += 8 + length + (length % 2);
  }
  return found;
}

/** Bytes of a value of TIFF by its type. */
const UNITS: Readonly<Record<number, number>> = {
  1: 1, // uint8
  2: 1, // text
  3: 2, // uint16
  4: 4, // uint32
  5: 8, // two uint32, a fraction
  6: 1, // int8
  7: 1, // anything
  8: 2, // int16
  9: 4, // int32
  10: 8, // two int32, a fraction
  11: 4, // float32
  12: 8, // float64
  13: 4, // the place of other tags
  16: 8, // uint64
};

const ORIENTATION = 274;

/** The orientation that a block of EXIF names, 1 where it is damaged; `null` where it names none. */
function orientationOf(block: Uint8Array): Orientation | null {
  const text = latin1(block.subarray(0, 12));
  const start = /^(?:Exif\0\0){0,2}/.exec(text)?.[0].length ?? 0;
  const data = block.subarray(start);
  if (data.length === 0) return null;
  // The order of bytes and the number 42, which some write in the other order; 43 with the high byte first reads alike.
  const head = latin1(data.subarray(0, 4));
  if (data.length < 8 || !/^(MM\0\*|II\*\0|MM\*\0|II\0\*|MM\0\+)$/.test(head)) return 1;
  return findOrientation(data, head.startsWith('II'));
}

/** Reads the tags of a block in their order, as far as they lie within it: what stands before the damage counts. */
function findOrientation(data: Uint8Array, little: boolean): Orientation | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const first = view.getUint32(4, little);
  if (first + 2 > data.length) return null;
  const count = view.getUint16(first, little);
  const known = new Set<number>();
  let total = 0; // bytes of values that lie apart
  for (let i = 0; i < count; i++) {
    const entry = first + 2 + 12 * i;
    if (entry + 12 > data.length) return null;
    const tag = view.getUint16(entry, little);
    const type = view.getUint16(entry + 2, little);
    const unit = UNITS[type];
    if (known.has(tag) || unit === undefined) continue;
    const size = view.getUint32(entry + 4, little) * unit;
    let at = entry + 8;
    if (size > 4) {
      at = view.getUint32(at, little);
      total += size;
      if (total > data.length) continue;
      if (at + size > data.length) return null;
    }
    if (size === 0) continue;
    if (tag === ORIENTATION) return asOrientation(numberAt(view, at, type, little));
    known.add(tag);
  }
  return null;
}

/** The first number of a value; NaN where its type is none that Pillow compares with a number. */
function numberAt(view: DataView, at: number, type: number, little: boolean): number {
  switch (type) {
    case 3:
      return view.getUint16(at, little);
    case 4:
    case 13:
      return view.getUint32(at, little);
    case 5:
      return view.getUint32(at, little) / view.getUint32(at + 4, little);
    case 6:
      return view.getInt8(at);
    case 8:
      return view.getInt16(at, little);
    case 9:
      return view.getInt32(at, little);
    case 10:
      return view.getInt32(at, little) / view.getInt32(at + 4, little);
    case 11:
      return view.getFloat32(at, little);
    case 12:
      return view.getFloat64(at, little);
    case 16:
      return Number(view.getBigUint64(at, little));
    default:
      return Number.NaN;
  }
}

function asOrientation(value: number): Orientation {
  return Number.isInteger(value) && value >= 1 && value <= 8 ? (value as Orientation) : 1;
}
