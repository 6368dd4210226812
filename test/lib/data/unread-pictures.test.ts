import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { loadJpegAddon } from '../../../lib/addon.js';
import { MAX_PIXELS } from '../../../lib/data/decode/image.js';
import { pixelSteps } from '../../../lib/data/decode/steps.js';
import { decodeCrop } from '../../../lib/data/decode.js';
import type { ImageSource } from '../../../lib/data/source.js';
import type { DistillError } from '../../../lib/errors.js';
import {
  datasetStats,
  distill,
  doctor,
  predict,
  teach,
  teacherLogits,
} from '../../../lib/index.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { built, runChild, runCommand } from '../../helpers/child.js';
import { mean, smallRun, std, temporaryFolder, writeStudent } from '../../helpers/dataset.js';
import { bmpHeader, noise, pngHeader, ppm } from '../../helpers/pictures.js';
import { refusalOf } from '../../helpers/results.js';

const folder = temporaryFolder();

function write(name: string, data: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, data);
  return file;
}

async function refusal(source: ImageSource): Promise<DistillError> {
  const error = await refusalOf(decodeCrop(source, centerCropOf(16)));
  expect(error.code).toBe('ERR_BAD_IMAGE');
  return error;
}

const pixels = noise(64, 64);
const isoMedia = (brand: string, ...others: string[]) => {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(16 + 4 * others.length);
  const brands = `ftyp${brand}\0\0\0\0${others.join('')}`;
  return Buffer.concat([size, Buffer.from(brands, 'latin1'), Buffer.alloc(400)]);
};
/** A JPEG whose frame begins with another marker and has another number of bits. */
const jpegOf = async (marker: number, bits = 8) => {
  const data = await pixels.clone().jpeg().toBuffer();
  const frame = data.indexOf(Buffer.of(0xff, 0xc0));
  data.writeUInt8(marker, frame + 1);
  data.writeUInt8(bits, frame + 4);
  return data;
};
/** A TIFF that says that it is compressed in another way. */
const tiffOf = async (compression: number) => {
  const data = await pixels.clone().tiff({ compression: 'deflate' }).toBuffer();
  const tag = data.indexOf(Buffer.of(0x03, 0x01, 0x03, 0x00));
  data.writeUInt16LE(compression, tag + 8);
  return data;
};
const cgbi = async () => {
  const data = await pixels.clone().png().toBuffer();
  const chunk = Buffer.from('0000000443674249500020022bd5b37f', 'hex');
  return Buffer.concat([data.subarray(0, 8), chunk, data.subarray(8)]);
};
const latin1 = (text: string) => Buffer.from(text, 'latin1');

test.each<[string, string, () => Buffer | Promise<Buffer>]>([
  [
    'HEIC without a picture in it',
    'is a HEIC picture that libheif-js does not read (',
    () => isoMedia('heic', 'mif1', 'heic'),
  ],
  ['HEIF by its other brands', 'is a HEIC picture', () => isoMedia('mif1', 'heic')],
  ['Canon’s raw', 'is a raw (Canon CR3) picture', () => isoMedia('crx ', 'crx ', 'isom')],
  ['a video', 'is a video', () => isoMedia('isom', 'isom', 'mp42')],
  ['a video of QuickTime', 'is a video', () => isoMedia('qt  ', 'qt  ')],
  ['another video', 'is a video', () => latin1('\x1aE\xdf\xa3')],
  ['JPEG XL', 'is a JPEG XL picture', () => latin1('\xff\x0a\0\0')],
  ['JPEG XL in boxes', 'is a JPEG XL picture', () => latin1('\0\0\0\x0cJXL \r\n\x87\n')],
  ['JPEG 2000', 'is a JPEG 2000 picture', () => latin1('\0\0\0\x0cjP  \r\n\x87\n')],
  ['an icon', 'is an ICO picture', () => latin1('\0\0\x01\0\x01\0')],
  ['Photoshop', 'is a Photoshop picture', () => latin1('8BPS\0\x01')],
  [
    'TIFF by ZSTD',
    'is a TIFF compressed with ZSTD, which is not read: save it with LZW',
    () => tiffOf(50000),
  ],
  ['TIFF by LZMA', 'is a TIFF compressed with LZMA', () => tiffOf(34925)],
  ['TIFF by WebP', 'is a TIFF compressed with WebP', () => tiffOf(50001)],
  [
    'JPEG of 12 bits',
    'is a JPEG of 12 bits a sample, which is not read: convert it',
    () => jpegOf(0xc1, 12),
  ],
  ['lossless JPEG', 'is a lossless JPEG', () => jpegOf(0xc3)],
  ['hierarchical JPEG', 'is a hierarchical JPEG', () => jpegOf(0xc5)],
  ['JPEG-LS', 'is a JPEG-LS picture', () => jpegOf(0xf7)],
  ["Apple's PNG", 'is a PNG in the form that Xcode gives them for iOS (CgBI)', cgbi],
  [
    'a Git LFS pointer',
    'is a Git LFS pointer, not the picture itself: run `git lfs pull`',
    () => latin1('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n'),
  ],
  ['a web page', 'is a web page, often', () => latin1('\n<!DOCTYPE html><html></html>')],
  [
    "a server's error in XML",
    'is XML, often',
    () => latin1('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
  ],
  ["a server's error in JSON", 'is JSON, often', () => latin1('{"error": "not found"}')],
  ['nothing but zeros', 'is filled with zeros', () => Buffer.alloc(5000)],
  ['PDF', 'is a PDF document', () => latin1('%PDF-1.7\n')],
  ['an archive', 'is an archive or compressed', () => latin1('PK\x03\x04')],
])('%s is called what it is, whatever its name', async (_, what, make) => {
  const data = await make();
  for (const source of [data, write('other.jpg', data)]) {
    const { message } = await refusal(source);
    expect(message).toContain(`is not read: it ${what}`);
    expect(message).not.toContain('damaged');
  }
});

test('what is damaged is still called so', async () => {
  for (const make of [
    () => pixels.clone().png(),
    () => pixels.clone().tiff(),
    () => pixels.clone().jpeg(),
  ]) {
    const data = await make().toBuffer();
    expect((await refusal(data.subarray(0, data.length / 2))).message).toContain('damaged');
  }
});

test('an endless file is not read to its end', async () => {
  const file = write('sparse.jpg', '');
  truncateSync(file, 2 ** 40);
  expect((await refusal(file)).message).toContain('it is larger than 1.1 GB');
  // Within the limit, its beginning tells that it is nothing.
  truncateSync(file, 2 ** 30);
  const before = process.memoryUsage().rss;
  expect((await refusal(file)).message).toContain('filled with zeros');
  expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
});

describe('a limit of pixels', () => {
  const square = (side: number) =>
    sharp({ create: { width: side, height: side, channels: 3, background: '#5a14c8' } });

  test('refuses a larger picture of any kind, says the size, and is raised', async () => {
    const files: Record<string, Uint8Array> = {
      jpeg: await square(100).jpeg().toBuffer(),
      'progressive jpeg': await square(100).jpeg({ progressive: true }).toBuffer(),
      png: await square(100).png().toBuffer(),
      'interlaced png': await square(100).png({ progressive: true }).toBuffer(),
      webp: await square(100).webp().toBuffer(),
      tiff: await square(100).tiff().toBuffer(),
      gif: await square(100).gif().toBuffer(),
      ppm: ppm(100, 100),
      bmp: Buffer.concat([bmpHeader(100, 100, 24, 0), Buffer.alloc(30_000)]),
    };
    for (const [kind, data] of Object.entries(files)) {
      const error = await refusalOf(decodeCrop(data, centerCropOf(16), { maxPixels: 9999 }));
      expect(error, kind).toMatchObject({ code: 'ERR_BAD_IMAGE' });
      expect(error.message, kind).toContain(
        'is too large: 100 x 100 are 10000 pixels, and at most 9999 are read; resize it, or raise `maxPixels`',
      );
      expect((await decodeCrop(data, centerCropOf(16), { maxPixels: 10_000 })).length, kind).toBe(
        768,
      );
    }
  });

  test('is by default that of Pillow, and half of it where a decoder keeps the whole picture', async () => {
    expect((await refusal(pngHeader(13_378, 13_377))).message).toMatch(/at most 178956970 are/);
    expect((await refusal(bmpHeader(13_378, 13_377, 24, 0))).message).toMatch(/at most 178956970 /);
    expect((await refusal(pngHeader(13_377, 13_377))).message).toContain('cut short');
    const interlaced = pngHeader(9460, 9460, true);
    expect((await refusal(interlaced)).message).toMatch(/at most 89478485 are read/);
    expect((await refusal(pngHeader(9459, 9459, true))).message).toContain('cut short');
  });

  test('is looked at before memory is taken, and large pictures are decoded one at a time', {
    timeout: 120_000,
  }, async () => {
    const file = path.join(folder, 'large.webp');
    // 36 million pixels in some ten thousand bytes, which take 300 MB.
    await square(6000).webp({ effort: 0, quality: 1 }).toFile(file);
    const text = `
      import { decodeBatches } from '${new URL('data/decode.js', built).href}';
      import { centerCropOf } from '${new URL('model/preprocessing.js', built).href}';
      const { file, maxPixels } = input;
      const before = process.resourceUsage().maxRSS;
      let told = 'read';
      try {
        const preprocessing = centerCropOf(16);
        const options = { preprocessing, batchSize: 3, concurrency: 3, maxPixels };
        for await (const { count } of decodeBatches([file, file, file], options)) told += count;
      } catch (error) {
        told = error.message;
      }
      const megabytes = (process.resourceUsage().maxRSS - before) / 1024;
      console.log(JSON.stringify({ told, megabytes }));`;
    const decode = async (maxPixels: number) => {
      const { stdout, stderr } = await runChild(text, { input: { file, maxPixels } });
      expect(stderr).toBe('');
      return JSON.parse(stdout) as { told: string; megabytes: number };
    };
    const refused = await decode(35_999_999);
    expect(refused.told).toContain('6000 x 6000 are 36000000 pixels, and at most 35999999 are');
    expect(refused.megabytes).toBeLessThan(60);
    const read = await decode(36_000_000);
    expect(read.told).toBe('read3');
    expect(read.megabytes).toBeLessThan(2 * 300);
  });

  test('holds for the scans of a progressive JPEG, each a pass over the picture', async () => {
    const data = await square(64).toColourspace('b-w').jpeg({ progressive: true }).toBuffer();
    const starts: number[] = [];
    const marker = Buffer.of(0xff, 0xda);
    for (let at = data.indexOf(marker); at >= 0; at = data.indexOf(marker, at + 2)) starts.push(at);
    // The averages of the blocks; the rest is zero, and comes coefficient by coefficient and bit by bit.
    const blocks = data.subarray(0, starts[1]);
    const lowest = data.readUInt8((starts[0] as number) + 9) & 15;
    const table = Buffer.from(`ffc400141001${'00'.repeat(16)}`, 'hex'); // AC 0: the bit 0 ends a block
    const scan = (coefficient: number, bits: string) => {
      const at = coefficient.toString(16).padStart(2, '0');
      const zeros = Buffer.alloc(8); // a bit for each of 64 blocks
      return Buffer.concat([Buffer.from(`ffda0008010100${at}${at}${bits}`, 'hex'), zeros]);
    };
    const made = (count: number) =>
      Buffer.concat([
        blocks,
        table,
        ...(lowest === 1 ? [scan(0, '10')] : []),
        ...Array.from({ length: 63 }, (_, i) =>
          i < count - 63 ? [scan(i + 1, '01'), scan(i + 1, '10')] : [scan(i + 1, '00')],
        ).flat(),
        Buffer.of(0xff, 0xd9),
      ]);
    const [few, many] = [made(80), made(126)];
    expect(await decodeCrop(few, centerCropOf(64))).toEqual(
      await decodeCrop(data, centerCropOf(64)),
    );
    const pixels = new Uint8Array(64 * 64 * 3);
    const options = {
      steps: pixelSteps(centerCropOf(64), 1),
      maxPixels: MAX_PIXELS,
      pixels,
    };
    const addon = loadJpegAddon();
    for (const [source, isRead] of [
      [few, true],
      [many, false],
    ] as const) {
      if (addon) expect(await addon.readJpeg({ ...options, source })).toBe(isRead);
    }
    expect((await refusal(many)).message).toContain(
      'it is a JPEG of 128 scans, and at most 100 are read: save it as an ordinary one',
    );
  });
});

test('every function takes the limit, and the command line says its flag', async () => {
  const base = await smallRun(folder);
  const { teacher, dataset } = base;
  const maxPixels = 1023; // of 32 x 32
  const student = await writeStudent(path.join(folder, 'student.pth'));
  const labels = ['ants', 'bees'];
  const given = { images: dataset, student, labels, mean, std, imageSize: 32, maxPixels };
  const calls = {
    distill: () => distill({ ...base, maxPixels }),
    teach: () => teach({ dataset, teacher: path.join(folder, 't.pth'), imageSize: 32, maxPixels }),
    teacherLogits: () =>
      teacherLogits({
        teacher,
        dataset,
        mean,
        std,
        imageSize: 32,
        maxPixels,
        output: path.join(folder, 'logits.safetensors'),
      }),
    datasetStats: () => datasetStats(dataset, { imageSize: 32, maxPixels }),
    predict: () => predict(given),
  };
  for (const [name, call] of Object.entries(calls)) {
    const { code, message } = await refusalOf(call());
    expect(code, name).toBe('ERR_BAD_IMAGE');
    expect(message, name).toContain('32 x 32 are 1024 pixels, and at most 1023 are read');
  }
  const { dataset: found } = await doctor({ dataset, maxPixels });
  expect(found?.undecodable).toHaveLength(18);
  expect(await predict({ ...given, maxPixels: 1024 })).toHaveLength(18);

  const ended = await runCommand(['stats', dataset, '--max-pixels', '1023']);
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('resize it, or raise --max-pixels. (ERR_BAD_IMAGE)');
});
