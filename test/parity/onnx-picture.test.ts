import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sampleImages } from '../../lib/export-onnx/samples.js';
import { CENTER_CROP, type PixelPreprocessing } from '../../lib/model/preprocessing.js';
import { temporaryFolder } from '../helpers/dataset.js';
import { cropper, type RawPicture } from '../helpers/picture-model.js';
import { python, runPython } from '../helpers/python.js';

// What the graph makes of whole pictures, beside torchvision's transforms of the same.

const folder = temporaryFolder();

const PLAIN: PixelPreprocessing = { ...CENTER_CROP, imageSize: 48 };

/** Height and width of pictures: landscape, portrait, square, as large as the crop, smaller, and of one pixel. */
const SIZES = [
  [150, 227],
  [301, 96],
  [173, 160],
  [48, 48],
  [56, 56],
  [49, 51],
  [31, 20],
  [20, 211],
  [1, 40],
  [40, 1],
  [1, 1],
] as const;

interface Picture extends RawPicture {
  file: string;
}

/** Smooth pictures, and ones of noise, in which a wrong weight shows at once. */
const pictures: Picture[] = SIZES.flatMap(([height, width], i) => {
  const noise = new Uint8Array(height * width * 3);
  let state = i + 1;
  for (let k = 0; k < noise.length; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise[k] = state >>> 24;
  }
  return [sampleImages(1, height, width), noise].map((data, k) => {
    const file = path.join(folder, `${i}-${k}.rgb`);
    writeFileSync(file, data);
    return { file, height, width, data };
  });
});

/** The number of crops that are written. */
let made = 0;

/** A crop that the graph made, for the judge. */
interface Case {
  /** The picture's pixels, and the crop's. */
  file: string;
  crop: string;
  height: number;
  width: number;
  preprocessing: PixelPreprocessing;
}

/** Returns onnxruntime's crops of all pictures. */
async function cropsBy(preprocessing: PixelPreprocessing, opset: number): Promise<Case[]> {
  const { crop: cropOf, close } = await cropper(preprocessing, opset);
  const cases: Case[] = [];
  for (const picture of pictures) {
    const { file, height, width } = picture;
    const crop = path.join(folder, `${made++}.crop`);
    writeFileSync(crop, await cropOf(picture));
    cases.push({ file, crop, height, width, preprocessing });
  }
  await close();
  return cases;
}

/** Returns how many values of all crops differ from torchvision's, and by how much at most, for each preprocessing. */
async function compare(recipes: readonly Partial<PixelPreprocessing>[], opset: number) {
  const cases: Case[][] = [];
  for (const steps of recipes) cases.push(await cropsBy({ ...PLAIN, ...steps }, opset));
  const found = runPython(['test/parity/judge/crops.py'], cases.flat()) as Difference[];
  return recipes.map((steps, i) => {
    const side = steps.imageSize ?? PLAIN.imageSize;
    const own = found.slice(i * pictures.length, (i + 1) * pictures.length);
    const differing = own.reduce((sum, one) => sum + one.differing, 0);
    return {
      steps,
      share: differing / (own.length * side * side * 3),
      most: Math.max(...own.map(({ most }) => most)),
    };
  });
}

interface Difference {
  differing: number;
  most: number;
}

const crops: Partial<PixelPreprocessing>[] = [
  {},
  { padding: [3, 5, 20, 0] },
  { imageSize: 33 },
  { cropRounding: 'down' },
  { resize: [61, 71], interpolation: 'nearest', cropRounding: 'down' },
  { resize: 56, interpolation: 'nearest' },
  { resize: [61, 70], interpolation: 'nearest' },
  { resize: [48, 48], interpolation: 'nearest', crop: false },
  { resize: 40, interpolation: 'nearest', padding: [1, 2, 3, 4] },
];
const smooth: Partial<PixelPreprocessing>[] = (['bilinear', 'bicubic'] as const).flatMap(
  (interpolation) => [
    { resize: 56, interpolation },
    { resize: 150, interpolation, imageSize: 140 },
    { resize: [61, 70], interpolation },
    { resize: [48, 48], interpolation, crop: false },
    { resize: 40, interpolation, padding: [1, 2, 3, 4] },
  ],
);

describe.runIf(python)('torchvision’s pixels', () => {
  test('are those of a graph that takes pixels as they are, value for value', async () => {
    for (const { steps, share } of await compare(crops, 17)) {
      expect(share, JSON.stringify(steps)).toBe(0);
    }
  });

  // Weights in float32 round another way where a value lies between two levels, in each of the two passes.
  test('are those of a graph that computes them, but for some that differ by a level', async () => {
    for (const { steps, share, most } of await compare(smooth, 18)) {
      expect(most, JSON.stringify(steps)).toBeLessThanOrEqual(2);
      expect(share, JSON.stringify(steps)).toBeLessThan(0.02);
    }
  });
});
