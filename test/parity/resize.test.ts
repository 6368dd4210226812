import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import { CENTER_CROP, type PixelSteps } from '../../lib/model/preprocessing.js';
import { expectedIn, fixtures, sha256 } from '../helpers/decode.js';
import { ppm } from '../helpers/pictures.js';
import { python, runPython } from '../helpers/python.js';

const judge = fileURLToPath(new URL('judge/resize.py', import.meta.url));
const hymenoptera = fileURLToPath(new URL('../../../shared/data/hymenoptera', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'distill-resize-'));
afterAll(() => rmSync(folder, { recursive: true }));

if (!existsSync(hymenoptera)) {
  console.warn(`Skipping the comparison over hymenoptera: there is no ${hymenoptera}.`);
}

const filters = ['bilinear', 'bicubic', 'lanczos', 'box', 'nearest'] as const;

type Steps = Partial<PixelSteps> & { imageSize: number; orientation?: number };
type Case = [file: string, steps: Steps];

/** Expects the pixels that Pillow and torchvision make of each file, with the steps beside it. */
async function expectEqual(cases: readonly Case[]): Promise<void> {
  const expected = runPython([judge], cases) as (string | null)[];
  const different: Case[] = [];
  for (let first = 0; first < cases.length; first += 8) {
    const digests = await Promise.all(
      cases.slice(first, first + 8).map(async ([file, { orientation = 1, ...preprocessing }]) => {
        try {
          return sha256(
            await decodeCrop(file, { ...CENTER_CROP, ...preprocessing }, { orientation }),
          );
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
          return null;
        }
      }),
    );
    for (const [i, digest] of digests.entries()) {
      const index = first + i;
      if (digest !== expected[index]) different.push(cases[index] as Case);
    }
  }
  expect(different).toEqual([]);
}

/** A picture of noise whose sides follow from its name. */
function picture(width: number, height: number): string {
  const file = path.join(folder, `${width}x${height}.ppm`);
  if (!existsSync(file)) writeFileSync(file, ppm(width, height));
  return file;
}

describe.skipIf(python === null)('compared with Pillow and torchvision', () => {
  test.skipIf(!existsSync(hymenoptera))('all pictures of hymenoptera', async () => {
    const files = readdirSync(hymenoptera, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.jpg'))
      .map((name) => path.join(hymenoptera, name));
    expect(files.length).toBeGreaterThan(300);
    const recipes = ([256, 232] as const).flatMap((resize) =>
      (['bilinear', 'bicubic'] as const).map((interpolation) => ({
        resize,
        interpolation,
        imageSize: 224,
      })),
    );
    await expectEqual(files.flatMap((file) => recipes.map((recipe): Case => [file, recipe])));
  });

  test('sizes and targets of every kind, by each filter', async () => {
    const cases: Case[] = [];
    const sides = [1, 2, 3, 5, 8, 13, 31, 64, 97];
    for (const [i, width] of sides.entries()) {
      for (const [j, height] of sides.entries()) {
        const file = picture(width, height);
        const n = 9 * i + j;
        const steps: Steps[] = [
          { resize: 1 + ((n * 7) % 40), imageSize: 17 },
          { resize: [1 + ((n * 11) % 61), 1 + ((n * 5) % 43)], imageSize: 1 + (n % 37) },
          { resize: 1 + ((n * 13) % 97), imageSize: 1 + (n % 53) },
          { resize: [1 + ((n * 17) % 120), 1 + ((n * 19) % 90)], imageSize: 40 },
          { resize: [1 + ((n * 23) % 33), 1 + ((n * 29) % 150)], imageSize: 1 + (n % 29) },
        ];
        for (const interpolation of filters) {
          for (const step of steps) cases.push([file, { ...step, interpolation }]);
        }
      }
    }
    // Extreme ratios, of which the crop sees next to nothing, and sides that shrink a lot.
    for (const [width, height] of [
      [1, 3000],
      [3000, 1],
      [2, 2999],
      [1, 1],
      [1023, 767],
      [3001, 40],
    ] as const) {
      for (const interpolation of filters) {
        for (const resize of [16, 33, [24, 24], [1, 24], [40, 1]] as const) {
          cases.push([picture(width, height), { resize, interpolation, imageSize: 24 }]);
        }
      }
    }
    await expectEqual(cases);
    expect(new Set(cases.map(([file, { resize }]) => `${file} ${resize}`)).size).toBeGreaterThan(
      400,
    );
  });

  test('kinds of files by each filter', async () => {
    const cases: Case[] = [];
    for (const [i, [name]] of expectedIn(fixtures).entries()) {
      for (const [j, interpolation] of filters.entries()) {
        cases.push([
          path.join(fixtures, name),
          { resize: 5 + ((i * 3 + j * 17) % 50), interpolation, imageSize: 20 },
        ]);
      }
    }
    await expectEqual(cases);
  });

  test('padding, no crop and orientations', async () => {
    const cases: Case[] = [];
    const files = [picture(31, 13), picture(13, 64), path.join(fixtures, 'rgb-420.jpg')];
    files.push(path.join(fixtures, 'progressive.jpg'), path.join(fixtures, 'rgb.png'));
    for (const [i, file] of files.entries()) {
      for (let orientation = 1; orientation <= 8; orientation++) {
        for (const [j, interpolation] of filters.entries()) {
          const n = (i * 8 + orientation) * 5 + j;
          cases.push(
            [file, { orientation, resize: 9 + (n % 30), interpolation, imageSize: 16 }],
            [file, { orientation, resize: [24, 24], interpolation, crop: false, imageSize: 24 }],
            [
              file,
              {
                orientation,
                resize: [1 + (n % 17), 8],
                padding: [n % 3, 5, n % 11, 0],
                interpolation,
                imageSize: 16,
              },
            ],
          );
        }
        cases.push([file, { orientation, imageSize: 16 }], [file, { orientation, imageSize: 99 }]);
        cases.push([file, { orientation, padding: [1, 2, 3, 4], imageSize: 30 }]);
      }
    }
    await expectEqual(cases);
  });
});
