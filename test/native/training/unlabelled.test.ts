import path from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import type { NativeEpoch, NativeSession, NativeStore } from '../../../lib/native.js';
import { batchOf, storeOf, trainConfigOf } from '../../helpers/contract.js';
import { mean, std, temporaryFolder, writeStudent } from '../../helpers/dataset.js';
import { noise } from '../../helpers/teach.js';

// Training pictures whose label is -1. test/parity/ compares the losses with PyTorch's.

const imageSize = 32;
const pictures = 8;
const folder = temporaryFolder();
const student = path.join(folder, 'student.pth');
beforeAll(() => writeStudent(student));

const sessions: NativeSession[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) await session.close();
});

/** For the teacher every picture is of class 1, but the first two of class 0. */
const teacherLogits = Float32Array.from({ length: 2 * pictures }, (_, i) =>
  i % 2 === (i < 4 ? 0 : 1) ? 2 : 0,
);

async function openSession(): Promise<NativeSession> {
  const session = new (loadAddon().Session)({
    imageSize,
    mean,
    std,
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
  });
  sessions.push(session);
  await session.open();
  return session;
}

const store = (more: Partial<NativeStore> = {}) =>
  storeOf({ imageSize, classes: 2, trainCapacity: pictures, valCapacity: 2, ...more });

/** Opens a session whose store has pictures with these labels, and two to validate. */
async function fill(
  labels: readonly number[],
  more: Partial<NativeStore> = {},
): Promise<NativeSession> {
  const session = await openSession();
  await session.createStore(store(more));
  for (const split of ['train', 'val'] as const) {
    const given = Int32Array.from(split === 'train' ? labels : [0, 1]);
    await session.append(
      batchOf({
        split,
        pixels: noise(given.length, imageSize),
        labels: given,
        sources: given.map((_, i) => i),
        teacherLogits: split === 'train' ? teacherLogits : null,
      }),
    );
  }
  await session.sealStore();
  return session;
}

/** The report of an epoch that changes nothing. */
async function epochOf(session: NativeSession, alpha = 0.7): Promise<NativeEpoch> {
  const still = { lr: 1e-30, dropRate: 0, initialStudent: student, sampler: 'sequential' };
  const config = trainConfigOf({ ...still, alpha, batchSize: pictures });
  let report: NativeEpoch | undefined;
  await session.train(config, (epoch) => {
    report = epoch;
  });
  return report as NativeEpoch;
}

const known = [0, 1, 1, 1];
const none = [-1, -1, -1, -1];

test('training accuracy is that of the labelled pictures', async () => {
  const all = await epochOf(await fill([...known, ...known]));
  const first = await epochOf(await fill([...known, ...none]));
  const second = await epochOf(await fill([...none, ...known]));
  expect(all.trainAccuracy).toBe((first.trainAccuracy + second.trainAccuracy) / 2);
  expect(first.trainAccuracy + second.trainAccuracy).toBeGreaterThan(0);
});

test('the teacher is scored on the labelled pictures', async () => {
  const session = await fill([0, 1, -1, -1, 1, 1, 0, -1]);
  const { accuracy, commonest, share, loss } = await session.validateTeacher('train');
  // It is right for the first and for both in the middle, out of five of which three are of class 1.
  expect({ accuracy, commonest, share }).toEqual({ accuracy: 3 / 5, commonest: 1, share: 3 / 5 });
  const right = Math.log1p(Math.exp(-2));
  expect(loss).toBeCloseTo((3 * right + 2 * (right + 2)) / 5, 6);
});

test('they are left out where the teacher has no weight', async () => {
  const session = await fill([...known, ...none]);
  const { stepLosses, trainAccuracy } = await epochOf(session, 0);
  expect(stepLosses).toHaveLength(1);
  const alone = await openSession();
  await alone.createStore(store({ trainCapacity: 4 }));
  for (const split of ['train', 'val'] as const) {
    const labels = Int32Array.from(split === 'train' ? known : [0, 1]);
    const pixels = noise(labels.length, imageSize);
    const sources = labels.map((_, i) => i);
    const logits = split === 'train' ? teacherLogits.slice(0, 8) : null;
    await alone.append(batchOf({ split, pixels, labels, sources, teacherLogits: logits }));
  }
  await alone.sealStore();
  expect(await epochOf(alone, 0)).toMatchObject({ stepLosses, trainAccuracy });
});

test('they are kept with a store, and known again', async () => {
  const kept = { folder, fingerprint: 'a'.repeat(64), kept: true };
  const labels = [0, 1, -1, -1, 1, 1, 0, -1];
  const { trainLoss } = await epochOf(await fill(labels, kept));
  const session = await openSession();
  const held = await session.reopenStore(store(kept));
  expect(held?.train).toHaveLength(pictures);
  expect((await epochOf(session)).trainLoss).toBe(trainLoss);
});

test.each([
  ['train', 2],
  ['train', -2],
  ['val', -1],
  ['val', 2],
] as const)('a picture of %s is refused with the label %d', async (split, label) => {
  const session = await openSession();
  await session.createStore(store());
  const given = {
    split,
    pixels: noise(1, imageSize),
    labels: Int32Array.of(label),
    sources: Int32Array.of(0),
    answered: false,
  };
  await expect(session.append(batchOf(given))).rejects.toMatchObject({
    code: 'ERR_INTERNAL',
    message: expect.stringContaining(`the label ${label} is none of the 2 classes`),
  });
});
