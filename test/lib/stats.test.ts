import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { datasetStats } from '../../lib/stats.js';
import type { DistillWarning } from '../../lib/warnings.js';
import { python, runPython } from '../helpers/python.js';

const hymenoptera = fileURLToPath(new URL('../../../shared/data/hymenoptera', import.meta.url));
const temporary = mkdtempSync(path.join(tmpdir(), 'distill-stats-'));
afterAll(() => rmSync(temporary, { recursive: true }));

let root: string;
let count = 0;
beforeEach(() => {
  root = path.join(temporary, String(count++));
});

function picture(name: string, width: number, height: number, values: number[]): void {
  const file = path.join(root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(
    file,
    Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), Buffer.from(values)]),
  );
}

test('are the moments of each channel over all pixels', async () => {
  picture('ants/1.ppm', 2, 1, [0, 255, 51, 255, 255, 51]);
  picture('bees/1.ppm', 2, 1, [255, 255, 153, 0, 255, 153]);
  // A crop of 1 x 1 takes the left one of two columns: half of one column rounds to the even 0.
  expect(await datasetStats(root, { imageSize: 1 })).toEqual({
    mean: [0.5, 1, 0.4],
    std: [0.5, 0, 0.2],
    images: 2,
    classes: ['ants', 'bees'],
  });
});

test('count the zero padding of a picture that is smaller than the crop', async () => {
  picture('a.ppm', 1, 1, [255, 102, 0]);
  const { mean, std } = await datasetStats(root, { imageSize: 2 });
  expect(mean).toEqual([0.25, 0.1, 0]);
  expect(std).toEqual([Math.sqrt(3 * 255 ** 2) / 4 / 255, Math.sqrt(3 * 102 ** 2) / 4 / 255, 0]);
});

test('have no error where a naive sum of squares cancels', async () => {
  for (let i = 0; i < 40; i++) picture(`${i}.ppm`, 1, 1, [254, 255, 254]);
  expect(await datasetStats(root, { imageSize: 1 })).toEqual({
    mean: [254 / 255, 1, 254 / 255],
    std: [0, 0, 0],
    images: 40,
  });
});

test('use train/ where there is one', async () => {
  picture('train/ants/1.ppm', 1, 1, [51, 51, 51]);
  picture('val/ants/1.ppm', 1, 1, [255, 255, 255]);
  const found = await datasetStats(root, { imageSize: 1 });
  expect(found).toEqual({ mean: [0.2, 0.2, 0.2], std: [0, 0, 0], images: 1, classes: ['ants'] });
});

test('report progress', async () => {
  for (let i = 0; i < 20; i++) picture(`${i}.ppm`, 1, 1, [1, 2, 3]);
  const progress: [number, number][] = [];
  await datasetStats(root, {
    imageSize: 1,
    onProgress: (done, total) => progress.push([done, total]),
  });
  expect(progress).toEqual([
    [16, 20],
    [20, 20],
  ]);
});

test('stop at a bad picture, or leave it out', async () => {
  picture('a.ppm', 1, 1, [51, 51, 51]);
  picture('b.ppm', 9, 9, [51]);
  await expect(datasetStats(root, { imageSize: 1 })).rejects.toMatchObject({
    code: 'ERR_BAD_IMAGE',
  });

  const warnings: DistillWarning[] = [];
  const found = await datasetStats(root, {
    imageSize: 1,
    onBadImage: 'skip',
    onWarning: (warning) => warnings.push(warning),
  });
  expect(found).toEqual({ mean: [0.2, 0.2, 0.2], std: [0, 0, 0], images: 1 });
  expect(warnings).toEqual([
    {
      code: 'WARN_IMAGE_SKIPPED',
      message: expect.stringContaining('is cut short'),
      path: path.join(root, 'b.ppm'),
    },
  ]);
});

test.each([
  ['classes', 'ants/'],
  ['no class', ''],
])('warn of files that look like pictures and are passed over, in %s', async (_, folder) => {
  picture(`${folder}a.ppm`, 1, 1, [51, 51, 51]);
  picture(`${folder}b.gif`, 1, 1, [0, 0, 0]);
  picture(`${folder}notes.txt`, 1, 1, [0, 0, 0]);
  const warnings: DistillWarning[] = [];
  const found = await datasetStats(root, {
    imageSize: 1,
    onWarning: (warning) => warnings.push(warning),
  });
  expect(found.images).toBe(1);
  expect(warnings).toEqual([
    {
      code: 'WARN_FILES_IGNORED',
      message: expect.stringContaining('1 file that looks like a picture'),
      path: path.join(root, `${folder}b.gif`),
    },
  ]);
});

test('of bad pictures only are an error', async () => {
  picture('b.ppm', 9, 9, [51]);
  await expect(datasetStats(root, { onBadImage: 'skip' })).rejects.toMatchObject({
    code: 'ERR_IMAGES_NOT_FOUND',
    message: `None of the 1 pictures in ${root} could be read.`,
  });
});

test('of an empty folder are an error', async () => {
  mkdirSync(root);
  await expect(datasetStats(root)).rejects.toMatchObject({ code: 'ERR_IMAGES_NOT_FOUND' });
});

test('of a class without a picture are an error', async () => {
  picture('ants/a.ppm', 1, 1, [51, 51, 51]);
  mkdirSync(path.join(root, 'bees'));
  await expect(datasetStats(root)).rejects.toMatchObject({ code: 'ERR_DATASET_EMPTY_CLASS' });
});

test('end with the reason of an aborted signal', async () => {
  for (let i = 0; i < 40; i++) picture(`${i}.ppm`, 1, 1, [1, 2, 3]);
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = () => controller.abort(reason);
  const work = datasetStats(root, { signal: controller.signal, onProgress });
  const aborted = { code: 'ERR_ABORTED', name: 'AbortError', cause: reason };
  await expect(work).rejects.toMatchObject(aborted);
  await expect(datasetStats(root, { signal: controller.signal })).rejects.toMatchObject(aborted);
});

test.skipIf(python === null || !existsSync(hymenoptera))(
  'are those of torchvision’s crops',
  async () => {
    const code = [
      'import decode, json, math, sys',
      'import numpy as np',
      'from torchvision.datasets import ImageFolder',
      'found = ImageFolder(json.load(sys.stdin))',
      'crops = [np.frombuffer(decode.crop_bytes(path, 224), np.uint8).reshape(-1, 3) for path, _ in found.samples]',
      'pixels = np.concatenate(crops).astype(np.int64)',
      'n, sums, squares = len(pixels), pixels.sum(0).tolist(), (pixels**2).sum(0).tolist()',
      'mean = [s / n / 255 for s in sums]',
      'std = [math.sqrt(n * q - s * s) / n / 255 for s, q in zip(sums, squares)]',
      'print(json.dumps({"mean": mean, "std": std, "images": len(crops), "classes": found.classes}))',
    ].join('\n');
    const expected = runPython(['-c', code], path.join(hymenoptera, 'train'));
    expect(await datasetStats(hymenoptera)).toEqual(expected);
  },
);
