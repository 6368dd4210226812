import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { compare, distill, inspect, sweep, teach } from '../../../lib/index.js';
import { classWeightsOf } from '../../../lib/training/class-weights.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

// Weights of classes in the loss, through the calls. test/parity/ compares the losses with PyTorch's.

const folder = temporaryFolder();
let given: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  given = await smallRun(folder);
});

let count = 0;
const options = () => ({ ...given, student: path.join(folder, `out/${count++}.pth`) });

test('balanced ones are those of scikit-learn', () => {
  // compute_class_weight('balanced', classes=[0, 1, 2], y=[0] * 5 + [1] * 6 + [2])
  const weights = classWeightsOf('balanced', [5, 6, 1]);
  expect(weights?.map((weight) => weight.toFixed(8))).toEqual([
    '0.80000000',
    '0.66666667',
    '4.00000000',
  ]);
});

test('a list is taken as it is, and by default there are none', () => {
  expect(classWeightsOf([1, 2.5], [5, 6])).toEqual([1, 2.5]);
  expect(classWeightsOf(undefined, [5, 6])).toBeNull();
});

test('distill() trains with balanced ones as with the list of the same, also from a kept store', async () => {
  const cacheDir = path.join(folder, 'cache');
  const plain = await distill(options());
  const listed = await distill({ ...options(), classWeights: [11 / 10, 11 / 12] });
  const balanced = { ...options(), classWeights: 'balanced', cacheDir } as const;
  for (let i = 0; i < 2; i++) {
    const { last } = await distill(balanced);
    expect(last?.trainLoss).toBe(listed.last?.trainLoss);
    expect(last?.trainLoss).not.toBe(plain.last?.trainLoss);
  }
});

test('they are recorded with the model, and nothing is without them', async () => {
  const recorded = async (file: string) => (await inspect(file)).metadata?.options;
  const { student } = await distill(options());
  expect(await recorded(student)).not.toHaveProperty('classWeights');
  const weighted = await distill({ ...options(), classWeights: [1, 2.5] });
  expect(await recorded(weighted.student)).toHaveProperty('classWeights', [1, 2.5]);
  const { teacher } = await teach({
    dataset: given.dataset,
    imageSize: 32,
    epochs: 1,
    batchSize: 4,
    seed: 1,
    device: 'cpu',
    threads: 1,
    teacher: path.join(folder, 'out/teacher.pth'),
    classWeights: 'balanced',
  });
  expect(await recorded(teacher)).toHaveProperty('classWeights', 'balanced');
});

test('sweep() and compare() say which they trained with', async () => {
  const { student: _, seed: __, ...trials } = { ...options(), epochs: 1, seeds: [1] };
  const weighted = { ...trials, classWeights: [1, 2.5] };
  expect((await sweep(weighted)).options).toHaveProperty('classWeights', [1, 2.5]);
  expect((await compare(weighted)).options).toHaveProperty('classWeights', [1, 2.5]);
  expect(JSON.stringify((await sweep(trials)).options)).not.toContain('classWeights');
});

test('a list that is not one for each class is refused with the names of the classes', async () => {
  const refusal = {
    code: 'ERR_OPTION',
    message:
      'Expected a weight for each of the 2 classes ("ants", "bees", in this order) in `classWeights` but received 3.',
  };
  const classWeights = [1, 2, 3];
  expect(await refusalOf(distill({ ...options(), classWeights }))).toMatchObject(refusal);
  const teacher = path.join(folder, 'out/none.pth');
  const { dataset } = given;
  expect(await refusalOf(teach({ teacher, dataset, classWeights }))).toMatchObject(refusal);
});
