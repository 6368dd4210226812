import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { scanDataset } from '../../lib/data/dataset.js';
import { decodeBatches, type ImageBatch } from '../../lib/data/decode.js';
import { predict } from '../../lib/index.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { batchOf, storeOf, trainConfigOf } from '../helpers/contract.js';
import { python, runPython } from '../helpers/python.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = path.join(here, '../..');
const shared = path.join(root, '../shared');
const hymenoptera = path.join(shared, 'data/hymenoptera');
const teacher = path.join(shared, 'teachers/hymenoptera-densenet121.pth');
const preprocessing = {
  imageSize: 224,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};
const temperature = 2;
const alpha = 0.7;

if (!existsSync(teacher)) {
  console.warn(`Skipping the parity tests on real photographs: there is no ${shared}.`);
}

const ask = <Answer>(question: string, input: unknown) =>
  runPython([path.join(here, 'judge/reference.py'), question], input) as Answer;

/** The largest difference between two rows of numbers. */
const difference = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - (b[i] as number))));
};

describe.runIf(python && existsSync(teacher))('parity with PyTorch on real photographs', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'distill-parity-'));
  const initial = path.join(folder, 'initial.pth');
  let dataset: Awaited<ReturnType<typeof scanDataset>>;
  /** Every tenth or so: both classes, 32 pictures. */
  let some: { path: string; label: number }[];
  let pixels: Uint8Array;

  beforeAll(async () => {
    await loadAddon().createModel({ path: initial, architecture: 'cnn', classes: 2, seed: 5 });
    dataset = await scanDataset({
      train: path.join(hymenoptera, 'train'),
      val: path.join(hymenoptera, 'val'),
    });
    const { samples } = dataset.train;
    some = samples.filter((_, i) => i % Math.floor(samples.length / 32) === 0).slice(0, 32);
    const paths = some.map((sample) => sample.path);
    for await (const batch of decodeBatches(paths, {
      preprocessing: centerCropOf(224),
      batchSize: 32,
    })) {
      pixels = batch.pixels;
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const logitsOf = async (model: string, of: Uint8Array) => {
    const { Classifier } = loadAddon();
    const classifier = new Classifier({
      ...preprocessing,
      model,
      averaged: false,
      device: 'cpu',
      precision: 'fp32',
      threads: 0,
    });
    await classifier.load();
    const logits = await classifier.logits(of);
    await classifier.close();
    return logits;
  };

  test('teacher logits on 32 photographs, within 1e-4', async () => {
    const paths = some.map((sample) => sample.path);
    const input = { ...preprocessing, model: teacher, architecture: 'densenet121', paths };
    const theirs = ask<number[][]>('logits', input);
    const gap = difference(await logitsOf(teacher, pixels), theirs.flat());
    console.log(`teacher logits differ by ${gap}`);
    expect(gap).toBeLessThan(1e-4);
  });

  test('student forward, within 1e-5', async () => {
    const paths = some.map((sample) => sample.path);
    const theirs = ask<number[][]>('logits', { ...preprocessing, model: initial, paths });
    const gap = difference(await logitsOf(initial, pixels), theirs.flat());
    console.log(`student logits differ by ${gap}`);
    expect(gap).toBeLessThan(1e-5);
  });

  // An activation within rounding of zero, or two of a pool's within rounding of each other, send the
  // gradient one way here and the other way there. One such among the millions of a batch moves the
  // first layers' gradients by several 1e-4: PyTorch's own float32 differs by that much from its
  // float64. So there are several batches, of few enough activations for most to have none, and it is
  // the median batch that must agree; a wrong gradient would be wrong in all.
  test.each([
    { imageSize: 48, batchSize: 4 },
    { imageSize: 75, batchSize: 3 }, // odd sides, of which pooling drops the last row and column
    { imageSize: 224, batchSize: 1 },
  ])('loss within 1e-6, gradients within 1e-4 relative: %o', async ({ imageSize, batchSize }) => {
    const common = { ...preprocessing, imageSize, student: initial, temperature, alpha };
    const allTeacherLogits = await logitsOf(teacher, pixels);
    const batches = Array.from({ length: 7 }, (_, i) => {
      const samples = some.filter((_, j) => j % 7 === i).slice(0, batchSize);
      return {
        paths: samples.map((sample) => sample.path),
        labels: samples.map((sample) => sample.label),
        teacherLogits: samples.map((sample) => {
          const row = some.indexOf(sample);
          return Array.from(allTeacherLogits.subarray(2 * row, 2 * row + 2));
        }),
      };
    });
    const answers = ask<{ loss: number; gradients: Record<string, number[]> }[]>('gradients', {
      ...common,
      batches,
    });
    const norm = (values: ArrayLike<number>) =>
      Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));
    const gaps: number[] = [];
    for (const [i, { paths, labels, teacherLogits }] of batches.entries()) {
      const theirs = answers[i] as (typeof answers)[0];
      const decoded = await decodeBatches(paths, {
        preprocessing: centerCropOf(imageSize),
        batchSize,
      }).next();
      const ours = await loadAddon().gradients({
        ...common,
        loss: 'distillation',
        classWeights: null,
        pixels: (decoded.value as ImageBatch).pixels,
        labels: Int32Array.from(labels),
        teacherLogits: Float32Array.from(teacherLogits.flat()),
      });
      expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(1e-6);
      expect(Object.keys(ours.gradients).sort()).toEqual(Object.keys(theirs.gradients).sort());
      const relative = Object.entries(theirs.gradients).map(([name, gradient]) => {
        const mine = ours.gradients[name] as Float64Array;
        const gap = norm(gradient.map((value, j) => value - (mine[j] as number)));
        // A convolution's bias vanishes in the BatchNorm behind it. Its true gradient is zero and what
        // is computed is rounding: it is measured by the gradient of the convolution's weight.
        const isVanishing = /^features\.(0|4|8|12)\.bias$/.test(name);
        const measure = isVanishing ? name.replace('bias', 'weight') : name;
        return gap / norm(theirs.gradients[measure] as number[]);
      });
      gaps.push(Math.max(...relative));
    }
    gaps.sort((a, b) => a - b);
    console.log(
      `gradients differ by ${gaps.map((gap) => gap.toExponential(1)).join(', ')} relative`,
    );
    expect(gaps[3]).toBeLessThan(1e-4);
    expect(gaps[6]).toBeLessThan(1e-2);
  });

  test('losses of the first 50 steps, within 1e-3 relative', async () => {
    const steps = 50;
    const batchSize = 4;
    const count = steps * batchSize;
    const session = new (loadAddon().Session)({
      ...preprocessing,
      device: 'cpu',
      precision: 'fp32',
      threads: 0,
    });
    await session.open();
    await session.loadTeacher(teacher, false);
    await session.createStore(
      storeOf({
        imageSize: 224,
        classes: 2,
        trainCapacity: count,
        valCapacity: 4,
        place: 'memory',
        folder: '',
        fingerprint: '',
      }),
    );
    const samples = {
      train: dataset.train.samples.slice(0, count),
      val: dataset.val.samples.slice(0, 4),
    };
    for (const split of ['train', 'val'] as const) {
      const paths = samples[split].map((sample) => sample.path);
      for await (const batch of decodeBatches(paths, {
        preprocessing: centerCropOf(224),
        batchSize: 16,
      })) {
        const labels = batch.indices.map((i) => samples[split][i]?.label ?? -1);
        await session.append(
          batchOf({ split, pixels: batch.pixels, labels, sources: batch.indices }),
        );
      }
    }
    await session.sealStore();
    let ours: Float64Array = new Float64Array();
    await session.train(
      trainConfigOf({
        epochs: 1,
        lr: 1e-4,
        dropRate: 0,
        temperature,
        alpha,
        batchSize,
        sampler: 'sequential',
        seed: 0,
        files: [path.join(folder, 'steps.pth')],
        initialStudent: initial,
        metadata: '{}',
      }),
      (epoch) => {
        ours = epoch.stepLosses;
      },
    );
    await session.close();
    const theirs = ask<number[]>('steps', {
      ...preprocessing,
      teacher,
      student: initial,
      train: dataset.train.root,
      steps,
      batchSize,
      lr: 1e-4,
      temperature,
      alpha,
    });
    expect(ours.length).toBe(steps);
    const gap = Math.max(...theirs.map((loss, i) => Math.abs((ours[i] as number) - loss) / loss));
    console.log(`step losses differ by ${gap} relative`);
    expect(gap).toBeLessThan(1e-3);
  });

  test('5 epochs from the command line: PyTorch loads the student and scores it the same', async () => {
    const student = path.join(folder, 'student.pth');
    const lines = execFileSync(
      process.execPath,
      [
        ...[path.join(root, 'scripts/distill.js'), 'train', hymenoptera, '--json'],
        ...['--teacher', teacher, '--student', student, '--epochs', '5', '--seed', '3'],
        ...['--mean', preprocessing.mean.join(), '--std', preprocessing.std.join()],
      ],
      { encoding: 'utf8' },
    );
    const events = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const epochs = events.filter((event) => event.event === 'epoch');
    expect(epochs).toHaveLength(5);
    const best = events.filter((event) => event.event === 'best').at(-1);
    const theirs = ask<{
      accuracy: number;
      loss: number;
      paths: string[];
      probabilities: number[][];
    }>('evaluate', { ...preprocessing, student, val: dataset.val.root });
    expect(theirs.accuracy).toBe(best.valAccuracy);
    expect(Math.abs(theirs.loss - best.valLoss)).toBeLessThan(1e-5);

    // And `predict` says the same of every validation picture.
    let seen = 0;
    let largest = 0;
    for await (const prediction of predict({ student, images: dataset.val.root })) {
      const row = theirs.probabilities[theirs.paths.indexOf(prediction.path ?? '')] as number[];
      expect(prediction.index, `${prediction.path}`).toBe(row.indexOf(Math.max(...row)));
      largest = Math.max(largest, Math.abs(prediction.probability - (row[prediction.index] ?? 0)));
      seen += 1;
    }
    console.log(`accuracy ${theirs.accuracy} in both; probabilities differ by ${largest}`);
    expect(seen).toBe(theirs.paths.length);
    expect(largest).toBeLessThan(1e-3);
  });
});
