import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { mean, std, temporaryFolder, writeStudent } from '../../helpers/dataset.js';

// The losses by their names, on one batch. test/parity/ compares the distillation loss with PyTorch's.

const classes = 2;
const labels = Int32Array.of(0, 1, 1, 0);
const teacherLogits = Float32Array.of(1, -1, 0.5, 2, -3, 3, 0, 0.25);
let student: string;
beforeAll(async () => {
  student = await writeStudent(path.join(temporaryFolder(), 'student.pth'), { classes });
});

/** A loss of the batch, and its gradients by the student's parameters. */
const gradientsOf = (
  loss: string,
  more: {
    temperature?: number;
    alpha?: number;
    classWeights?: number[] | null;
    labels?: Int32Array;
  } = {},
) =>
  loadAddon().gradients({
    loss,
    temperature: 2,
    alpha: 0.7,
    classWeights: null,
    imageSize: 32,
    mean,
    std,
    student,
    pixels: Uint8Array.from({ length: 4 * 32 * 32 * 3 }, (_, i) => (i * i * 31) % 251),
    labels,
    teacherLogits,
    ...more,
  });

test('cross entropy is the distillation loss whose soft term has no weight', async () => {
  expect(await gradientsOf('cross-entropy')).toEqual(
    await gradientsOf('distillation', { alpha: 0 }),
  );
});

test('the distillation loss depends on temperature and alpha', async () => {
  const { loss } = await gradientsOf('distillation');
  expect((await gradientsOf('distillation', { temperature: 4 })).loss).not.toBe(loss);
  expect((await gradientsOf('distillation', { alpha: 0.1 })).loss).not.toBe(loss);
});

test("class weights change the labels' term alone, and their scale changes nothing", async () => {
  const { loss } = await gradientsOf('distillation');
  const weighted = await gradientsOf('distillation', { classWeights: [1, 3] });
  expect(weighted.loss).not.toBe(loss);
  const scaled = await gradientsOf('distillation', { classWeights: [4, 12] });
  expect(scaled.loss).toBeCloseTo(weighted.loss, 6);
  const soft = { alpha: 1, classWeights: [1, 3] };
  expect(await gradientsOf('distillation', soft)).toEqual(
    await gradientsOf('distillation', { alpha: 1 }),
  );
});

test('a picture without a label learns from the teacher alone', async () => {
  const some = Int32Array.of(0, -1, 1, -1);
  const { loss } = await gradientsOf('distillation', { labels: some });
  const soft = await gradientsOf('distillation', { labels: some, alpha: 1 });
  const hard = await gradientsOf('distillation', { labels: some, alpha: 0 });
  expect(loss).toBeCloseTo(0.7 * soft.loss + 0.3 * hard.loss, 6);
  expect(soft).toEqual(await gradientsOf('distillation', { alpha: 1 }));
  expect(hard).toEqual(await gradientsOf('cross-entropy', { labels: some }));
});

test.each([{ classWeights: null }, { classWeights: [1, 3] }])(
  "the labels' term of a batch without a label is 0, and so is its gradient: %o",
  async ({ classWeights }) => {
    const none = { labels: Int32Array.of(-1, -1, -1, -1), classWeights };
    const { loss, gradients } = await gradientsOf('cross-entropy', none);
    expect(loss).toBe(0);
    for (const gradient of Object.values(gradients))
      expect(gradient.every((g) => g === 0)).toBe(true);
    const distilled = await gradientsOf('distillation', none);
    expect(distilled.loss).toBeCloseTo(
      0.7 * (await gradientsOf('distillation', { alpha: 1 })).loss,
      6,
    );
    expect(distilled.loss).toBeGreaterThan(0);
  },
);

test('class weights that are not one for each class are refused', async () => {
  await expect(gradientsOf('distillation', { classWeights: [1, 2, 3] })).rejects.toThrow(/weight/);
});

test('an unknown loss is refused with the names of those that there are', async () => {
  await expect(gradientsOf('mean')).rejects.toMatchObject({
    message: expect.stringMatching(/^loss is not .*'distillation'.*'cross-entropy'/),
  });
});
