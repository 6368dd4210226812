import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { compare, distill, sweep } from '../../../lib/index.js';
import { smallRun, temporaryFolder, writePicture } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

// Students that learn from pictures without a class as well. test/parity/ compares their losses with PyTorch's.

const folder = temporaryFolder();
const unlabeled = path.join(folder, 'more');
let given: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  given = await smallRun(folder);
  mkdirSync(unlabeled);
  for (let i = 0; i < 9; i++) await writePicture(path.join(unlabeled, `${i}.png`), 100 + i);
});

let count = 0;
const options = () => ({ ...given, student: path.join(folder, `out/${count++}.pth`), unlabeled });

test('they are trained on, beside the weights of classes and a balanced sampler', async () => {
  const { unlabeled: _, ...without } = options();
  const labelled = await distill(without);
  const all = await distill(options());
  expect(all.images).toEqual({ train: labelled.images.train + 9, val: labelled.images.val });
  expect(all.last?.trainLoss).not.toBe(labelled.last?.trainLoss);
  for (const more of [{ classWeights: 'balanced' }, { sampler: 'balanced' }] as const) {
    const { last } = await distill({ ...options(), ...more });
    expect(last?.trainLoss).not.toBe(all.last?.trainLoss);
    expect(last?.trainAccuracy).toBeLessThanOrEqual(1);
  }
});

test('a kept store has them, too', async () => {
  const cacheDir = path.join(folder, 'cache');
  const first = await distill({ ...options(), cacheDir, classWeights: 'balanced' });
  const again = await distill({ ...options(), cacheDir, classWeights: 'balanced' });
  expect(again.store).toBe(first.store);
  expect(again.images).toEqual(first.images);
  expect(again.last?.trainLoss).toBe(first.last?.trainLoss);
});

test('compare() shows them to the students with a teacher alone', async () => {
  const { student: _, seed: __, unlabeled, ...trials } = { ...options(), epochs: 1, seeds: [1] };
  const without = await compare(trials);
  const all = await compare({ ...trials, unlabeled });
  const lossesOf = ({ trials }: typeof all.withTeacher) =>
    trials.map((trial) => (trial.stopReason === 'not-finite' ? null : trial.last?.trainLoss));
  expect(lossesOf(all.withoutTeacher)).toEqual(lossesOf(without.withoutTeacher));
  expect(lossesOf(all.withTeacher)).not.toEqual(lossesOf(without.withTeacher));
});

test('they are refused where the teacher has no weight', async () => {
  const refusal = {
    code: 'ERR_DATASET_UNLABELED',
    message: `'${path.join(unlabeled, '0.png')}' has no class, which students learn by where \`alpha\` is 0; give it one, or leave it out.`,
  };
  expect(await refusalOf(distill({ ...options(), alpha: 0 }))).toMatchObject(refusal);
  const { student: _, seed: __, ...trials } = options();
  expect(await refusalOf(sweep({ ...trials, alpha: [0.5, 0] }))).toMatchObject(refusal);
});
