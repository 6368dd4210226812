import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, loadJpegAddon } from '../../lib/addon.js';
import type { NativeEpoch, NativeSession } from '../../lib/native.js';
import { batchOf, storeOf, teachConfigOf, trainConfigOf } from '../helpers/contract.js';
import { mean, std, temporaryFolder, writeStudent } from '../helpers/dataset.js';

// Every way into the addon, given what TypeScript would never let pass: errors, and never the end of the process.

const folder = temporaryFolder();
let student: string;
beforeAll(async () => {
  student = await writeStudent(path.join(folder, 'student.pth'));
});

const execution = {
  imageSize: 32,
  mean,
  std,
  device: 'cpu',
  precision: 'fp32' as const,
  threads: 1,
};
const SIDE = 32 * 32 * 3;

/** An array whose memory has gone elsewhere. */
function detached<T extends Uint8Array | Int32Array>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
}
const trap = new Proxy({}, { get: () => expect.unreachable.bind(null), has: () => true });
const throwing = new Proxy(
  {},
  {
    get: () => {
      throw new RangeError('from a getter');
    },
  },
);
const nonsense: [string, unknown[]][] = [
  ['nothing', []],
  ...[undefined, null, 5, Number.NaN, '/dev/null/x', true, Symbol('s'), 10n, [], {}, () => {}].map(
    (value): [string, unknown[]] => [`${typeof value} ${String(value)}`, [value, value, value]],
  ),
  ['functions for everything', [trap, trap]],
  ['what throws', [throwing, throwing]],
  ['a detached array', [detached(new Uint8Array(SIDE)), detached(new Uint8Array(SIDE))]],
  ['floats', [new Float64Array(SIDE), new Float64Array(SIDE)]],
];

type Anything = Record<string, (...values: unknown[]) => Promise<unknown>>;

/** Calls it: what it throws or rejects with. */
async function errorOf(call: () => unknown): Promise<Error & { code?: string }> {
  try {
    await call();
  } catch (error) {
    return error as Error;
  }
  return expect.unreachable('was accepted');
}

describe.each(nonsense)('%s', (_, values) => {
  test('is refused by every function, whose promise rejects', async () => {
    const addon = loadAddon() as unknown as Anything;
    const names = Object.keys(addon).filter((name) => typeof addon[name] === 'function');
    expect(names.length).toBeGreaterThan(15);
    for (const name of names) {
      // Classes, and functions without arguments.
      if (/^[A-Z]|^(shutDown|machine|architectures)$/.test(name)) continue;
      const promise = addon[name]?.(...values);
      expect(promise, name).toBeInstanceOf(Promise);
      expect(await errorOf(() => promise), name).toBeInstanceOf(Error);
    }
    const jpeg = loadJpegAddon() as unknown as Anything | null;
    if (jpeg) expect(await errorOf(() => jpeg.readJpeg?.(...values))).toBeInstanceOf(Error);
  });

  test('is refused by classes and their methods', async () => {
    const { Session, Classifier } = loadAddon();
    for (const Class of [Session, Classifier]) {
      const Made = Class as unknown as new (...given: unknown[]) => object;
      expect(await errorOf(() => new Made(...values))).toBeInstanceOf(Error);
    }
    const session = new Session(execution) as unknown as Anything;
    for (const name of ['loadTeacher', 'createStore', 'reopenStore', 'append', 'train', 'teach']) {
      const promise = session[name]?.(...values);
      expect(promise, name).toBeInstanceOf(Promise);
      expect(await errorOf(() => promise), name).toBeInstanceOf(Error);
    }
    const model = new Classifier({
      ...execution,
      model: student,
      averaged: false,
    }) as unknown as Anything;
    for (const name of ['logits', 'probabilities']) {
      expect(await errorOf(() => model[name]?.(...values)), name).toBeInstanceOf(Error);
    }
  });
});

test('what a call is refused for has a code and names the value', async () => {
  const { Session, Classifier } = loadAddon();
  const made = (more: object) => () => new Session({ ...execution, ...more });
  const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  for (const imageSize of [0, -1, 1.5, 2 ** 31, 1e300]) {
    const error = await errorOf(made({ imageSize }));
    expect(error).toMatchObject({ ...range, message: expect.stringMatching(/^imageSize is not/) });
  }
  expect(await errorOf(made({ threads: -2 }))).toMatchObject(range);
  expect(await errorOf(made({ imageSize: Number.NaN }))).toMatchObject(range);
  expect(await errorOf(made({ imageSize: '32' }))).toMatchObject(type);
  expect(await errorOf(made({ mean: [0, 0, '0'] }))).toMatchObject(type);

  const append = (more: object) => () =>
    new Session(execution).append(
      batchOf({
        split: 'train',
        pixels: new Uint8Array(SIDE),
        labels: new Int32Array(1),
        sources: new Int32Array(1),
        ...more,
      }),
    );
  for (const wrong of [
    { size: 2 ** 40 },
    { size: -32 },
    { pixels: new Uint8Array(SIDE + 1) },
    { pixels: detached(new Uint8Array(SIDE)) },
    { labels: detached(new Int32Array(1)) },
    { labels: new Int32Array(1000) },
    { sources: new Int32Array(0) },
  ]) {
    expect(await errorOf(append(wrong))).toMatchObject(range);
  }
  // Read as numbers of four bytes each, these would end before the last of them.
  const labels = new Uint8Array(1) as unknown as Int32Array;
  expect(await errorOf(append({ labels }))).toMatchObject(type);

  const { prototype } = Classifier as unknown as { prototype: Anything };
  const foreign = await errorOf(() => prototype.load?.call(new Session(execution)));
  expect(foreign).toBeInstanceOf(TypeError);
  const { writeTensors } = loadAddon();
  const huge = { name: 'a', shape: [2 ** 32, 2 ** 32], data: new Float32Array(0) };
  const written = { path: path.join(folder, 'huge.safetensors'), tensors: [huge], metadata: '' };
  expect(await errorOf(() => writeTensors(written))).toMatchObject(range);
});

describe('a wrong field is refused by its name:', () => {
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const { Session, Classifier } = loadAddon();
  const store = { imageSize: 32, classes: 2, trainCapacity: 4, valCapacity: 4 };
  const pixels = new Uint8Array(SIDE);
  const images = { pixels, labels: new Int32Array(1), sources: new Int32Array(1) };
  const calls: Record<string, (more: object) => unknown> = {
    Session: (more) => new Session({ ...execution, ...more }),
    Classifier: (more) =>
      new Classifier({ ...execution, model: student, averaged: false, ...more }),
    createStore: (more) => new Session(execution).createStore({ ...storeOf(store), ...more }),
    reopenStore: (more) => new Session(execution).reopenStore({ ...storeOf(store), ...more }),
    append: (more) =>
      new Session(execution).append({ ...batchOf({ split: 'train', ...images }), ...more }),
    train: (more) => new Session(execution).train({ ...trainConfigOf({}), ...more }, () => {}),
    teach: (more) => new Session(execution).teach({ ...teachConfigOf({}), ...more }, () => {}),
    convert: (more) =>
      loadAddon().convert({
        from: student,
        to: `${student}.out`,
        format: 'pth',
        averaged: false,
        ...more,
      }),
  };
  const view = { crop: 'random', minScale: 0.08, flip: true };
  const refused: [string, string, unknown][] = [
    ['Session', 'device', 'gpu'],
    ['Session', 'device', 'cuda:first'],
    ['Session', 'precision', 'fp16'],
    ['Session', 'mean', [0.5, 0.5]],
    ['Session', 'std', [1, 1, 1, 1]],
    ['Session', 'model', student],
    ['Classifier', 'precision', undefined],
    ['createStore', 'place', 'disk'],
    ['createStore', 'view', ['crop', 'flip']],
    ['createStore', 'views', undefined],
    ['createStore', 'storeSize', 48],
    ['reopenStore', 'kept', undefined],
    ['append', 'split', 'test'],
    ['append', 'answered', undefined],
    ['append', 'teacherLogits', [1, 2]],
    ['append', 'teacherLogits', undefined],
    ['train', 'schedule', 'linear'],
    ['train', 'optimizer', 'sgd'],
    ['train', 'loss', 'mean'],
    ['train', 'keep', 'last'],
    ['train', 'keep', undefined],
    ['train', 'earlyStop', 1],
    ['train', 'augment', ['crop', 'flip']],
    ['train', 'augment', undefined],
    ['train', 'precision', 'fp32'],
    ['train', 'labelSmoothing', 0.1],
    ['train', 'metadata', '{"classes": [}'],
    ['train', 'metadata', '[]'],
    ['train', 'metadata', '{} {}'],
    ['teach', 'temperature', 2],
    ['teach', 'keepHead', 'yes'],
    ['teach', 'freezeEpochs', undefined],
    ['convert', 'format', 'onnx'],
    ['convert', 'overwrite', true],
  ];

  test.each(refused)('%s with %s %j', async (call, field, value) => {
    const error = await errorOf(() => calls[call]?.({ [field]: value }));
    expect(error).toMatchObject({
      ...type,
      message: expect.stringMatching(new RegExp(`^${field} is not `)),
    });
  });

  test.each([
    ['crop', 'left'],
    ['minScale', '0.08'],
    ['flip', undefined],
    ['ratio', 1],
  ])('an augmentation with %s %j', async (field, value) => {
    const augment = { ...view, [field]: value };
    const error = await errorOf(() => calls.train?.({ augment }));
    expect(error).toMatchObject({
      ...type,
      message: expect.stringMatching(new RegExp(`^${field} is not `)),
    });
  });
});

/** A session with a store of four training and four validation pictures, and a teacher's logits. */
async function prepared(): Promise<NativeSession> {
  const session = new (loadAddon().Session)(execution);
  await session.open();
  await session.createStore(
    storeOf({ imageSize: 32, classes: 2, trainCapacity: 4, valCapacity: 4 }),
  );
  for (const split of ['train', 'val'] as const) {
    const batch = batchOf({
      split,
      pixels: new Uint8Array(4 * SIDE).map((_, i) => (i * 7) % 256),
      labels: Int32Array.of(0, 1, 0, 1),
      sources: Int32Array.of(0, 1, 2, 3),
      answered: true,
      teacherLogits: new Float32Array(8),
    });
    await session.append(batch);
  }
  await session.sealStore();
  return session;
}

test('a training whose callback throws ends, and rejects with that', async () => {
  const session = await prepared();
  const config = trainConfigOf({ epochs: 1e9, lr: 1e-3, sampler: 'sequential', dropRate: 0 });
  const failure = new RangeError('from a listener');
  let heard = 0;
  const training = session.train(config, () => {
    heard += 1;
    throw failure;
  });
  await expect(training).rejects.toBe(failure);
  expect(heard).toBe(1);
  await session.close();
});

test.each([
  '{}',
  '{"note":"}, or \\"a\\": {"}',
  ' { "list" : [1, -2.5e+3, {"deep": [null, true, false, ""]}], "n": 0.1 } ',
])('the numbers of the best epoch join the metadata %s', async (metadata) => {
  const session = await prepared();
  const written = path.join(folder, 'with-metadata.pth');
  let last: NativeEpoch | undefined;
  await session.train(trainConfigOf({ monitor: 'loss', files: [written], metadata }), (epoch) => {
    last = epoch;
  });
  await session.close();
  const found = await loadAddon().inspect(written, false);
  const { trainLoss, trainAccuracy, valLoss, valAccuracy } = last as NativeEpoch;
  expect(JSON.parse(found.metadata as string)).toEqual({
    ...JSON.parse(metadata),
    epoch: 1,
    metrics: { trainLoss, trainAccuracy, valLoss, valAccuracy },
  });
});

test('memory that nobody has is a coded error', async () => {
  const { createModel, convolutionRates } = loadAddon();
  const rates = convolutionRates({
    batchSize: 1_000_000,
    imageSize: 4608,
    precision: 'fp32',
    threads: 1,
    repeats: 1,
  });
  await expect(rates).rejects.toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
  const model = { path: path.join(folder, 'huge.pth'), architecture: 'cnn', seed: 1 };
  for (const classes of [0, -5, 1e15, 2 ** 62]) {
    await expect(createModel({ ...model, classes })).rejects.toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
    });
  }
});
