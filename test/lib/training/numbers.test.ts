import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { scanDataset } from '../../../lib/data/dataset.js';
import { decodeBatches } from '../../../lib/data/decode.js';
import { type DistillOptions, distill, inspect, predict } from '../../../lib/index.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { batchOf, storeOf, trainConfigOf } from '../../helpers/contract.js';
import { smallRun, temporaryFolder, writeStudent } from '../../helpers/dataset.js';
import { epochsOf } from '../../helpers/distill.js';
import { numbersOf } from '../../helpers/results.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

let count = 0;
/** Options for a run with a student's file of its own. */
function options<More extends Partial<DistillOptions>>(more: More = {} as More) {
  return { ...base, student: path.join(folder, 'out', `${count++}.pth`), ...more };
}

describe('numbers', () => {
  test('are the same with the same seed, and others with another', async () => {
    const first = await epochsOf(options({ seed: 7 }));
    expect(await epochsOf(options({ seed: 7 }))).toEqual(first);
    const other = await epochsOf(options({ seed: 8 }));
    expect(other[0]?.trainLoss).not.toBe(first[0]?.trainLoss);
  });

  test('of a drawn seed are repeated by the seed that is reported', async () => {
    const { seed: _, ...unseeded } = options();
    const { seed, last } = await distill(unseeded);
    const again = await distill(options({ seed }));
    expect(numbersOf(again.last)).toEqual(numbersOf(last));
  });

  test('of runs at the same time are those of each alone', async () => {
    const seeds = [11, 12];
    const alone = [];
    for (const seed of seeds) alone.push(await epochsOf(options({ seed, epochs: 4 })));
    const together = await Promise.all(seeds.map((seed) => epochsOf(options({ seed, epochs: 4 }))));
    expect(together).toEqual(alone);
  });

  test('of an initial student go on from its weights, whatever the seed', async () => {
    const initialStudent = await writeStudent(path.join(folder, 'initial.pth'), { seed: 5 });
    // Nothing else is drawn: neither order nor dropout.
    const fixed = { initialStudent, shuffle: false, dropRate: 0 };
    const first = await epochsOf(options({ ...fixed, seed: 1 }));
    expect(await epochsOf(options({ ...fixed, seed: 2 }))).toEqual(first);
    const fresh = await epochsOf(options({ shuffle: false, dropRate: 0, seed: 2 }));
    expect(fresh).not.toEqual(first);
  });

  test('of a fresh student are those of the weights that its seed draws', async () => {
    const initialStudent = await writeStudent(path.join(folder, 'seeded.pth'), { seed: 21 });
    const fixed = { shuffle: false, dropRate: 0, seed: 21 };
    // An initial student is judged first, and saved is what beats it.
    const learnt = async (given: DistillOptions) =>
      (await epochsOf(given)).map((epoch) => ({ ...epoch, saved: null }));
    expect(await learnt(options(fixed))).toEqual(
      await learnt(options({ ...fixed, initialStudent })),
    );
  });

  test('follow the schedule', async () => {
    // A warm-up of the only step, over which the rate grows in a straight line, takes it at half the rate.
    const oneStep = { epochs: 1, batchSize: 11, dropRate: 0 };
    const half = await epochsOf(options({ ...oneStep, lr: 1e-3 }));
    const warming = { ...oneStep, lr: 2e-3, schedule: 'cosine', warmup: 1 } as const;
    expect(await epochsOf(options(warming))).toEqual(half);
    expect(await epochsOf(options({ ...warming, warmup: 0 }))).not.toEqual(half);
    // One cycle begins at a 25th; its beta1 does not matter to the first step.
    const cycle = { ...oneStep, epochs: 10, lr: 2.5e-2, schedule: 'one-cycle' } as const;
    const [first] = await epochsOf(options(cycle));
    expect(first?.valLoss).toBeCloseTo(half[0]?.valLoss ?? 0, 5);
  });

  test('weigh each batch by its size, also the smaller last one', async () => {
    const given = options({ epochs: 1, batchSize: 4, dropRate: 0, shuffle: false });
    const [epoch] = await epochsOf(given);

    // The same epoch step by step, on the session itself: 11 pictures are batches of 4, 4 and 3.
    const { mean, std, imageSize } = given;
    const addon = loadAddon();
    const session = new addon.Session({
      mean,
      std,
      imageSize,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await session.open();
    await session.loadTeacher(given.teacher, false);
    const dataset = await scanDataset({
      train: path.join(given.dataset, 'train'),
      val: path.join(given.dataset, 'val'),
    });
    await session.createStore(
      storeOf({
        imageSize,
        classes: 2,
        trainCapacity: 11,
        valCapacity: 7,
        place: 'memory',
        folder: '',
        fingerprint: '',
      }),
    );
    for (const split of ['train', 'val'] as const) {
      const { samples } = dataset[split];
      const paths = samples.map((sample) => sample.path);
      for await (const batch of decodeBatches(paths, {
        preprocessing: centerCropOf(imageSize),
        batchSize: 16,
      })) {
        const labels = batch.indices.map((i) => samples[i]?.label ?? -1);
        await session.append(
          batchOf({ split, pixels: batch.pixels, labels, sources: batch.indices }),
        );
      }
    }
    await session.sealStore();
    let steps: ArrayLike<number> = [];
    await session.train(
      trainConfigOf({
        epochs: 1,
        lr: 1e-4,
        dropRate: 0,
        temperature: 2,
        alpha: 0.7,
        batchSize: 4,
        sampler: 'sequential',
        seed: 1,
        initialStudent: '',
        metadata: '{}',
        files: [path.join(folder, 'out/steps.pth')],
      }),
      ({ stepLosses }) => {
        steps = stepLosses;
      },
    );
    await session.close();

    expect(steps).toHaveLength(3);
    const [a = 0, b = 0, c = 0] = Array.from(steps);
    expect(epoch?.trainLoss).toBeCloseTo((4 * a + 4 * b + 3 * c) / 11, 12);
    // The batches differ, or any weights would do.
    expect(Math.abs(c - (a + b) / 2)).toBeGreaterThan(1e-3);

    // Validation, by what the saved student predicts.
    const val = path.join(given.dataset, 'val');
    let right = 0;
    let loss = 0;
    for await (const { path: file, label, top } of predict({
      student: given.student,
      images: val,
      device: 'cpu',
    })) {
      const truth = path.basename(path.dirname(file as string));
      if (label === truth) right += 1;
      loss -= Math.log(top.find((candidate) => candidate.label === truth)?.probability ?? 0);
    }
    expect(epoch?.valAccuracy).toBe(right / 7);
    expect(epoch?.valLoss).toBeCloseTo(loss / 7, 5);
  });
});

describe('precision', () => {
  test('bf16 learns what fp32 learns, and is on record', async () => {
    const exact = await epochsOf(options({ epochs: 5 }));
    const given = options({ epochs: 5, precision: 'bf16' });
    const epochs = await epochsOf(given);
    for (const [i, { trainLoss, valLoss }] of epochs.entries()) {
      expect(trainLoss / (exact[i]?.trainLoss ?? 0)).toBeCloseTo(1, 1);
      expect(valLoss / (exact[i]?.valLoss ?? 0)).toBeCloseTo(1, 1);
    }
    expect(epochs).not.toEqual(exact);
    const { metadata, tensors } = await inspect(given.student);
    expect(metadata?.options).toMatchObject({ precision: 'bf16' });
    // Parameters and statistics stay float32.
    expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['float32', 'int64']));
  });

  test('auto becomes one of the others, and says which', async () => {
    const result = await distill(options({ precision: 'auto' }));
    expect(['fp32', 'bf16']).toContain(result.precision);
    const asked = await epochsOf(options({ precision: result.precision }));
    expect(numbersOf(result.last)).toEqual(asked.at(-1));
  });

  test('bf16 answers as fp32 does but for rounding', async () => {
    const { student, dataset, mean, std, imageSize, device, threads } = base;
    await writeStudent(student);
    const given = { student, mean, std, imageSize, device, threads };
    const answers = async (precision: 'fp32' | 'bf16') => {
      const probabilities = [];
      const images = path.join(dataset, 'val');
      const labels = ['ants', 'bees'];
      for await (const one of predict({ ...given, images, labels, precision })) {
        probabilities.push(one.top.find(({ index }) => index === 0)?.probability);
      }
      return probabilities;
    };
    const [exact, rounded] = [await answers('fp32'), await answers('bf16')];
    expect(rounded).not.toEqual(exact);
    for (const [i, probability] of rounded.entries()) {
      expect(probability).toBeCloseTo(exact[i] ?? 0, 2);
    }
  });
});
