import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { loadJpegAddon } from '../../../lib/addon.js';
import { centerCrop, MAX_PIXELS } from '../../../lib/data/decode/image.js';
import { openWithSharp } from '../../../lib/data/decode/sharp.js';
import { pixelSteps } from '../../../lib/data/decode/steps.js';
import { decodeCrop } from '../../../lib/data/decode.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { collect, digest, expectedIn, fixtures, refusal, sha256 } from '../../helpers/decode.js';
import { fixture, noise } from '../../helpers/pictures.js';

const jpegAddon = loadJpegAddon();
if (jpegAddon === null) {
  console.warn('Skipping the tests of the addon for JPEGs: it was built without libjpeg-turbo.');
}

/** The SHA-256 of what the addon makes of a JPEG by itself; null where it leaves it to sharp. */
async function byAddon(source: string | Uint8Array, size: number): Promise<string | null> {
  const pixels = new Uint8Array(size * size * 3).fill(7);
  const steps = pixelSteps(centerCropOf(size), 1);
  const options = { source, steps, maxPixels: MAX_PIXELS, pixels };
  return (await jpegAddon?.readJpeg(options)) ? sha256(pixels) : null;
}

/** The same of what sharp makes of a picture that is not smaller than the crop; why, where it refuses it. */
async function bySharp(data: Uint8Array, size: number): Promise<string> {
  try {
    const picture = await openWithSharp(data);
    return sha256(await picture.read(centerCrop(picture.width, picture.height, size)));
  } catch (error) {
    return (error as Error).message;
  }
}

/** The offset of a JPEG's frame header, which has its size. */
function frameOf(jpeg: Buffer): number {
  return Math.max(jpeg.indexOf('ffc0', 0, 'hex'), jpeg.indexOf('ffc2', 0, 'hex'));
}

function claiming(width: number, height: number, jpeg: Buffer): Buffer {
  const data = Buffer.from(jpeg);
  data.writeUInt16BE(height, frameOf(data) + 5);
  data.writeUInt16BE(width, frameOf(data) + 7);
  return data;
}

/** A whole JPEG of one grey: two bits, both zero, for each block of 8 x 8 pixels. `side` is a multiple of 32. */
function blank(side: number, progressive: boolean): Buffer {
  const hex = (text: string) => Buffer.from(text, 'hex');
  const scan = (coefficients: string, bits: number) =>
    Buffer.concat([
      hex(`ffda0008010100${coefficients}00`),
      Buffer.alloc(((side / 8) ** 2 * bits) / 8),
    ]);
  const ones = `ffdb004300${'01'.repeat(64)}`;
  const size = side.toString(16).padStart(4, '0');
  const zero = `01${'00'.repeat(16)}`; // the one code of a table
  return Buffer.concat([
    hex(`ffd8${ones}${progressive ? 'ffc2' : 'ffc0'}000b08${size}${size}01011100`),
    hex(`ffc4001400${zero}ffc4001410${zero}`),
    ...(progressive ? [scan('0000', 1), scan('013f', 1)] : [scan('003f', 2)]),
    hex('ffd9'),
  ]);
}

describe.skipIf(jpegAddon === null)('libjpeg-turbo', () => {
  const subsamplings = ['444', '422', '440', '420', '411', '441'].map((name) => `rgb-${name}.jpg`);
  const ordinary = [
    ...subsamplings,
    ...['grey.jpg', 'progressive.jpg', 'progressive-grey.jpg', 'restarts.jpg', 'icc.jpg'],
    ...['exif-rotated.jpg', 'trailing-bytes.jpg', 'one-pixel.jpg'],
  ];
  const unusual = [
    ...['cmyk.jpg', 'ycck.jpg', 'rgb-components.jpg', 'grey-sampled.jpg', 'truncated.jpg'],
    ...['damaged-restart-marker.jpg', 'without-end-marker.jpg', 'png-named.jpg', 'rgb.png'],
  ];

  test.each(ordinary)('reads %s', async (name) => {
    const expected = expectedIn(fixtures).find(([file]) => file === name)?.[1] ?? {};
    for (const [size, digest] of Object.entries(expected)) {
      expect(await byAddon(fixture(name), Number(size))).toBe(digest);
      expect(await byAddon(readFileSync(fixture(name)), Number(size))).toBe(digest);
    }
  });

  test.each(unusual)('leaves %s to sharp', async (name) => {
    expect(await byAddon(fixture(name), 16)).toBeNull();
    expect(await byAddon(readFileSync(fixture(name)), 16)).toBeNull();
  });

  test('reads what batches hold, and sharp the rest', async () => {
    let tasks = 0;
    const count = () => {
      tasks += 1;
    };
    sharp.queue.on('change', count);
    await collect(Array<string>(9).fill(fixture('rgb-420.jpg')));
    expect(tasks).toBe(0);
    await collect([fixture('cmyk.jpg')]);
    expect(tasks).toBeGreaterThan(0);
    sharp.queue.off('change', count);
  });

  test('reads what sharp would, at all margins', async () => {
    const pictures = [...subsamplings, 'grey.jpg', 'progressive.jpg', 'restarts.jpg'].map(
      (name) => ({ data: readFileSync(fixture(name)), side: 11, step: 1 }),
    );
    for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
      for (const progressive of [false, true]) {
        const data = await noise(211, 187).jpeg({ chromaSubsampling, progressive }).toBuffer();
        pictures.push({ data, side: 187, step: 6 });
      }
    }
    for (const [i, { data, side, step }] of pictures.entries()) {
      for (let size = 1; size <= side; size += step) {
        expect(await byAddon(data, size), `${i}, ${size}`).toBe(await bySharp(data, size));
      }
    }
  });

  test('leaves it to sharp what damage there may be, wherever it is', async () => {
    const whole = [
      await noise(99, 83).jpeg().toBuffer(),
      await noise(99, 83).jpeg({ progressive: true }).toBuffer(),
      readFileSync(fixture('restarts.jpg')),
    ];
    let left = 0;
    for (let i = 0; i < 300; i++) {
      const data = Buffer.from(whole[i % whole.length] as Buffer);
      // Spread over all that follows the size: above the crop, in it and below.
      const start = frameOf(data) + 10;
      const at = start + ((i * 7919) % (data.length - start));
      data.writeUInt8((data.readUInt8(at) + 1 + i) % 256, at);
      const damaged = i % 2 === 0 ? data : data.subarray(0, at);

      const expected = await bySharp(damaged, 16);
      const found = await byAddon(damaged, 16);
      if (found === null) left += 1;
      else expect(found, `${i}`).toBe(expected);
      const told = await decodeCrop(damaged, centerCropOf(16)).then(
        sha256,
        (error: Error) => error.message,
      );
      expect(told, `${i}`).toContain(expected);
    }
    expect(left).toBeGreaterThan(150);
  });

  test('takes no more memory than there may be, whatever a header says', async () => {
    for (const progressive of [false, true]) {
      expect(await byAddon(blank(1600, progressive), 16)).toBe(sha256(Buffer.alloc(768, 128)));
    }

    const whole = blank(16384, false);
    const headers = ['rgb-420.jpg', 'progressive.jpg'].flatMap((name) => {
      const data = readFileSync(fixture(name));
      return [claiming(65500, 65500, data), claiming(16000, 16000, data)];
    });
    const before = process.resourceUsage().maxRSS; // KiB
    const coefficients = blank(6400, true); // of 2 bytes each, all at once
    for (const data of [whole, coefficients, ...headers]) {
      expect(await byAddon(data, 16)).toBeNull();
    }
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(64 * 1024);
    for (const data of [whole, ...headers.slice(0, 1)]) {
      expect((await refusal(data)).message).toContain('it is too large');
    }
  });

  test('leaves a progressive picture that withholds bits to sharp, as decoders guess these', async () => {
    const whole = readFileSync(fixture('progressive.jpg'));
    const last = whole.lastIndexOf('ffc4', undefined, 'hex'); // the tables of the last scan
    const part = Buffer.concat([whole.subarray(0, last), Buffer.from('ffd9', 'hex')]);
    expect(await byAddon(part, 16)).toBeNull();
    expect(await digest(part, 16)).toBe(await bySharp(part, 16));
  });

  test('reads no file whose name ends at a zero', async () => {
    expect(await byAddon(`${fixture('rgb-420.jpg')}\0.jpg`, 16)).toBeNull();
  });

  test('writes no crop of another size', async () => {
    const pixels = new Uint8Array(100);
    const steps = pixelSteps(centerCropOf(16), 1);
    const options = { source: fixture('rgb-420.jpg'), steps, maxPixels: MAX_PIXELS, pixels };
    await expect(jpegAddon?.readJpeg(options)).rejects.toThrow(RangeError);
  });
});
