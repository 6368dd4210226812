import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { sha256 } from '../helpers/decode.js';
import { fixture, noise } from '../helpers/pictures.js';
import { python, runPython } from '../helpers/python.js';

const judge = fileURLToPath(new URL('judge/truncated.py', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'distill-truncated-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What is taken of a picture, null where it is refused. */
async function taken(source: Uint8Array): Promise<string | null> {
  try {
    return sha256(await decodeCrop(source, centerCropOf(SIZE), { onTruncated() {} }));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
    return null;
  }
}

const SIZE = 32;

/** Returns the pictures of which another part is taken than Pillow takes. */
async function different(
  pictures: [string, Uint8Array][],
): Promise<{ names: string[]; taken: number }> {
  const files = pictures.map(([, data], i) => {
    const file = path.join(folder, String(i));
    writeFileSync(file, data);
    return file;
  });
  const expected = runPython([judge, String(SIZE)], files) as [string | null, boolean][];
  const names: string[] = [];
  let count = 0;
  for (const [i, [name, data]] of pictures.entries()) {
    const ours = await taken(data);
    const [theirs, isBlack] = expected[i] ?? [null, false];
    if (theirs !== null) count += 1;
    if (ours === theirs) continue;
    // Cut within a table between two scans, or within a palette: Pillow gives a black picture. Here what there is is taken, if anything.
    if (/^progressive|bmp/.test(name) && isBlack) continue;
    names.push(`${name}: ${ours === null ? 'refused' : theirs === null ? 'taken' : 'different'}`);
  }
  return { names, taken: count };
}

function cuts(name: string, data: Uint8Array, count: number): [string, Uint8Array][] {
  return Array.from({ length: count }, (_, i) => {
    const cut = Math.floor((data.length * (i + 1)) / (count + 1));
    return [`${name} cut at ${cut}`, data.subarray(0, cut)];
  });
}

const NAMES = [
  'rgb-420.jpg',
  'rgb-444.jpg',
  'rgb-422.jpg',
  'grey.jpg',
  'restarts.jpg',
  'cmyk.jpg',
  'ycck.jpg',
  'icc.jpg',
  'progressive.jpg',
  'progressive-grey.jpg',
  'rgb.png',
  'rgba.png',
  'grey.png',
  'palette.png',
  'palette-2-bit.png',
  'one-bit.png',
  'grey-16-bit.png',
  'rgb-16-bit.png',
  'interlaced.png',
  'interlaced-palette.png',
  'gamma.png',
  'icc.png',
  'animated.png',
  'rgb.bmp',
  'top-down.bmp',
  '32-bit.bmp',
  '16-bit-565.bmp',
  'eight-bit.bmp',
  'four-bit.bmp',
  'one-bit.bmp',
  'os2.bmp',
  'rle8.bmp',
  'rle4.bmp',
  'grey.bmp',
  'rgb.ppm',
  'grey.pgm',
  'bits.pgm',
  'grey-65535.pgm',
  'grey-100.pgm',
  'rgb-1023.ppm',
  'plain-rgb.ppm',
  'plain-bits.pgm',
  'lossy.webp',
  'lossless.webp',
  'lossy-alpha.webp',
  'lzw.tif',
  'strips.tif',
  'tiled.tif',
  'deflate.tiff',
  'rgb-16-bit.tif',
];

describe.skipIf(python === null)('as Pillow takes it under LOAD_TRUNCATED_IMAGES', () => {
  test('files of each format cut anywhere', async () => {
    const pictures = NAMES.flatMap((name) => cuts(name, readFileSync(fixture(name)), 16));
    const { names, taken } = await different(pictures);
    expect(names).toEqual([]);
    expect(taken).toBeGreaterThan(300);
  });

  test('larger pictures, of many blocks', async () => {
    const picture = noise(173, 141).blur(2);
    const jpeg = (options: object) => picture.clone().jpeg(options).toBuffer();
    const pictures = [
      ...cuts('420', await jpeg({ chromaSubsampling: '4:2:0' }), 12),
      ...cuts('444', await jpeg({ chromaSubsampling: '4:4:4' }), 12),
      ...cuts('progressive', await jpeg({ progressive: true }), 12),
      ...cuts('png', await picture.clone().png().toBuffer(), 12),
      ...cuts('interlaced png', await picture.clone().png({ progressive: true }).toBuffer(), 12),
    ];
    expect((await different(pictures)).names).toEqual([]);
  });

  test('damage in the middle', async () => {
    const pictures: [string, Uint8Array][] = [];
    for (const name of ['rgb-420.jpg', 'restarts.jpg', 'rgb.png', 'interlaced.png']) {
      const data = readFileSync(fixture(name));
      const start = name.endsWith('jpg')
        ? data.indexOf('ffda', 0, 'hex') + 14
        : data.indexOf('IDAT') + 6;
      for (let i = 0; i < 20; i++) {
        const at = start + Math.floor(((data.length - 20 - start) * i) / 20);
        const damaged = Buffer.from(data);
        damaged[at] = (damaged[at] ?? 0) ^ 0x5a;
        pictures.push([`${name} changed at ${at}`, damaged]);
      }
    }
    expect((await different(pictures)).names).toEqual([]);
  });
});
