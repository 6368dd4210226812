import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { batchOf, storeOf, trainConfigOf } from '../helpers/contract.js';
import { temporaryFolder, writeStudent } from '../helpers/dataset.js';

// PyTorch's numbers are kept in a file that golden/make_golden.py writes, so that parity is tested where there is no
// Python. The networks are untrained: createModel draws the weights that
// torch.manual_seed makes PyTorch draw.

interface Summary {
  shape: number[];
  sum: number;
  absoluteSum: number;
  first: number[];
  last: number;
}

interface Golden {
  mean: [number, number, number];
  std: [number, number, number];
  teacherSeed: number;
  studentSeed: number;
  densenets: Record<string, { weights: Record<string, Summary>; logits: number[][] }>;
  student: { weights: Record<string, Summary> };
  logits: { size: number; teacher: number[][]; student: number[][] }[];
  batch: {
    size: number;
    count: number;
    temperature: number;
    alpha: number;
    loss: number;
    gradientNorms: Record<string, number>;
  };
  training: {
    size: number;
    batchSize: number;
    learningRate: number;
    temperature: number;
    alpha: number;
    stepLosses: number[];
  };
}

const golden: Golden = JSON.parse(
  readFileSync(new URL('./golden/golden.json', import.meta.url), 'utf8'),
);
const { mean, std, teacherSeed, studentSeed } = golden;
const folder = temporaryFolder();
const teacher = path.join(folder, 'densenet121-2.pth');
const student = path.join(folder, 'student.pth');

beforeAll(async () => {
  const addon = loadAddon();
  await addon.createModel({
    path: teacher,
    architecture: 'densenet121',
    classes: 2,
    seed: teacherSeed,
  });
  await writeStudent(student, { seed: studentSeed });
});

/** uint8 RGB (count, size, size, 3); make_golden.py has the same formula. */
function pictures(count: number, size: number): Uint8Array {
  return Uint8Array.from({ length: count * size * size * 3 }, (_, i) =>
    Math.floor(((i * i * 31 + i * 17) % 65521) / 256),
  );
}

/** Every other picture is of the other class. */
const labelsOf = (count: number) => Int32Array.from({ length: count }, (_, i) => i % 2);

async function logitsOf(model: string, imageSize: number, count: number): Promise<number[]> {
  const classifier = new (loadAddon().Classifier)({
    averaged: false,
    model,
    mean,
    std,
    imageSize,
    device: 'cpu',
    precision: 'fp32',
    threads: 0,
  });
  await classifier.load();
  const logits = await classifier.logits(pictures(count, imageSize));
  await classifier.close();
  return Array.from(logits);
}

function expectWithin(found: number[], expected: number[], tolerance: number) {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) {
    expect(Math.abs((found[i] as number) - value), `at ${i}: ${found[i]}`).toBeLessThanOrEqual(
      tolerance,
    );
  }
}

async function expectWeights(file: string, weights: Record<string, Summary>) {
  for (const [name, expected] of Object.entries(weights)) {
    const { shape, data } = await loadAddon().readTensor(file, name);
    expect(shape, name).toEqual(expected.shape);
    // The same draws; a processor's own logarithm may end in another last bit.
    const values = [...data.subarray(0, 3), data.at(-1) as number];
    const scale = expected.absoluteSum / data.length;
    expectWithin(values, [...expected.first, expected.last], 1e-6 * scale);
    const sum = data.reduce((total, value) => total + value, 0);
    const absoluteSum = data.reduce((total, value) => total + Math.abs(value), 0);
    expectWithin(
      [sum, absoluteSum],
      [expected.sum, expected.absoluteSum],
      1e-6 * expected.absoluteSum,
    );
  }
}

describe('untrained weights are those of PyTorch’s seed', () => {
  test.each(Object.entries(golden.densenets))(
    '%s, and its logits',
    async (architecture, expected) => {
      const file = path.join(folder, `${architecture}.pth`);
      await loadAddon().createModel({ path: file, architecture, classes: 3, seed: teacherSeed });
      await expectWeights(file, expected.weights);
      expectWithin(await logitsOf(file, 32, 1), expected.logits.flat(), 1e-4);
    },
  );

  test('the student', () => expectWeights(student, golden.student.weights));
});

// 75 pixels are halved to an odd side by every pooling.
test.each(golden.logits)('logits of pictures of $size pixels', async (expected) => {
  // Absolute, as the logits are of the order of 0.1 to 1.
  expectWithin(await logitsOf(teacher, expected.size, 2), expected.teacher.flat(), 1e-4);
  expectWithin(await logitsOf(student, expected.size, 2), expected.student.flat(), 1e-5);
});

test('the loss of a batch, and its gradients', async () => {
  const { size, count, temperature, alpha, loss, gradientNorms } = golden.batch;
  const found = await loadAddon().gradients({
    loss: 'distillation',
    classWeights: null,
    mean,
    std,
    imageSize: size,
    student,
    temperature,
    alpha,
    pixels: pictures(count, size),
    labels: labelsOf(count),
    teacherLogits: Float32Array.from(await logitsOf(teacher, size, count)),
  });
  expect(Math.abs(found.loss - loss)).toBeLessThan(1e-6);
  expect(Object.keys(found.gradients).sort()).toEqual(Object.keys(gradientNorms).sort());
  for (const [name, norm] of Object.entries(gradientNorms)) {
    // A convolution's bias vanishes in the BatchNorm behind it: its gradient is rounding alone, and is
    // measured by that of the convolution's weight.
    const isVanishing = /^features\.(0|4|8|12)\.bias$/.test(name);
    const scale = isVanishing ? (gradientNorms[name.replace('bias', 'weight')] as number) : norm;
    const gradient = found.gradients[name] as Float64Array;
    const length = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
    expect(Math.abs(length - norm) / scale, name).toBeLessThan(1e-4);
  }
});

test('the losses of the first steps', async () => {
  const { size, batchSize, stepLosses, temperature, alpha, learningRate } = golden.training;
  const count = stepLosses.length * batchSize;
  const session = new (loadAddon().Session)({
    mean,
    std,
    imageSize: size,
    device: 'cpu',
    precision: 'fp32',
    threads: 0,
  });
  await session.open();
  await session.loadTeacher(teacher, false);
  await session.createStore(
    storeOf({
      imageSize: size,
      classes: 2,
      trainCapacity: count,
      valCapacity: 2,
      place: 'memory',
      folder: '',
      fingerprint: '',
    }),
  );
  const append = (split: 'train' | 'val', n: number) => {
    const sources = Int32Array.from({ length: n }, (_, i) => i);
    return session.append(
      batchOf({ split, pixels: pictures(n, size), labels: labelsOf(n), sources }),
    );
  };
  await append('train', count);
  await append('val', 2);
  await session.sealStore();
  let found: number[] = [];
  await session.train(
    trainConfigOf({
      epochs: 1,
      lr: learningRate,
      dropRate: 0,
      temperature,
      alpha,
      batchSize,
      sampler: 'sequential',
      seed: 0,
      initialStudent: student,
      metadata: '{}',
      files: [path.join(folder, 'trained.pth')],
    }),
    (epoch) => {
      found = Array.from(epoch.stepLosses);
    },
  );
  await session.close();
  expect(found).toHaveLength(stepLosses.length);
  for (const [i, loss] of stepLosses.entries()) {
    expect(Math.abs((found[i] as number) - loss) / loss, `step ${i + 1}`).toBeLessThan(1e-3);
  }
});
