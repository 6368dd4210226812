import { crc32, deflateSync } from 'node:zlib';

/** A tag, its type, the count of its values, and the four bytes of them or of their place. */
export type ExifEntry = readonly [
  tag: number,
  type: number,
  count: number,
  value: readonly number[],
];

/** A block of EXIF that holds the given entries, whose bytes are given in the order of `II`. */
export function exifBlock(
  entries: readonly ExifEntry[],
  order: 'II' | 'MM' = 'II',
  tail: Uint8Array = Buffer.alloc(0),
): Buffer {
  const block = Buffer.alloc(8 + 2 + 12 * entries.length + 4);
  const uint16 = (value: number, at: number) =>
    order === 'II' ? block.writeUInt16LE(value, at) : block.writeUInt16BE(value, at);
  const uint32 = (value: number, at: number) =>
    order === 'II' ? block.writeUInt32LE(value, at) : block.writeUInt32BE(value, at);
  block.write(order);
  uint16(42, 2);
  uint32(8, 4);
  uint16(entries.length, 8);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    uint16(tag, 10 + 12 * i);
    uint16(type, 12 + 12 * i);
    uint32(count, 14 + 12 * i);
    block.set(order === 'II' ? value : [...value].reverse(), 18 + 12 * i);
  }
  return Buffer.concat([block, tail]);
}

/** A block whose one entry is an orientation. */
export function orientationBlock(orientation: number, order: 'II' | 'MM' = 'II'): Buffer {
  return exifBlock([[274, 3, 1, [orientation, 0]]], order);
}

export const xmpOf = (orientation: number) =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="${orientation}"/>`;

/** Puts segments behind the beginning of a JPEG, before its own. */
export function withSegments(jpeg: Buffer, ...segments: (readonly [number, Uint8Array])[]): Buffer {
  const parts = segments.map(([marker, data]) => {
    const head = Buffer.of(0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255);
    return Buffer.concat([head, data]);
  });
  return Buffer.concat([jpeg.subarray(0, 2), ...parts, jpeg.subarray(2)]);
}

export const exifSegment = (block: Uint8Array) =>
  [0xe1, Buffer.concat([Buffer.from('Exif\0\0'), block])] as const;

export const xmpSegment = (xmp: string) =>
  [0xe1, Buffer.from(`http://ns.adobe.com/xap/1.0/\0${xmp}`)] as const;

export function pngChunk(kind: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length);
  chunk.set(body, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

/** Puts chunks behind the header of a PNG, or before its end. */
export function withChunks(png: Buffer, place: 'first' | 'last', ...chunks: Buffer[]): Buffer {
  const at = place === 'first' ? 33 : png.length - 12;
  return Buffer.concat([png.subarray(0, at), ...chunks, png.subarray(at)]);
}

/** The text that ImageMagick keeps a block of EXIF in. */
export function rawProfile(block: Uint8Array): string {
  const hex = Buffer.concat([Buffer.from('Exif\0\0'), block]).toString('hex');
  return `\nexif\n    ${hex.length / 2}\n${hex.replace(/.{72}/g, '$&\n')}\n`;
}

export const compressedText = (key: string, text: string) =>
  pngChunk('zTXt', Buffer.concat([Buffer.from(`${key}\0\0`), deflateSync(text)]));

export const plainText = (key: string, text: string) =>
  pngChunk('tEXt', Buffer.from(`${key}\0${text}`, 'latin1'));

export const internationalText = (key: string, text: string) =>
  pngChunk('iTXt', Buffer.from(`${key}\0\0\0\0\0${text}`));

/** Makes an extended WebP of a lossless one that is (width, height), with chunks behind its picture. */
export function extendedWebp(
  webp: Buffer,
  [width, height]: [number, number],
  flags: number,
  ...chunks: (readonly [string, Uint8Array])[]
): Buffer {
  const header = Buffer.alloc(10);
  header[0] = flags;
  header.writeUIntLE(width - 1, 4, 3);
  header.writeUIntLE(height - 1, 7, 3);
  const chunk = (kind: string, data: Uint8Array) => {
    const head = Buffer.from(`${kind}\0\0\0\0`);
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
  };
  const body = Buffer.concat([
    Buffer.from('WEBP'),
    chunk('VP8X', header),
    webp.subarray(12),
    ...chunks.map(([kind, data]) => chunk(kind, data)),
  ]);
  const riff = Buffer.from('RIFF\0\0\0\0');
  riff.writeUInt32LE(body.length, 4);
  return Buffer.concat([riff, body]);
}
