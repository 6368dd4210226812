import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import {
  CENTER_CROP,
  type PixelPreprocessing,
  type PixelSteps,
} from '../../lib/model/preprocessing.js';
import { expectedIn, fixtures, sha256 } from '../helpers/decode.js';
import {
  exifSegment,
  extendedWebp,
  orientationBlock,
  pngChunk,
  withChunks,
  withSegments,
  xmpOf,
  xmpSegment,
} from '../helpers/exif.js';
import { noise } from '../helpers/pictures.js';
import { python, runPython } from '../helpers/python.js';

const judge = fileURLToPath(new URL('judge/resize.py', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'distill-exif-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, data: Uint8Array): string {
  const file = path.join(folder, name);
  if (!existsSync(file)) writeFileSync(file, data);
  return file;
}

/** Pictures that lie in an orientation, in each format with EXIF. */
async function oriented(width: number, height: number, orientation: number): Promise<string[]> {
  const name = `${width}x${height}-${orientation}`;
  const block = orientationBlock(orientation, orientation % 2 === 0 ? 'MM' : 'II');
  const pixels = noise(width, height);
  const jpeg = await pixels.clone().jpeg({ chromaSubsampling: '4:2:0' }).toBuffer();
  const progressive = await pixels.clone().jpeg({ progressive: true }).toBuffer();
  const cmyk = readFileSync(path.join(fixtures, 'cmyk.jpg'));
  const png = await pixels.clone().png().toBuffer();
  const webp = await pixels.clone().webp({ lossless: true }).toBuffer();
  const tiff = await pixels.clone().withMetadata({ orientation }).tiff().toBuffer();
  return [
    write(`${name}.jpg`, withSegments(jpeg, exifSegment(block))),
    write(`${name}-progressive.jpg`, withSegments(progressive, exifSegment(block))),
    write(`${name}-xmp.jpg`, withSegments(jpeg, xmpSegment(xmpOf(orientation)))),
    write(`${name}-cmyk.jpg`, withSegments(cmyk, exifSegment(block))),
    write(`${name}-damaged.jpg`, withSegments(jpeg, exifSegment(block.subarray(0, 19)))),
    write(`${name}.png`, withChunks(png, 'last', pngChunk('eXIf', block))),
    write(`${name}.webp`, extendedWebp(webp, [width, height], 8, ['EXIF', block])),
    write(`${name}.tif`, tiff),
  ];
}

test.skipIf(python === null)(
  'pictures turned as Pillow turns them, with and without resizing',
  async () => {
    const sizes: [number, number][] = [
      [31, 17],
      [16, 45],
      [1, 9],
    ];
    const steps: (Partial<PixelSteps> & { imageSize: number })[] = [
      { exif: 'apply', imageSize: 24 },
      { exif: 'apply', resize: 20, imageSize: 16 },
      { exif: 'apply', resize: [18, 18], interpolation: 'bicubic', crop: false, imageSize: 18 },
      { exif: 'apply', resize: [40, 11], padding: [1, 2, 3, 4], imageSize: 33 },
      { exif: 'ignore', resize: 20, imageSize: 16 },
    ];
    const cases: [string, PixelPreprocessing][] = [];
    for (const [width, height] of sizes) {
      for (let orientation = 1; orientation <= 8; orientation++) {
        for (const file of await oriented(width, height, orientation)) {
          for (const step of steps) cases.push([file, { ...CENTER_CROP, ...step }]);
        }
      }
    }
    // All other kinds of pictures, few of which have EXIF.
    for (const [name] of expectedIn(fixtures)) {
      cases.push([path.join(fixtures, name), { ...CENTER_CROP, exif: 'apply', imageSize: 24 }]);
    }
    const expected = runPython([judge], cases) as (string | null)[];
    const different: unknown[] = [];
    for (const [i, [file, step]] of cases.entries()) {
      const digests = await Promise.all(
        [file, readFileSync(file)].map((source) =>
          decodeCrop(source, step).then(sha256, (error) => {
            expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
            return null;
          }),
        ),
      );
      if (digests.some((digest) => digest !== expected[i]))
        different.push([path.basename(file), step, digests, expected[i]]);
    }
    expect(different).toEqual([]);
    expect(expected.filter((digest) => digest !== null).length).toBeGreaterThan(900);
  },
);
