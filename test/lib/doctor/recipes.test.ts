import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Sample } from '../../../lib/data/samples.js';
import { type RecipeSearch, searchRecipe } from '../../../lib/doctor/recipes.js';
import { centerCropOf, type Preprocessing } from '../../../lib/model/preprocessing.js';
import { mean, std, temporaryFolder } from '../../helpers/dataset.js';

// A teacher of CIFAR-10's pictures, trained on 32 x 32 pixels without a resize.

const shared = path.resolve(import.meta.dirname, '../../../../shared');
const file = path.join(shared, 'teachers/cifar10-densenet121.pth');
const root = path.join(shared, 'data/cifar10/val');
const folder = temporaryFolder();
/** Pictures of each class: 60 in all. */
const EACH = 6;

/** Writes pictures as others have them: the sides are multiplied. */
async function write(name: string, across: number, down: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const to = path.join(folder, name);
  mkdirSync(to);
  for (const [label, category] of readdirSync(root).sort().entries()) {
    for (const image of readdirSync(path.join(root, category)).sort().slice(0, EACH)) {
      const file = path.join(to, `${label}-${image}.png`);
      const size = { width: 32 * across, height: 32 * down, fit: 'fill' } as const;
      await sharp(path.join(root, category, image))
        .resize(size)
        .png()
        .toFile(file);
      samples.push({ path: file, label });
    }
  }
  return samples;
}

describe.skipIf(!existsSync(file) || !existsSync(root))('the recipe of a shipped teacher', () => {
  const right: Preprocessing = { ...centerCropOf(32), mean, std };
  const asking = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
  let plain: Sample[];
  let enlarged: Sample[];
  beforeAll(async () => {
    plain = await write('plain', 1, 1);
    enlarged = await write('enlarged', 4, 3);
  });

  async function search(samples: Sample[], wrong: Partial<Preprocessing>): Promise<RecipeSearch> {
    const teacher = {
      file,
      architecture: 'densenet121',
      classes: 10,
      logits: null,
      metadata: null,
      recipe: null,
      preprocessing: { ...right, ...wrong },
      sha256: '',
      averaged: false,
      classesFit: true,
    };
    const found = await searchRecipe(teacher, { val: samples, train: [] }, asking);
    if (!found) return expect.unreachable('too few pictures');
    return found;
  }

  test('is confirmed where it is given', async () => {
    const { isClear, configured, lines } = await search(plain, {});
    expect(isClear).toBe(false);
    expect(configured.accuracy).toBeGreaterThan(0.7);
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.filter((line) => line.includes('(as given)'))).toHaveLength(1);
  });

  test.each<[string, 'plain' | 'enlarged', Partial<Preprocessing>]>([
    ['large pictures that nobody resizes', 'enlarged', {}],
    ['a resize that is too small', 'enlarged', { resize: 16 }],
    ['a resize that is too large', 'plain', { resize: 64 }],
    ['mean and std of 0..1', 'plain', { mean: [0, 0, 0], std: [1, 1, 1] }],
    ['a std that is wrong', 'plain', { mean: [0.9, 0.5, 0.1], std: [0.05, 0.1, 0.9] }],
    ['an image size that is wrong', 'plain', { imageSize: 96 }],
    ['a crop of squashed pictures', 'plain', { resize: [96, 40] }],
  ])('is found in spite of %s', async (_, name, wrong) => {
    const { isClear, best } = await search(name === 'plain' ? plain : enlarged, wrong);
    expect(isClear).toBe(true);
    // The same network's input, or one that differs from it by a few columns or the filter.
    expect(best.accuracy).toBeGreaterThan(0.7);
    const { imageSize, resize, mean, std } = best.preprocessing;
    expect({ imageSize, mean, std }).toEqual({ imageSize: 32, mean: right.mean, std: right.std });
    const side = typeof resize === 'number' ? resize : (resize?.[0] ?? 32);
    expect(side).toBeGreaterThanOrEqual(32);
    expect(side).toBeLessThanOrEqual(37);
    if (name === 'enlarged') expect(resize).not.toBeNull();
  });
});
