// A GPU's numbers, compared with the CPU's in float32. The tolerances are relative to the size of what is
// compared. A product keeps 10 bits behind the point in TF32 (a rounding error of 2^-11, 5e-4) and 7 in bfloat16 (2^-8,
// 4e-3), and losses of later steps drift apart, as each step's differences go into the weights: with products rounded to
// TF32 on a CPU these losses of a DenseNet were 0.013 apart. The CPU's own bfloat16 has to stay within the tolerances, too.
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { distill, doctor, inspect, predict, teach } from '../../lib/index.js';
import type { NativeEpoch, NativeSession } from '../../lib/native.js';
import { batchOf, storeOf, teachConfigOf, trainConfigOf } from '../helpers/contract.js';
import { mean, smallRun, std, temporaryFolder } from '../helpers/dataset.js';

type Precision = 'fp32' | 'bf16';
const tolerances = {
  fp32: { logits: 5e-3, firstLoss: 2e-3, laterLoss: 3e-2, probability: 5e-3 },
  bf16: { logits: 5e-2, firstLoss: 2e-2, laterLoss: 1e-1, probability: 5e-2 },
};

/** The side of the pictures, in pixels. */
const size = 64;
const count = 40;
/** The pixels of `count` pictures, the same in every run. */
const pixels = noise(count * size * size * 3);

const gpu = await findGpu();
if (!gpu) console.warn('Skipping the tests on a GPU: LibTorch finds none.');

const precisions: Precision[] = ['fp32', 'bf16'];
const compared: { device: string; precision: Precision }[] = [
  { device: 'cpu', precision: 'bf16' },
  ...(gpu ? precisions.map((precision) => ({ device: gpu, precision })) : []),
];

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

/** The first GPU, where LibTorch can use one. */
async function findGpu(): Promise<string | null> {
  const session = new (loadAddon().Session)(execution('auto', 'fp32'));
  const { device } = await session.open();
  await session.close();
  return device === 'cpu' ? null : device;
}

function execution(device: string, precision: Precision) {
  return { imageSize: size, mean, std, threads: 1, device, precision };
}

function noise(length: number): Uint8Array {
  let state = 1;
  return new Uint8Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** The largest difference, relative to the largest value. */
function gap(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  const values = Array.from(expected);
  const largest = Math.max(...values.map(Math.abs));
  return Math.max(...values.map((value, i) => Math.abs(value - (found[i] ?? NaN)))) / largest;
}

async function logitsOf(model: string, device: string, precision: Precision) {
  const classifier = new (loadAddon().Classifier)({
    averaged: false,
    ...execution(device, precision),
    model,
  });
  await classifier.load();
  const logits = await classifier.logits(pixels);
  await classifier.close();
  return logits;
}

/** Epochs of a training whose last batch is smaller: of 16, 16 and 8 pictures. */
async function epochsOf(
  device: string,
  precision: Precision,
  train: (session: NativeSession, onEpoch: (epoch: NativeEpoch) => void) => Promise<unknown>,
): Promise<NativeEpoch[]> {
  const session = new (loadAddon().Session)(execution(device, precision));
  await session.open();
  await session.loadTeacher(base.teacher, false);
  const store = { imageSize: size, classes: 2, trainCapacity: count, valCapacity: count };
  await session.createStore(
    storeOf({ ...store, folder, fingerprint: 'temporary', place: 'memory' }),
  );
  const sources = Int32Array.from({ length: count }, (_, i) => i);
  for (const split of ['train', 'val'] as const) {
    const labels = sources.map((i) => i % 2);
    await session.append(batchOf({ split, pixels, labels, sources, answered: true }));
  }
  await session.sealStore();
  const epochs: NativeEpoch[] = [];
  await train(session, (epoch) => epochs.push(epoch));
  await session.close();
  return epochs;
}

const config = {
  epochs: 4,
  lr: 1e-4,
  batchSize: 16,
  sampler: 'shuffle',
  seed: 1,
  metadata: '{}',
};
const trainings = {
  student: (session: NativeSession, onEpoch: (epoch: NativeEpoch) => void) =>
    session.train(
      trainConfigOf({
        ...config,
        dropRate: 0.2,
        temperature: 2,
        alpha: 0.7,
        initialStudent: '',
        agreement: true,
      }),
      onEpoch,
    ),
  teacher: (session: NativeSession, onEpoch: (epoch: NativeEpoch) => void) =>
    session.teach(
      teachConfigOf({
        ...config,
        schedule: 'one-cycle',
        optimizer: 'adamw',
        weightDecay: 0.01,
        architecture: 'densenet121',
        weights: base.teacher,
        keepHead: true,
        labelSmoothing: 0,
        freezeEpochs: 1,
        augment: { crop: 'random', minScale: 0.08, flip: true },
      }),
      onEpoch,
    ),
};

describe.each(compared)('on $device in $precision', ({ device, precision }) => {
  test('the teacher’s logits are those of the CPU in fp32', async () => {
    const expected = await logitsOf(base.teacher, 'cpu', 'fp32');
    const found = gap(await logitsOf(base.teacher, device, precision), expected);
    console.log(`teacher's logits on ${device} in ${precision} differ by ${found}`);
    expect(found).toBeLessThan(tolerances[precision].logits);
  });

  test.each(['student', 'teacher'] as const)('so are losses of training a %s', async (what) => {
    const expected = await epochsOf('cpu', 'fp32', trainings[what]);
    const found = await epochsOf(device, precision, trainings[what]);
    const tolerance = tolerances[precision];
    for (const [i, epoch] of found.entries()) {
      const like = expected[i] as NativeEpoch;
      const apart = gap(epoch.stepLosses, like.stepLosses);
      console.log(
        `a ${what}'s losses on ${device} in ${precision}, epoch ${i + 1}, differ by ${apart}`,
      );
      expect(apart).toBeLessThan(tolerance.laterLoss);
      expect(gap([epoch.valLoss], [like.valLoss])).toBeLessThan(tolerance.laterLoss);
    }
    const [first, like] = [found, expected].map((epochs) => epochs[0]?.stepLosses.slice(0, 1));
    expect(gap(first ?? [], like ?? [])).toBeLessThan(tolerance.firstLoss);
  });
});

describe.runIf(gpu)('on a GPU', () => {
  test('a student is trained, saved and asked', async () => {
    const result = await distill({ ...base, device: 'cuda', epochs: 5 });
    expect(result).toMatchObject({ device: gpu, stopReason: 'completed', epochs: 5 });
    expect(await inspect(result.student)).toMatchObject({ architecture: 'cnn', classes: 2 });

    const probabilities: Record<string, number[]> = {};
    for (const [device, precision] of [
      ['cpu', 'fp32'],
      ['cuda', 'fp32'],
      ['cuda', 'bf16'],
    ] as const) {
      const found: number[] = [];
      const options = { student: result.student, images: base.dataset, device, precision };
      for await (const { top } of predict(options)) {
        found.push(top.find(({ index }) => index === 0)?.probability ?? NaN);
      }
      probabilities[`${device} ${precision}`] = found;
    }
    for (const precision of precisions) {
      const found = probabilities[`cuda ${precision}`] ?? [];
      const apart = gap(found, probabilities['cpu fp32'] ?? []);
      expect(apart).toBeLessThan(tolerances[precision].probability);
    }
  });

  test('a teacher is trained, and what is written loads on the CPU', async () => {
    const { dataset } = base;
    const teacher = path.join(folder, 'out/taught.pth');
    const options = { dataset, teacher, imageSize: 32, epochs: 2, batchSize: 4, seed: 1 };
    expect(await teach({ ...options, device: 'cuda' })).toMatchObject({ device: gpu });
    const logits = await logitsOf(teacher, 'cpu', 'fp32');
    expect(logits).toHaveLength(2 * count);
    expect(logits.every(Number.isFinite)).toBe(true);
  });

  test('the doctor tells what memory a run takes there', async () => {
    const { findings } = await doctor({ ...base, device: gpu as string });
    const { status, message } = findings.find(({ check }) => check === 'gpu-memory') ?? {};
    expect(status).toBe('ok');
    expect(message).toMatch(/^A run takes about [1-9].+ of the .+ of cuda:0, and/);
  });

  test('a GPU that is not there is refused', async () => {
    const refused = distill({ ...base, device: 'cuda:63' });
    await expect(refused).rejects.toMatchObject({
      code: 'ERR_DEVICE',
      message: expect.stringMatching(/LibTorch sees \d+ GPU/),
    });
  });
});
