import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { scanFolder } from '../../../lib/data/dataset.js';
import { isReadBySharp } from '../../../lib/data/decode/codec.js';
import { decodeCrop, readImageSize } from '../../../lib/data/decode.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { built, runChild } from '../../helpers/child.js';
import { temporaryFolder } from '../../helpers/dataset.js';
import { refusal } from '../../helpers/decode.js';

const pictures = fileURLToPath(new URL('../../fixtures/codecs', import.meta.url));
const folder = temporaryFolder();
const read = (name: string) => readFileSync(path.join(pictures, name));

/** The picture's values, and those that the other decoder of its format gives (height, width, 3). */
async function valuesOf(name: string): Promise<{ ours: Uint8Array; theirs: Uint8Array }> {
  const { data: theirs, info } = await sharp(path.join(pictures, `${name}.png`))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(await readImageSize(read(name))).toEqual({ width: info.width, height: info.height });
  const side = Math.max(info.width, info.height);
  const square = await decodeCrop(read(name), centerCropOf(side));
  const left = (side - info.width) >> 1;
  const top = (side - info.height) >> 1;
  const ours = await sharp(square, { raw: { width: side, height: side, channels: 3 } })
    .extract({ left, top, width: info.width, height: info.height })
    .raw()
    .toBuffer();
  return { ours, theirs };
}

/** The largest difference by format: none where nothing is lost, a few levels where decoders round their own way. */
const LARGEST: Record<string, number> = {
  'lossless.heic': 0,
  'lossless.jxl': 0,
  'grey.jxl': 0,
  'grey.heic': 1,
  'lossy.jxl': 1,
  'boxes.jxl': 1,
  'rgba.jxl': 1,
  // Pillow's plugin makes the JPEG again that this one was, and decodes that.
  'turned-6.jxl': 4,
  'rgb.heic': 4,
  'rgba.heic': 4,
  'turned-2.heic': 4,
  'turned-6.heic': 4,
  'turned-7.heic': 4,
  'rgb.avif': 10,
  'ten-bits.avif': 6,
};

const isInstalled = (library: string) => {
  try {
    return createRequire(import.meta.url).resolve(`${library}/package.json`) !== '';
  } catch {
    console.warn(`Skipping the tests of ${library}: it is not installed.`);
    return false;
  }
};

const canRead =
  (isReadBySharp('heic') || isInstalled('libheif-js')) &&
  (isReadBySharp('jxl') || isInstalled('jxl-oxide-wasm'));

describe.skipIf(!canRead)('HEIC, AVIF and JPEG XL', () => {
  test.each(Object.entries(LARGEST))(
    '%s is what its format’s other decoder reads, within %i',
    async (name, largest) => {
      const { ours, theirs } = await valuesOf(name);
      let difference = 0;
      for (const [i, value] of theirs.entries()) {
        difference = Math.max(difference, Math.abs(value - (ours[i] ?? 0)));
      }
      expect(difference).toBeLessThanOrEqual(largest);
    },
  );

  test('many at once, while JavaScript goes on', async () => {
    const names = Object.keys(LARGEST).filter((name) => !name.endsWith('.avif'));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const sources = Array.from({ length: 40 }, (_, i) => read(names[i % names.length] ?? ''));
    await Promise.all(sources.map((source) => decodeCrop(source, centerCropOf(32))));
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });

  test.each(['rgb.heic', 'lossy.jxl', 'boxes.jxl', 'rgb.avif'])(
    '%s cut anywhere is refused, or read where nothing is missing',
    async (name) => {
      const data = read(name);
      for (let cut = 1; cut < data.length; cut += Math.ceil(data.length / 8)) {
        const error = await refusal(data.subarray(0, cut));
        expect(error.message).toMatch(/^The picture buffer is not read: it is /);
      }
    },
  );

  test('bytes that are changed do no harm to the pictures after them', async () => {
    let seed = 5;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % limit;
    };
    const names = ['rgba.heic', 'lossless.jxl', 'boxes.jxl', 'rgb.avif'];
    await Promise.all(
      Array.from({ length: 40 }, (_, i) => {
        const data = read(names[i % names.length] ?? '');
        for (let k = 0; k < 5; k++) data[random(data.length)] = random(256);
        return decodeCrop(data, centerCropOf(32)).catch((error) => {
          expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
        });
      }),
    );
    await decodeCrop(read('rgb.heic'), centerCropOf(32));
    await decodeCrop(read('lossy.jxl'), centerCropOf(32));
  });

  test('the limit of pixels is that of the header, before anything is decoded', async () => {
    for (const name of ['rgb.heic', 'lossy.jxl', 'rgb.avif']) {
      const reading = decodeCrop(read(name), centerCropOf(32), { maxPixels: 45 * 34 - 1 });
      await expect(reading).rejects.toThrow('is too large: 45 x 34 are 1530 pixels');
      await decodeCrop(read(name), centerCropOf(32), { maxPixels: 45 * 34 });
    }
  });

  test('an aborted signal ends the decoding', async () => {
    const controller = new AbortController();
    const reading = decodeCrop(read('rgba.heic'), centerCropOf(32), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });

  test('a program that has read some ends by itself', async () => {
    const decode = built.replace('index.js', 'data/decode.js');
    const ended = await runChild(
      `const { decodeCrop } = await import('${decode}'); await decodeCrop(input, ${JSON.stringify(centerCropOf(32))});`,
      { input: path.join(pictures, 'rgb.heic') },
    );
    expect(ended).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });
});

test('they are pictures of a dataset on every machine', async () => {
  cpSync(pictures, path.join(folder, 'all'), { recursive: true });
  const { samples } = await scanFolder(folder);
  expect(samples.length).toBe(readdirSync(pictures).length);
});
