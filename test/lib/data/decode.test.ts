import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { centerCrop, MAX_PIXELS } from '../../../lib/data/decode/picture.js';
import { openWithSharp } from '../../../lib/data/decode/sharp.js';
import { decodeBatches, decodeCrop, type PictureSource } from '../../../lib/data/decode.js';
import type { DistillError } from '../../../lib/errors.js';
import { loadJpegAddon } from '../../../lib/native.js';
import { refusalOf } from '../../helpers/outcome.js';
import { bmpHeader, fixture, noise, pngHeader, ppm } from '../../helpers/pictures.js';
import { python, runPython } from '../../helpers/python.js';

const here = fileURLToPath(new URL('../..', import.meta.url));
const fixtures = path.join(here, 'fixtures/pictures');
const maker = path.join(here, 'fixtures/make_pictures.py');
const judge = path.join(here, 'parity/judge/decode.py');
const hymenoptera = path.join(here, '../../shared/data/hymenoptera');
const folder = mkdtempSync(path.join(tmpdir(), 'distill-decode-'));
afterAll(() => rmSync(folder, { recursive: true }));

if (!existsSync(hymenoptera)) {
  console.warn(`Skipping the comparison over hymenoptera: there is no ${hymenoptera}.`);
}

function write(name: string, data: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, data);
  return file;
}

const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

/** The SHA-256 of a crop, or null where the picture is refused. */
async function digest(source: PictureSource, size: number): Promise<string | null> {
  try {
    return sha256(await decodeCrop(source, { imageSize: size }));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
    return null;
  }
}

async function refusal(source: PictureSource, name?: string): Promise<DistillError> {
  const error = await refusalOf(
    decodeCrop(source, { imageSize: 16 }, name === undefined ? {} : { name }),
  );
  expect(error.code).toBe('ERR_BAD_IMAGE');
  return error;
}

// ---------------------------------------------------------------------------------- the values that Pillow reads

// Where decodeCrop and Pillow differ on purpose; each has its own test below.
const different = ['lab.tif', '32-bit-unusual-masks.bmp'];

type Expected = Record<string, Record<string, string | null>>;

function expectedIn(pictures: string): [string, Record<string, string | null>][] {
  const expected: Expected = JSON.parse(readFileSync(path.join(pictures, 'expected.json'), 'utf8'));
  return Object.entries(expected).filter(([name]) => !different.includes(name));
}

async function digestsOf(file: string, sizes: string[]): Promise<Record<string, string | null>> {
  const digests: Record<string, string | null> = {};
  for (const size of sizes) digests[size] = await digest(file, Number(size));
  return digests;
}

describe('every kind of picture has the values that Pillow reads', () => {
  test.each(expectedIn(fixtures))('%s', async (name, expected) => {
    expect(await digestsOf(fixture(name), Object.keys(expected))).toEqual(expected);
  });

  test('bytes are read as their file is', async () => {
    const data = readFileSync(fixture('rgb-420.jpg'));
    expect(await digest(data, 24)).toBe(await digest(fixture('rgb-420.jpg'), 24));
    const inside = Buffer.concat([Buffer.alloc(3), data]).subarray(3);
    expect(await digest(inside, 24)).toBe(await digest(data, 24));
  });

  test('channels of a BMP in any byte order are read, which Pillow refuses', async () => {
    const plain = await decodeCrop(fixture('32-bit.bmp'), { imageSize: 32 });
    const mixed = await decodeCrop(fixture('32-bit-unusual-masks.bmp'), { imageSize: 32 });
    const [r, g, b] = [0, 1, 2].map((c) => plain.filter((_, i) => i % 3 === c));
    const [first, second, third] = [0, 1, 2].map((c) => mixed.filter((_, i) => i % 3 === c));
    expect([first, second, third]).toEqual([g, b, r]);
  });

  test('TIFF in L*a*b* is refused, which Pillow reads', async () => {
    expect((await refusal(fixture('lab.tif'))).message).toContain('lab.tif');
  });
});

describe.skipIf(python === null)('compared with Pillow and torchvision', () => {
  test('larger pictures of every kind', async () => {
    const pictures = path.join(folder, 'larger');
    execFileSync(python ?? '', [maker, pictures, '301', '227', '224', '256', '320']);
    for (const [name, expected] of expectedIn(pictures)) {
      const digests = await digestsOf(path.join(pictures, name), Object.keys(expected));
      expect(digests, name).toEqual(expected);
    }
  });

  test('every odd and even margin and padding', async () => {
    const files: string[] = [];
    for (let side = 1; side <= 30; side++) {
      files.push(write(`${side}x9.ppm`, ppm(side, 9)), write(`12x${side}.ppm`, ppm(12, side)));
    }
    const expected = runPython([judge, '11'], files);
    expect(await Promise.all(files.map((file) => digest(file, 11)))).toEqual(expected);
  });

  test('files cut anywhere are read or refused alike', async () => {
    const names = [
      ...[
        'rgb-420.jpg',
        'progressive.jpg',
        'cmyk.jpg',
        'trailing-bytes.jpg',
        'rgb.png',
        'interlaced.png',
      ],
      ...[
        'lossy.webp',
        'lossless.webp',
        'lzw.tif',
        'jpeg.tif',
        'rgb.bmp',
        'one-bit.bmp',
        'rle8.bmp',
      ],
      ...['rle4.bmp', 'grey.pgm', 'bits.pgm', 'rgb-1023.ppm', 'plain-grey.pgm'],
    ];
    const files = names.flatMap((name) => {
      const data = readFileSync(fixture(name));
      // libvips wants a PNG's last checksum and its end as well; Pillow does not.
      const last = data.length - (name.endsWith('.png') ? 24 : 0);
      const cuts = new Set(Array.from({ length: 60 }, (_, i) => Math.floor((last * i) / 60)));
      for (let cut = last - 20; cut < last; cut++) cuts.add(cut);
      return [...cuts].map((cut) => write(`${cut}-${name}`, data.subarray(0, cut)));
    });
    const expected = runPython([judge, '24'], files) as (string | null)[];
    for (const [i, file] of files.entries()) {
      expect(await digest(file, 24), file).toBe(expected[i]);
    }
  });

  test.skipIf(!existsSync(hymenoptera))('all pictures of hymenoptera', async () => {
    const files = readdirSync(hymenoptera, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.jpg'))
      .map((name) => path.join(hymenoptera, name));
    expect(files.length).toBeGreaterThan(300);
    const expected = runPython([judge, '224'], files) as string[];
    for (const [i, file] of files.entries()) {
      expect(await digest(file, 224), file).toBe(expected[i]);
    }
  });
});

// -------------------------------------------------------------------------------------- JPEGs and libjpeg-turbo

const jpegAddon = loadJpegAddon();
if (jpegAddon === null) {
  console.warn('Skipping the tests of the addon for JPEGs: it was built without libjpeg-turbo.');
}

/** The SHA-256 of what the addon makes of a JPEG by itself; null where it leaves it to sharp. */
async function byAddon(source: PictureSource, size: number): Promise<string | null> {
  const crop = new Uint8Array(size * size * 3).fill(7);
  const options = { source, size, maxPixels: MAX_PIXELS, crop };
  return (await jpegAddon?.cropJpeg(options)) ? sha256(crop) : null;
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

/** Where a JPEG's frame header lies, which has its size. */
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
      const told = await decodeCrop(damaged, { imageSize: 16 }).then(
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
    const coefficients = blank(12800, true); // of 2 bytes each, all at once
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
    const crop = new Uint8Array(100);
    const options = { source: fixture('rgb-420.jpg'), size: 16, maxPixels: MAX_PIXELS, crop };
    await expect(jpegAddon?.cropJpeg(options)).rejects.toThrow(RangeError);
  });
});

// ------------------------------------------------------------------------------------------------- bad pictures

describe('a picture that is none', () => {
  test.each(['jpg', 'png', 'webp', 'tif', 'bmp', 'ppm'])('cut short: %s', async (extension) => {
    const error = await refusal(fixture(`truncated.${extension}`));
    expect(error.message).toMatch(/truncated\.\w+ is not read: it is .*cut short/);
  });

  test('a file cut short below the crop', async () => {
    const whole = await noise(64, 640).jpeg().toBuffer();
    expect((await decodeCrop(whole, { imageSize: 16 })).length).toBe(768);
    await refusal(whole.subarray(0, whole.length * 0.9));
  });

  test('an empty file', async () => {
    expect((await refusal(write('empty.jpg', ''))).message).toMatch(
      /empty\.jpg is not read: it is empty/,
    );
  });

  test('a text', async () => {
    const error = await refusal(write('text.jpg', 'No picture, just words.'));
    expect(error.message).toContain('it is not a JPEG, PNG, WebP, TIFF, GIF, BMP, PPM or PGM file');
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('a folder', async () => {
    mkdirSync(path.join(folder, 'folder.jpg'));
    expect((await refusal(path.join(folder, 'folder.jpg'))).message).toContain('it is not a file');
  });

  test('a path to nothing', async () => {
    const error = await refusal(path.join(folder, 'nothing.jpg'));
    expect(error.message).toContain('it does not exist');
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  test('a path through a file', async () => {
    const error = await refusal(path.join(fixture('rgb.png'), 'inside.jpg'));
    expect(error.message).toContain('it cannot be opened (ENOTDIR)');
  });

  test.skipIf(process.platform === 'win32')('a pipe, which would never end', async () => {
    execFileSync('mkfifo', [path.join(folder, 'pipe.jpg')]);
    expect((await refusal(path.join(folder, 'pipe.jpg'))).message).toContain('it is not a file');
  });

  test('a drawing', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
    expect((await refusal(Buffer.from(svg))).message).toContain('it is a drawing (svg)');
  });

  test.each([
    ['PPM', Buffer.from('P6 1000000000 1000000000 255\n')],
    ['plain PGM', Buffer.from('P2 1000000000 1000000000 255\n')],
    ['BMP of 2^31 pixels', bmpHeader(65536, 32768, 24, 0)],
    ['BMP in run lengths', bmpHeader(65535, 65535, 8, 1)],
    ['PNG', pngHeader(100_000, 100_000)],
  ])('a size that no picture has: %s', async (_, data) => {
    expect((await refusal(data)).message).toContain('it is too large');
  });

  test('a header with a size and nothing behind it takes no memory', async () => {
    const before = process.memoryUsage();
    for (const data of [bmpHeader(13000, 13000, 8, 1), Buffer.from('P3 13000 13000 255\n')]) {
      expect((await refusal(data)).message).toContain('cut short');
    }
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16e6);
  });

  test.each([
    ['no pixels', 'P6 0 5 255\n', 'has no pixels'],
    ['a largest value of zero', 'P5 2 2 0\n', 'largest value 0'],
    ['a largest value above 65535', 'P5 2 2 65536\n', 'largest value 65536'],
    [
      'a letter among the numbers',
      'P2 2 2 255\n1 2 x 4',
      'something else than a number at byte 15',
    ],
    ['a negative number', 'P2 2 2 255\n1 2 -3 4', 'something else than a number'],
    ['an endless number', `P2 2 2 255\n1 2 ${'9'.repeat(11)} 4`, 'something else than a number'],
    ['something else than bits', 'P1 2 2\n0120', 'something else than a bit'],
    ['a header that ends', 'P6 5', 'is cut short'],
  ])('PNM with %s', async (_, text, reason) => {
    expect((await refusal(Buffer.from(text))).message).toContain(reason);
  });

  test.each([
    ['an unknown header', bmpHeader(4, 4, 24, 0).fill(41, 14, 15), 'unknown header of 41 bytes'],
    ['64 bits', bmpHeader(4, 4, 64, 0), '64 bits a pixel'],
    ['JPEG inside', bmpHeader(4, 4, 24, 4), 'compression 4'],
    ['run lengths of 24 bits', bmpHeader(4, 4, 24, 1), '24 bits a pixel in run lengths'],
    ['too many colours', bmpHeader(4, 4, 8, 0, 300), '300 colours'],
    ['a header that ends', bmpHeader(4, 4, 24, 0).subarray(0, 30), 'is cut short'],
  ])('BMP with %s', async (_, data, reason) => {
    expect((await refusal(data)).message).toContain(reason);
  });

  test('has a name in the message', async () => {
    expect((await refusal(new Uint8Array())).message).toContain('The picture buffer is not read');
    expect((await refusal(new Uint8Array(), 'bee 7')).message).toContain(
      'The picture bee 7 is not read',
    );
  });
});

test('decodes into a given array, and writes all of it', async () => {
  const into = new Uint8Array(32 * 32 * 3).fill(7);
  const crop = await decodeCrop(fixture('rgb.png'), { imageSize: 32 }, { into });
  expect(crop).toBe(into);
  expect(crop).toEqual(await decodeCrop(fixture('rgb.png'), { imageSize: 32 }));
  expect(crop.subarray(0, 32 * 3)).toEqual(new Uint8Array(32 * 3)); // a row of padding
});

test('an array of another size is not written', async () => {
  const into = new Uint8Array(100);
  await expect(decodeCrop(fixture('rgb.png'), { imageSize: 32 }, { into })).rejects.toThrow(
    'expected 3072 bytes to decode into, received 100',
  );
  expect(into).toEqual(new Uint8Array(100));
});

// ------------------------------------------------------------------------------------------------------ batches

const SIZE = 24;
const good = [
  'rgb-420.jpg',
  'rgb.png',
  'lossy.webp',
  'rgb.bmp',
  'rgb.ppm',
  'strips.tif',
  'grey.jpg',
].map(fixture);
const bad = fixture('truncated.jpg');

async function collect(
  sources: readonly PictureSource[],
  options: Partial<Parameters<typeof decodeBatches>[1]> = {},
) {
  const batches: { pixels: Uint8Array; indices: number[]; count: number }[] = [];
  for await (const batch of decodeBatches(sources, {
    preprocessing: { imageSize: SIZE },
    batchSize: 3,
    ...options,
  })) {
    batches.push({ ...batch, indices: [...batch.indices] });
  }
  return batches;
}

/** Sources whose reading is counted. */
function counted(sources: readonly string[]): { sources: readonly string[]; reads: () => number } {
  let reads = 0;
  const watched = new Proxy(sources, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads += 1;
      return Reflect.get(target, key);
    },
  });
  return { sources: watched, reads: () => reads };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 100));

describe('batches', () => {
  test('hold the crops in the order of the sources', async () => {
    const batches = await collect(good);
    expect(batches.map(({ indices, count }) => [indices, count])).toEqual([
      [[0, 1, 2], 3],
      [[3, 4, 5], 3],
      [[6], 1],
    ]);
    const crops = await Promise.all(good.map((file) => decodeCrop(file, { imageSize: SIZE })));
    expect(Buffer.concat(batches.map((batch) => batch.pixels))).toEqual(Buffer.concat(crops));
    expect(new Set(batches.map((batch) => batch.pixels.buffer)).size).toBe(3);
  });

  test('of no sources are none', async () => {
    expect(await collect([])).toEqual([]);
  });

  test('of bytes', async () => {
    const [batch] = await collect(good.slice(0, 2).map((file) => readFileSync(file)));
    expect(batch?.pixels.subarray(0, SIZE * SIZE * 3)).toEqual(
      await decodeCrop(good[0] ?? '', { imageSize: SIZE }),
    );
  });

  test('a bad picture ends them after the batches before it', async () => {
    const sources = [...good.slice(0, 4), bad, fixture('truncated.png'), ...good];
    const seen: number[] = [];
    const run = (async () => {
      for await (const batch of decodeBatches(sources, {
        preprocessing: { imageSize: SIZE },
        batchSize: 3,
      }))
        seen.push(...batch.indices);
    })();
    await expect(run).rejects.toMatchObject({
      code: 'ERR_BAD_IMAGE',
      message: expect.stringContaining(bad),
    });
    expect(seen).toEqual([0, 1, 2]);
  });

  test('the first of several bad pictures is thrown', async () => {
    // The second fails long before the first, which has to be decoded to its end.
    const large = await noise(2000, 2000).jpeg().toBuffer();
    const sources = [large.subarray(0, large.length - 100), Buffer.from('words')];
    await expect(collect(sources)).rejects.toThrow('The picture buffer 0 is not read');
  });

  test('what follows a bad picture is not started', async () => {
    const { sources, reads } = counted([bad, ...Array<string>(50).fill(fixture('rgb.png'))]);
    await expect(collect(sources, { batchSize: 20, concurrency: 2 })).rejects.toThrow(bad);
    await settle();
    expect(reads()).toBeLessThan(10);
  });

  test('bad pictures are left out on demand, and reported in order', async () => {
    const skipped: [PictureSource, string, number][] = [];
    const sources = [good[0], bad, good[1], bad, bad, 'nothing.jpg', good[2], bad].map(
      (file) => file ?? '',
    );
    const batches = await collect(sources, {
      onBadImage: 'skip',
      onSkip: (source, error, index) => skipped.push([source, error.code, index]),
    });
    expect(batches.map((batch) => batch.indices)).toEqual([[0, 2], [6]]);
    expect(skipped).toEqual([
      [bad, 'ERR_BAD_IMAGE', 1],
      [bad, 'ERR_BAD_IMAGE', 3],
      [bad, 'ERR_BAD_IMAGE', 4],
      ['nothing.jpg', 'ERR_BAD_IMAGE', 5],
      [bad, 'ERR_BAD_IMAGE', 7],
    ]);
    const crops = await Promise.all(
      good.slice(0, 3).map((file) => decodeCrop(file, { imageSize: SIZE })),
    );
    expect(Buffer.concat(batches.map((batch) => batch.pixels))).toEqual(Buffer.concat(crops));
  });

  test('an error in onSkip is not swallowed', async () => {
    const onSkip = () => {
      throw new Error('from onSkip');
    };
    await expect(collect([bad], { onBadImage: 'skip', onSkip })).rejects.toThrow('from onSkip');
  });

  test('are decoded two ahead of the consumer, and no further', async () => {
    const { sources, reads } = counted(Array<string>(40).fill(good[0] ?? ''));
    const batches = decodeBatches(sources, { preprocessing: { imageSize: SIZE }, batchSize: 4 });
    await settle();
    expect(reads()).toBe(0);
    await batches.next();
    await settle();
    expect(reads()).toBe(12);
    await batches.next();
    await settle();
    expect(reads()).toBe(16);
    await batches.return();
  });

  test('decode at most `concurrency` pictures at a time', async () => {
    let most = 0;
    const many = new Proxy(Array<string>(60).fill(fixture('rgb.png')), {
      get(target, key) {
        const { queue, process } = sharp.counters();
        most = Math.max(most, queue + process);
        return Reflect.get(target, key);
      },
    });
    await collect(many, { batchSize: 30, concurrency: 3 });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(3);
  });

  test('leave nothing running when the consumer stops early', async () => {
    // The batch that is decoded ahead takes its time, and holds a bad picture that nobody asks for.
    const large = await noise(1500, 1500).png().toBuffer();
    const slow = [large, large, Buffer.from('words')];
    for await (const batch of decodeBatches([readFileSync(good[0] ?? ''), ...slow], {
      preprocessing: { imageSize: SIZE },
      batchSize: 1,
    })) {
      expect(batch.count).toBe(1);
      break;
    }
    expect(sharp.counters()).toEqual({ queue: 0, process: 0 });
  });

  test('start nothing after the consumer has stopped', async () => {
    const { sources, reads } = counted(Array<string>(40).fill(good[0] ?? ''));
    for await (const _ of decodeBatches(sources, {
      preprocessing: { imageSize: SIZE },
      batchSize: 10,
      concurrency: 1,
    }))
      break;
    const before = reads();
    expect(before).toBeLessThan(20);
    await settle();
    expect(reads()).toBe(before);
  });

  test('end with the reason of an aborted signal', async () => {
    const controller = new AbortController();
    const { sources, reads } = counted(Array<string>(60).fill(good[0] ?? ''));
    const seen: number[] = [];
    const run = (async () => {
      const options = {
        preprocessing: { imageSize: SIZE },
        batchSize: 3,
        signal: controller.signal,
      };
      for await (const batch of decodeBatches(sources, options)) {
        seen.push(...batch.indices);
        controller.abort(new Error('enough'));
      }
    })();
    await expect(run).rejects.toThrow('enough');
    expect(seen).toEqual([0, 1, 2]);
    expect(reads()).toBeLessThanOrEqual(9);
  });

  test('are none for a signal that was aborted before', async () => {
    const { sources, reads } = counted(good);
    await expect(collect(sources, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    expect(reads()).toBe(0);
  });
});
