import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { scanFolder } from '../../lib/data/dataset.js';
import { decodeBatches } from '../../lib/data/decode.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import type { NativeSession, NativeTrainConfig } from '../../lib/native.js';
import { classWeightsOf } from '../../lib/training/class-weights.js';
import { batchOf, storeOf, trainConfigOf } from '../helpers/contract.js';
import { mean, std, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';
import { noise } from '../helpers/teach.js';

// Trainings of a student on classes of unequal size, and on pictures without a label, against PyTorch's.

const judge = fileURLToPath(new URL('judge/training.py', import.meta.url));
const shared = fileURLToPath(new URL('../../../shared', import.meta.url));
const teacher = path.join(shared, 'teachers/hymenoptera-densenet121.pth');
const student = path.join(temporaryFolder(), 'initial.pth');
beforeAll(() => writeStudent(student));

/** A training of a student, in the words of the judge. */
interface Training {
  labels: number[];
  classWeights: 'balanced' | number[] | null;
  sampler: 'sequential' | 'balanced';
  seed: number;
  alpha: number;
}

async function openSession(imageSize: number): Promise<NativeSession> {
  const session = new (loadAddon().Session)({
    imageSize,
    mean,
    std,
    device: 'cpu',
    precision: 'fp32',
    threads: 0,
  });
  await session.open();
  return session;
}

/** Returns the losses of all steps. */
async function lossesOf(
  session: NativeSession,
  more: Partial<NativeTrainConfig>,
): Promise<number[]> {
  const losses: number[] = [];
  const config = trainConfigOf({ dropRate: 0, earlyStop: false, initialStudent: student, ...more });
  await session.train(config, ({ stepLosses }) => losses.push(...stepLosses));
  return losses;
}

describe.runIf(python && existsSync(teacher))('the losses of 50 steps', () => {
  const imageSize = 64;
  const common = { epochs: 2, batchSize: 4, lr: 5e-5, temperature: 2 };
  const plain = { classWeights: null, sampler: 'sequential', seed: 11, alpha: 0.7 } as const;
  /** 70 ants and 30 bees, of which a batch of four has none to two. */
  const labels = Array.from({ length: 100 }, (_, i) => ([1, 4, 5].includes(i % 10) ? 1 : 0));
  /** Two of five have none, and the sixth batch has none at all. */
  const some = labels.map((label, i) => (i % 5 < 2 || Math.floor(i / 4) === 5 ? -1 : label));
  const trainings: Record<string, Training> = {
    'as they are': { ...plain, labels },
    'listed class weights': { ...plain, labels, classWeights: [0.25, 3] },
    'balanced class weights': { ...plain, labels, classWeights: 'balanced' },
    'balanced sampler': { ...plain, labels, sampler: 'balanced' },
    'without some labels': { ...plain, labels: some },
    'without some labels, balanced class weights': {
      ...plain,
      labels: some,
      classWeights: 'balanced',
    },
    'without some labels, balanced sampler': { ...plain, labels: some, sampler: 'balanced' },
    'without some labels, no teacher': { ...plain, labels: some, alpha: 0 },
  };
  const sessions = new Map<readonly number[], NativeSession>();
  let theirs: Record<string, number[]>;

  beforeAll(async () => {
    const folder = await scanFolder(path.join(shared, 'data/hymenoptera/train'));
    const of = [0, 1].map((label) => folder.samples.filter((sample) => sample.label === label));
    const paths = labels.map((label) => of[label]?.shift()?.path as string);
    for (const given of [labels, some]) sessions.set(given, await fill(paths, given));
    const question = {
      ...common,
      imageSize,
      mean,
      std,
      teacher,
      student,
      paths,
      trainings: Object.values(trainings),
    };
    const answers = runPython([judge, 'steps'], question) as number[][];
    theirs = Object.fromEntries(Object.keys(trainings).map((name, i) => [name, answers[i] ?? []]));
  });
  afterAll(async () => {
    for (const session of sessions.values()) await session.close();
  });

  /** Opens a session whose store has these pictures to train on, and the first of them to validate. */
  async function fill(paths: string[], given: readonly number[]): Promise<NativeSession> {
    const session = await openSession(imageSize);
    await session.loadTeacher(teacher, false);
    await session.createStore(
      storeOf({ imageSize, classes: 2, trainCapacity: paths.length, valCapacity: 4 }),
    );
    const splits = { train: { paths, given }, val: { paths: paths.slice(0, 4), given: labels } };
    for (const split of ['train', 'val'] as const) {
      const { paths, given } = splits[split];
      const batches = decodeBatches(paths, {
        preprocessing: centerCropOf(imageSize),
        batchSize: 20,
      });
      for await (const { pixels, indices } of batches) {
        const batchLabels = indices.map((i) => given[i] as number);
        await session.append(batchOf({ split, pixels, labels: batchLabels, sources: indices }));
      }
    }
    await session.sealStore();
    return session;
  }

  test.each(Object.entries(trainings))('%s, within 1e-3 relative', async (name, training) => {
    const { labels, classWeights, sampler, seed, alpha } = training;
    const perClass = [0, 1].map((label) => labels.filter((one) => one === label).length);
    const ours = await lossesOf(sessions.get(labels) as NativeSession, {
      ...common,
      alpha,
      sampler,
      seed,
      classWeights: classWeightsOf(classWeights ?? undefined, perClass),
    });
    expect(ours).toHaveLength(theirs[name]?.length ?? 0);
    const gaps = ours.map((loss, i) => Math.abs(loss - (theirs[name]?.[i] ?? 0)) / loss);
    console.log(`${name}: losses differ by ${Math.max(...gaps)} relative`);
    expect(Math.max(...gaps)).toBeLessThan(1e-3);
    // Each training is another one.
    const first = (losses?: number[]) => losses?.slice(0, 3).join();
    expect(new Set(Object.values(theirs).map(first)).size).toBe(Object.keys(trainings).length);
  });
});

describe.skipIf(!python)('the balanced sampler', () => {
  test.each([
    { pictures: 40, unlabelled: 0 },
    { pictures: 40, unlabelled: 9 },
  ])("draws PyTorch's order: %o", async ({ pictures, unlabelled }) => {
    const imageSize = 32;
    const epochs = 3;
    const seed = 7;
    const labels = Int32Array.from({ length: pictures }, (_, i) => (i % 8 === 0 ? 1 : 0));
    labels.fill(-1, pictures - unlabelled);
    const session = await openSession(imageSize);
    await session.createStore(
      storeOf({ imageSize, classes: 2, trainCapacity: pictures, valCapacity: 1 }),
    );
    await session.append(
      batchOf({
        split: 'train',
        pixels: noise(pictures, imageSize),
        labels,
        sources: labels.map((_, i) => i),
        teacherLogits: Float32Array.from({ length: 2 * pictures }, (_, i) => Math.sin(i)),
      }),
    );
    await session.append(
      batchOf({
        split: 'val',
        pixels: noise(1, imageSize),
        labels: Int32Array.of(0),
        sources: Int32Array.of(0),
      }),
    );
    await session.sealStore();
    // Steps of one picture that change nothing: a loss tells which picture it is of.
    const still = { epochs, batchSize: 1, lr: 1e-30, seed };
    const listed = await lossesOf(session, { ...still, epochs: 1, sampler: 'sequential' });
    expect(new Set(listed).size).toBe(pictures);
    const drawn = await lossesOf(session, { ...still, sampler: 'balanced' });
    await session.close();
    const ours = Array.from({ length: epochs }, (_, epoch) =>
      drawn.slice(epoch * pictures, (epoch + 1) * pictures).map((loss) => listed.indexOf(loss)),
    );
    const question = { labels: [...labels], seed, epochs };
    expect(ours).toEqual(runPython([judge, 'orders'], question));
  });
});
