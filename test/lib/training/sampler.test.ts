import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { compare, distill, inspect, sweep, teach } from '../../../lib/index.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

// The pictures of an epoch, through the calls. test/parity/ compares their order with PyTorch's.

const folder = temporaryFolder();
let given: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  given = await smallRun(folder);
});

let count = 0;
const options = () => ({ ...given, student: path.join(folder, `out/${count++}.pth`) });
const balanced = { sampler: 'balanced' } as const;
const recorded = async (file: string) => (await inspect(file)).metadata?.options;

test('a balanced one is repeatable by its seed, and recorded with the student', async () => {
  const shuffled = await distill(options());
  const first = await distill({ ...options(), ...balanced });
  const again = await distill({ ...options(), ...balanced });
  const other = await distill({ ...options(), ...balanced, seed: 2 });
  expect(again.last?.trainLoss).toBe(first.last?.trainLoss);
  expect(first.last?.trainLoss).not.toBe(shuffled.last?.trainLoss);
  expect(first.last?.trainLoss).not.toBe(other.last?.trainLoss);
  expect(await recorded(first.student)).toHaveProperty('sampler', 'balanced');
  expect(await recorded(shuffled.student)).not.toHaveProperty('sampler');
});

test('it goes with views', async () => {
  const { epochs } = await distill({ ...options(), ...balanced, views: 2, epochs: 3 });
  expect(epochs).toBe(3);
});

test('it goes with teach(), sweep() and compare()', async () => {
  const { dataset, imageSize, device, threads } = given;
  const common = { dataset, imageSize, device, threads, epochs: 1, ...balanced };
  const teacher = path.join(folder, 'out/teacher.pth');
  await teach({ ...common, teacher, batchSize: 4 });
  expect(await recorded(teacher)).toHaveProperty('sampler', 'balanced');
  const trials = { ...common, teacher, seeds: 1 };
  expect((await sweep(trials)).options).toHaveProperty('sampler', 'balanced');
  expect((await compare(trials)).options).toHaveProperty('sampler', 'balanced');
});

test('it is refused where the pictures are to be shown in their order', async () => {
  const refusal = {
    code: 'ERR_OPTION',
    message: expect.stringMatching(/`sampler` 'balanced' .* `shuffle` false/),
  };
  const both = { ...balanced, shuffle: false };
  expect(await refusalOf(distill({ ...options(), ...both }))).toMatchObject(refusal);
  const teacher = path.join(folder, 'out/none.pth');
  const { dataset } = given;
  expect(await refusalOf(teach({ teacher, dataset, ...both }))).toMatchObject(refusal);
});
