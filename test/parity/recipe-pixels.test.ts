// Recipes of other programs give the pixels that these programs make: what timm, Hugging Face's image processors and
// torchvision's presets make of generated pictures is in test/fixtures/recipes/expected.json.

import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import type { PixelPreprocessing } from '../../lib/model/preprocessing.js';
import { recipeOf } from '../../lib/model/recipes.js';
import { python, runPython } from '../helpers/python.js';
import { expectedRecipes, recipeFile, recipePicture } from '../helpers/recipes.js';

const pictures = new Map<string, Uint8Array>();

/** Returns the picture of a size such as `500x375`. */
function pictureOf(size: string): Uint8Array {
  const [width = 0, height = 0] = size.split('x').map(Number);
  const picture = pictures.get(size) ?? recipePicture(width, height);
  pictures.set(size, picture);
  return picture;
}

test.each(expectedRecipes)('%s', async (name, { pixels }) => {
  const steps = (await recipeOf(recipeFile(name))) as PixelPreprocessing;
  const digests = Object.keys(pixels).map(async (size) => {
    const made = await decodeCrop(pictureOf(size), steps);
    return [size, createHash('sha256').update(made).digest('hex')] as const;
  });
  expect(Object.fromEntries(await Promise.all(digests))).toEqual(pixels);
});

test.skipIf(python === null)('what is written down is what the libraries here do', () => {
  const script = fileURLToPath(new URL('../fixtures/make_recipes.py', import.meta.url));
  expect(runPython([script, '--check'])).toEqual([]);
});
