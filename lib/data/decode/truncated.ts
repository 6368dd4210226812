/**
 * Files that are damaged or cut short, mended so that they can be read like others: with the rows that they have, and what
 * Pillow (13.0) leaves in the place of the others under `ImageFile.LOAD_TRUNCATED_IMAGES`. That is grey in a JPEG, the
 * first colour of a palette, and black elsewhere.
 */
import { promisify } from 'node:util';
import { constants, crc32, createInflate, deflate } from 'node:zlib';
import { mendBmp } from './bmp.js';
import { checkSize, MAX_PIXELS, MAX_PIXELS_KEPT } from './image.js';
import { latin1 } from './kinds.js';
import { mendNetpbm } from './netpbm.js';

/**
 * Returns a file that holds what there is of a picture; `null` where Pillow takes nothing of it either: WebP, TIFF, run
 * lengths of BMP, text in PNM, and a file of any kind that ends within its header. GIF, AVIF, HEIC and JPEG XL are not mended,
 * nor is a BMP or PNM of which hardly anything is there.
 */
export async function mend(data: Uint8Array, maxPixels?: number): Promise<Uint8Array | null> {
  if (data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff) return mendJpeg(data);
  if (latin1(data.subarray(0, 8)) === PNG) return mendPng(data, maxPixels);
  return mendBmp(data, maxPixels ?? MAX_PIXELS) ?? mendNetpbm(data, maxPixels ?? MAX_PIXELS);
}

/** The file with an end to its pixels, of which libjpeg takes missing ones for grey; `null` where it ends before these. */
function mendJpeg(data: Uint8Array): Uint8Array | null {
  for (let at = 2; at + 3 < data.length; ) {
    const marker = data[at + 1] ?? 0;
    if (data[at] !== 0xff || marker === 0xff) {
      at += 1;
      continue;
    }
    at += 2 + (data[at + 2] ?? 0) * 256 + (data[at + 3] ?? 0);
    if (marker !== 0xda) continue;
    return at <= data.length ? Buffer.concat([data, Buffer.of(0xff, 0xd9)]) : null;
  }
  return null;
}

const PNG = '\x89PNG\r\n\x1a\n';

/** Samples of a pixel by its colour type. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** The passes of an interlaced PNG: first column and row, and the steps between columns and rows. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** The same picture, whose missing rows are zeros. */
async function mendPng(data: Uint8Array, maxPixels?: number): Promise<Uint8Array | null> {
  const chunks = readChunks(data);
  const header = chunks?.kept[0];
  if (!chunks || !header || header.kind !== 'IHDR' || header.data.length !== 13) return null;
  const view = new DataView(header.data.buffer, header.data.byteOffset, 13);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const [bits = 0, colour = 0, , , interlaced = 0] = header.data.subarray(8);
  const samples = SAMPLES[colour];
  if (samples === undefined || ![1, 2, 4, 8, 16].includes(bits)) return null;
  checkSize(width, height, maxPixels ?? (interlaced ? MAX_PIXELS_KEPT : MAX_PIXELS));

  const rows = rowLengths(width, height, bits * samples, interlaced !== 0);
  const total = rows.reduce((sum, { count, bytes }) => sum + count * bytes, 0);
  const { pixels, length } = await inflated(chunks.pixels, total, rows.at(-1)?.bytes ?? 1);
  pixels.fill(0, wholeRows(rows, pixels.subarray(0, length)));
  const compressed = await promisify(deflate)(pixels, { level: 1 });
  return Buffer.concat([
    Buffer.from(PNG, 'latin1'),
    ...chunks.kept.map(({ kind, data }) =>
      chunk(kind, kind === 'PLTE' ? extended(data, bits) : data),
    ),
    chunk('IDAT', compressed),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** A palette with all colours that damaged pixels can ask for: black beyond its own. */
function extended(palette: Uint8Array, bits: number): Uint8Array {
  const colours = new Uint8Array(3 * 2 ** Math.min(8, bits));
  colours.set(palette.subarray(0, colours.length));
  return colours;
}

/** Rows of the same length, in bytes with the one that names their filter. */
interface Rows {
  count: number;
  bytes: number;
}

function rowLengths(width: number, height: number, bits: number, interlaced: boolean): Rows[] {
  const passes = interlaced ? PASSES : [[0, 0, 1, 1] as const];
  return passes
    .map(([left, top, across, down]) => ({
      columns: Math.ceil((width - left) / across),
      count: Math.ceil((height - top) / down),
    }))
    .filter(({ columns, count }) => columns > 0 && count > 0)
    .map(({ columns, count }) => ({ count, bytes: 1 + Math.ceil((columns * bits) / 8) }));
}

/** Returns the bytes of the rows that are whole, up to one whose filter is unknown. */
function wholeRows(rows: readonly Rows[], pixels: Uint8Array): number {
  let whole = 0;
  for (const { count, bytes } of rows) {
    for (let row = 0; row < count; row++) {
      if (whole + bytes > pixels.length || (pixels[whole] ?? 0) > 4) return whole;
      whole += bytes;
    }
  }
  return whole;
}

interface Chunk {
  kind: string;
  data: Uint8Array;
}

/** The chunks that the pixels depend on, and the pixels as far as they go; `null` where the file ends or breaks before these. */
function readChunks(data: Uint8Array): { kept: Chunk[]; pixels: Uint8Array } | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const kept: Chunk[] = [];
  const pixels: Uint8Array[] = [];
  for (let at = 8; at + 8 <= data.length; ) {
    const length = view.getUint32(at);
    const kind = latin1(data.subarray(at + 4, at + 8));
    const body = data.subarray(at + 8, at + 8 + length);
    const end = at + 12 + length;
    if (kind === 'IDAT') pixels.push(body);
    else if (pixels.length > 0) break;
    else if (end > data.length) return null;
    else if (kind === 'IHDR' || kind === 'PLTE' || kind === 'tRNS') {
      const isRight = crc32(data.subarray(at + 4, at + 8 + length)) === view.getUint32(end - 4);
      if (!isRight && kind !== 'tRNS') return null;
      kept.push({ kind, data: body });
    }
    at = end;
  }
  return pixels.length > 0 ? { kept, pixels: Buffer.concat(pixels) } : null;
}

function chunk(kind: string, data: Uint8Array): Buffer {
  const written = Buffer.alloc(data.length + 12);
  written.writeUInt32BE(data.length);
  written.write(kind, 4, 'latin1');
  written.set(data, 8);
  written.writeUInt32BE(crc32(written.subarray(4, -4)), data.length + 8);
  return written;
}

/**
 * Unpacks data as far as it goes.
 *
 * @param total Bytes that are expected; the others are zeros.
 * @param step Bytes that are unpacked at once, 64 at least: of these, what stands before damage in the middle may be lost.
 */
function inflated(
  data: Uint8Array,
  total: number,
  step: number,
): Promise<{ pixels: Buffer; length: number }> {
  const pixels = Buffer.alloc(total);
  let length = 0;
  return new Promise((resolve) => {
    const inflate = createInflate({
      chunkSize: Math.max(64, step),
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    const done = () => {
      inflate.destroy();
      resolve({ pixels, length });
    };
    inflate.on('data', (part: Buffer) => {
      if (length < total) part.copy(pixels, length);
      length = Math.min(total, length + part.length);
      if (length === total) done();
    });
    inflate.once('error', done);
    inflate.once('end', done);
    inflate.end(data);
  });
}
