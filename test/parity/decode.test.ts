import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { digest, digestsOf, expectedIn } from '../helpers/decode.js';
import { fixture, ppm } from '../helpers/pictures.js';
import { python, runPython } from '../helpers/python.js';

const maker = fileURLToPath(new URL('../fixtures/make_pictures.py', import.meta.url));
const judge = fileURLToPath(new URL('judge/decode.py', import.meta.url));
const hymenoptera = fileURLToPath(new URL('../../../shared/data/hymenoptera', import.meta.url));
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
