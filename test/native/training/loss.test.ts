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
  more: { temperature?: number; alpha?: number; classWeights?: number[]; labels?: Int32Array } = {},
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

test('class weights that are not one for each class are refused', async () => {
  await expect(gradientsOf('distillation', { classWeights: [1, 2, 3] })).rejects.toThrow(/weight/);
});

test('an unknown loss is refused with the names of those that there are', async () => {
  await expect(gradientsOf('mean')).rejects.toMatchObject({
    message: expect.stringMatching(/^loss is not .*'distillation'.*'cross-entropy'/),
  });
});
