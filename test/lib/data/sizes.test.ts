import { writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { readImageSize } from '../../../lib/data/decode.js';
import {
  readSizes,
  resizedSize,
  sampleEvenly,
  seenShare,
  smallCrop,
  typicalSize,
} from '../../../lib/data/sizes.js';
import {
  compare,
  type DistillOptions,
  type DistillWarning,
  distill,
  predict,
  sweep,
  teach,
  teacherLogits,
} from '../../../lib/index.js';

import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { smallRun, temporaryFolder, writePicture, writeStudent } from '../../helpers/dataset.js';

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);

const blank = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#345' } });

describe('the size in a header', () => {
  const files = new Map<string, Buffer>();
  beforeAll(async () => {
    const image = blank(211, 97);
    files.set('jpeg', await image.clone().jpeg().toBuffer());
    files.set('progressive', await image.clone().jpeg({ progressive: true }).toBuffer());
    files.set('png', await image.clone().png().toBuffer());
    files.set('webp', await image.clone().webp().toBuffer());
    files.set('tiff', await image.clone().tiff({ compression: 'lzw' }).toBuffer());
    files.set('gif', await image.clone().gif().toBuffer());
    files.set('ppm', Buffer.concat([Buffer.from('P6 211 97 255\n'), Buffer.alloc(3 * 211 * 97)]));
  });

  test('is found in every format, of files and of bytes', async () => {
    for (const [name, bytes] of files) {
      writeFileSync(at(`size.${name}`), bytes);
      const expected = { width: 211, height: 97 };
      expect(await readImageSize(at(`size.${name}`)), name).toEqual(expected);
      expect(await readImageSize(bytes), name).toEqual(expected);
    }
  });

  test('is found behind metadata of more than 64 KB', async () => {
    const jpeg = files.get('jpeg') as Buffer;
    const comment = Buffer.concat([Buffer.of(0xff, 0xfe, 0xff, 0xff), Buffer.alloc(65_533, 'x')]);
    const file = at('long.jpg');
    writeFileSync(file, Buffer.concat([jpeg.subarray(0, 2), comment, comment, jpeg.subarray(2)]));
    expect(await readImageSize(file)).toEqual({ width: 211, height: 97 });
  });

  test('is all that is read of a large file', async () => {
    const file = at('cut.jpg');
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
    const large = sharp({
      create: { width: 900, height: 700, channels: 3, background: '#000', noise },
    });
    const jpeg = await large.jpeg({ quality: 95 }).toBuffer();
    expect(jpeg.length).toBeGreaterThan(2 ** 17);
    writeFileSync(file, jpeg.subarray(0, 2 ** 16));
    expect(await readImageSize(file)).toEqual({ width: 900, height: 700 });
  });

  test('is left out where it cannot be read', async () => {
    writeFileSync(at('empty.jpg'), '');
    writeFileSync(at('text.jpg'), 'no picture');
    writeFileSync(at('begun.jpg'), Buffer.of(0xff, 0xd8, 0xff, 0xe0));
    writeFileSync(at('huge.ppm'), 'P6 1000000 1000000 255\n');
    const names = ['empty.jpg', 'text.jpg', 'begun.jpg', 'huge.ppm', 'none.jpg', 'size.jpeg'];
    expect(await readSizes(names.map(at))).toEqual([{ width: 211, height: 97 }]);
  });
});

describe('the share of a picture that a network sees', () => {
  const crop = centerCropOf(224);

  test('is that of the crop in the picture', () => {
    expect(seenShare({ width: 500, height: 375 }, crop)).toBeCloseTo((224 * 224) / (500 * 375), 12);
    expect(seenShare({ width: 224, height: 224 }, crop)).toBe(1);
    expect(seenShare({ width: 100, height: 448 }, crop)).toBe(0.5);
  });

  test('is that of the resized picture', () => {
    const resized = { ...crop, resize: 256 };
    expect(resizedSize({ width: 500, height: 375 }, resized)).toEqual({ width: 341, height: 256 });
    expect(seenShare({ width: 4000, height: 3000 }, resized)).toBeCloseTo(
      (224 * 224) / (341 * 256),
      12,
    );
    const squashed = { ...crop, resize: [224, 224] as const };
    expect(seenShare({ width: 4000, height: 3000 }, squashed)).toBe(1);
    expect(seenShare({ width: 4000, height: 3000 }, { ...squashed, crop: false })).toBe(1);
  });

  test('is without the padding', () => {
    const padding = [100, 0, 0, 0] as const;
    // The crop is from column 88 on, and the picture from column 100.
    expect(seenShare({ width: 300, height: 224 }, { ...crop, padding })).toBeCloseTo(212 / 300, 12);
  });
});

test('the typical picture is the one in the middle by area', () => {
  const sizes = [
    { width: 10, height: 10 },
    { width: 1, height: 9000 },
    { width: 30, height: 20 },
  ];
  expect(typicalSize(sizes)).toEqual({ width: 30, height: 20 });
  expect(typicalSize([])).toBeNull();
  expect(sampleEvenly([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 2, 5, 7]);
  expect(sampleEvenly([0, 1], 4)).toEqual([0, 1]);
});

describe('a crop that shows little of the pictures', () => {
  test('is warned of below a third, with the share, the size and the remedy', async () => {
    const sources = await Promise.all([
      writePicture(at('a.png'), 1, { size: 56 }),
      writePicture(at('b.png'), 1, { size: 55 }),
    ]);
    const [below, above] = await Promise.all(
      sources.map((source) => smallCrop([source], centerCropOf(32), {})),
    );
    expect(above).toBeNull();
    expect(below?.code).toBe('WARN_CROP_IS_SMALL');
    expect(below?.message).toContain('32.7 % of a typical picture, 56 x 56 pixels');
    expect(below?.message).toContain('`resize` 37 (--resize 37)');
    expect(below?.message).toContain('`resize` false (--resize none)');
  });

  test('is not warned of where somebody says how pictures are resized', async () => {
    const source = await writePicture(at('c.png'), 1, { size: 100 });
    const crop = centerCropOf(32);
    expect(await smallCrop([source], crop, {})).not.toBeNull();
    expect(await smallCrop([source], crop, { resize: false })).toBeNull();
    expect(await smallCrop([source], crop, { preprocess: 'none' })).toBeNull();
    expect(await smallCrop([source], { ...crop, resize: 37 }, {})).toBeNull();
  });

  test('is warned of once by every call that shows pictures to a network', async () => {
    const run = await smallRun(at('run'));
    for (const split of ['train', 'val']) {
      for (const name of ['ants', 'bees']) {
        for (let i = 0; i < 4; i++) {
          const seed = 10 * i + name.charCodeAt(0);
          await writePicture(at(`large/${split}/${name}/${i}.png`), seed, { size: 100 });
        }
      }
    }
    const dataset = at('large');
    const given = { ...run, dataset, epochs: 1, overwrite: true } satisfies DistillOptions;
    const { student: _, teacher, seed: __, ...others } = given;
    const seen = async (
      call: (onWarning: (warning: DistillWarning) => void) => PromiseLike<unknown>,
    ) => {
      const codes: string[] = [];
      await call(({ code }) => codes.push(code));
      return codes.filter((code) => code === 'WARN_CROP_IS_SMALL').length;
    };
    const { mean, std, imageSize, device, threads } = given;
    const network = { mean, std, imageSize, device, threads };
    const student = await writeStudent(at('student.pth'));
    const calls: Parameters<typeof seen>[0][] = [
      (on) => distill(given).on('warning', on),
      (on) => sweep({ ...others, teacher, seeds: [1], temperature: [2] }).on('warning', on),
      (on) => compare({ ...others, teacher, seeds: [1] }).on('warning', on),
      (on) =>
        teach({ dataset, teacher: at('taught.pth'), epochs: 1, batchSize: 4, ...network }).on(
          'warning',
          on,
        ),
      (on) =>
        teacherLogits({ dataset, teacher, output: at('l.safetensors'), onWarning: on, ...network }),
      (on) =>
        predict({ student, images: dataset, labels: ['ants', 'bees'], onWarning: on, ...network }),
      (on) => distill({ ...given, dataset: run.dataset }).on('warning', on),
    ];
    const counts = [];
    for (const call of calls) counts.push(await seen(call));
    expect(counts).toEqual([1, 1, 1, 1, 1, 1, 0]);
  }, 60_000);
});
