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

// Trainings of a student on classes of unequal size, step by step, against PyTorch's.

const judge = fileURLToPath(new URL('judge/training.py', import.meta.url));
const shared = fileURLToPath(new URL('../../../shared', import.meta.url));
const teacher = path.join(shared, 'teachers/hymenoptera-densenet121.pth');
const given = { imageSize: 64, mean, std };
const common = { epochs: 2, batchSize: 4, lr: 1e-4, temperature: 2, alpha: 0.7 };
const classes = 2;

describe.runIf(python && existsSync(teacher))(
  'the losses of 50 steps, within 1e-3 relative',
  () => {
    const student = path.join(temporaryFolder(), 'initial.pth');
    let session: NativeSession;
    /** 70 ants and 30 bees, of which a batch of four has none to two. */
    let samples: { path: string; label: number }[];

    beforeAll(async () => {
      await writeStudent(student);
      const folder = await scanFolder(path.join(shared, 'data/hymenoptera/train'));
      const of = [0, 1].map((label) => folder.samples.filter((sample) => sample.label === label));
      samples = Array.from(
        { length: 100 },
        (_, i) =>
          (of[(i * i * 7 + i) % 10 < 3 ? 1 : 0] as typeof samples).shift() as (typeof samples)[0],
      );
      session = await openStore(samples);
    });
    afterAll(() => session?.close());

    /** Opens a session whose store has these pictures to train on, and the first of them to validate. */
    async function openStore(train: typeof samples): Promise<NativeSession> {
      const opened = new (loadAddon().Session)({
        ...given,
        device: 'cpu',
        precision: 'fp32',
        threads: 0,
      });
      await opened.open();
      await opened.loadTeacher(teacher);
      await opened.createStore(
        storeOf({ imageSize: 64, classes, trainCapacity: train.length, valCapacity: 4 }),
      );
      for (const [split, some] of [
        ['train', train],
        ['val', samples.slice(0, 4)],
      ] as const) {
        const paths = some.map((sample) => sample.path);
        for await (const { pixels, indices } of decodeBatches(paths, {
          preprocessing: centerCropOf(64),
          batchSize: 16,
        })) {
          const labels = indices.map((i) => some[i]?.label ?? 0);
          await opened.append(batchOf({ split, pixels, labels, sources: indices }));
        }
      }
      await opened.sealStore();
      return opened;
    }

    async function lossesOf(
      of: NativeSession,
      more: Partial<NativeTrainConfig>,
    ): Promise<number[]> {
      const losses: number[] = [];
      const config = trainConfigOf({
        ...common,
        dropRate: 0,
        shuffle: false,
        earlyStop: false,
        initialStudent: student,
        ...more,
      });
      await of.train(config, ({ stepLosses }) => losses.push(...stepLosses));
      return losses;
    }

    /** Expects PyTorch's losses of each training, by its name. */
    function expectLosses(
      name: string,
      ours: readonly number[],
      theirs: readonly number[] | undefined,
    ): void {
      expect(ours).toHaveLength(50);
      const gaps = ours.map((loss, i) => Math.abs(loss - (theirs?.[i] ?? NaN)) / loss);
      console.log(`${name}: losses differ by ${Math.max(...gaps)} relative`);
      expect(Math.max(...gaps), name).toBeLessThan(1e-3);
    }

    test('with class weights', async () => {
      const perClass = [0, 1].map((label) => samples.filter((one) => one.label === label).length);
      const trainings = [
        { classWeights: null },
        { classWeights: [0.25, 3] },
        { classWeights: 'balanced' as const },
      ];
      const theirs = runPython([judge], {
        ...given,
        ...common,
        teacher,
        student,
        paths: samples.map((sample) => sample.path),
        labels: samples.map((sample) => sample.label),
        trainings,
      }) as number[][];
      const first: number[] = [];
      for (const [i, { classWeights }] of trainings.entries()) {
        const weights = classWeightsOf(classWeights ?? undefined, perClass);
        const ours = await lossesOf(session, { classWeights: weights });
        expectLosses(`class weights ${classWeights}`, ours, theirs[i]);
        first.push(ours[0] as number);
      }
      expect(new Set(first).size).toBe(trainings.length);
    });
  },
);
