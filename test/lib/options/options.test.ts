import { homedir } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  compare,
  convert,
  type DistillOptions,
  datasetStats,
  distill,
  doctor,
  exportOnnx,
  inspect,
  type PredictOptions,
  predict,
  sweep,
  type TeacherLogitsOptions,
  type TeachOptions,
  type TrainingOptions,
  teach,
  teacherLogits,
} from '../../../lib/index.js';
import { loadAddon } from '../../../lib/native.js';
import { bytes } from '../../../lib/options/bytes.js';
import { distillOptions as distillSchema } from '../../../lib/options/distill.js';
import { refusalOf } from '../../helpers/outcome.js';

// Each option, with values that are refused. None of the files exists: options are looked at first.

const notAPath = [
  ...['', 5, null, true, ['a'], new URL('file:///a')],
  ...['~/a', '~', 'https://a/b', 's3://a/b', 'file:///a', 'a.pth\0.pth', '\0'],
];
const notACount = [0, -1, 1.5, NaN, Infinity, '5', null, 2 ** 53, 1e300];
const notAChannelTriple = [[], [0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.5, NaN, 0.5], 0.5, '0.5', null];
const notMean = [...notAChannelTriple, [-0.1, 0.5, 0.5], [0.5, 0.5, 1.1], [123, 117, 104]];
const notStd = [
  ...notAChannelTriple,
  [0.2, 0, 0.2],
  [-0.2, 0.2, 0.2],
  [0.2, 0.2, 58],
  [0.2, 0.2, 1e-38],
  [9e-5, 1, 1],
];
const notABatchSize = [...notACount, 4097];
const notARate = [0, -1e-4, 1.01, 1e-31, 5e-324, NaN, '1e-4', null];
const notAnImageSize = [...notACount, 31, 4097];
const notADevice = ['gpu', 'CPU', '', 'cuda:', 'cuda:-1', 'cuda:100', 0, null];
const notAPrecision = ['fp16', 'float32', 'FP32', '', 32, null];
const notThreads = [...notACount, 1025];
const notASignal = [{}, 'abort', null, new AbortController()];
const notAFunction = ['log', null, {}];
const notABoolean = [0, 1, 'false', null];
const notOnBadImage = ['ignore', 'Skip', '', true, null];

const trainingOptions = {
  dataset: notAPath,
  train: notAPath,
  val: notAPath,
  schedule: ['step', 'onecycle', '', null],
  warmup: [-1, NaN, Infinity, '1', null],
  augment: ['flip', ['mirror'], [5], ['crop', 'resized-crop'], true, null, {}],
  storeSize: notAnImageSize,
  cropScale: [0, -0.1, 1.1, 1e-300, NaN, '0.08', null],
  seed: [-1, 0.5, NaN, 2 ** 53, '1', null],
  device: notADevice,
  precision: notAPrecision,
  threads: notThreads,
  signal: notASignal,
  overwrite: notABoolean,
  shuffle: notABoolean,
  onBadImage: notOnBadImage,
  maxPixels: notACount,
  cacheMemory: [-1, NaN, Infinity, '-1', '2 apples', '', null],
  cacheDir: notAPath,
} satisfies Record<keyof TrainingOptions, unknown[]>;

const distillOptions = {
  ...trainingOptions,
  teacher: notAPath,
  teacherLogits: notAPath,
  student: notAPath,
  mean: notMean,
  std: notStd,
  epochs: notACount,
  lr: notARate,
  dropRate: [-0.1, 1, NaN, '0.2', null],
  temperature: [0, -1, 1001, 1e-39, 0.009, NaN, '2', null],
  alpha: [-0.1, 1.1, NaN, '0.7', null],
  batchSize: notABatchSize,
  imageSize: notAnImageSize,
  initialStudent: notAPath,
  keep: ['best', 'Accuracy', 'last', '', true, null],
  views: [...notACount, 1001],
} satisfies Record<keyof DistillOptions, unknown[]>;

const teachOptions = {
  ...trainingOptions,
  teacher: notAPath,
  architecture: ['densenet', 'resnet18', 'DenseNet121', '', 121, null],
  weights: notAPath,
  mean: notMean,
  std: notStd,
  epochs: notACount,
  lr: notARate,
  batchSize: [...notABatchSize, 1],
  imageSize: notAnImageSize,
  optimizer: ['sgd', 'AdamW', '', null],
  weightDecay: [-0.1, 1.1, NaN, '0.01', null],
  labelSmoothing: [-0.1, 1, NaN, '0.1', null],
  freezeEpochs: [-1, 0.5, 1e300, NaN, '1', null],
} satisfies Record<keyof TeachOptions, unknown[]>;

const predictOptions = {
  student: notAPath,
  images: [
    ...['', 5, null, [], [''], [5], ['a', null], {}, '~/a', ['a', 'https://a/b']],
    ...['a.png\0', ['a.png', 'b.png\0']],
  ],
  labels: ['', 5, null, [], [5], {}, '~/a', 'https://a/b', 'labels\0.txt', ['ant', 'b\0ee']],
  mean: notMean,
  std: notStd,
  imageSize: notAnImageSize,
  topK: notACount,
  batchSize: notABatchSize,
  device: notADevice,
  precision: notAPrecision,
  threads: notThreads,
  onBadImage: notOnBadImage,
  maxPixels: notACount,
  onWarning: notAFunction,
  signal: notASignal,
} satisfies Record<keyof PredictOptions, unknown[]>;

const teacherLogitsOptions = {
  teacher: notAPath,
  output: notAPath,
  dataset: notAPath,
  train: notAPath,
  val: notAPath,
  mean: notMean,
  std: notStd,
  imageSize: notAnImageSize,
  device: notADevice,
  precision: notAPrecision,
  threads: notThreads,
  onBadImage: notOnBadImage,
  maxPixels: notACount,
  overwrite: notABoolean,
  onProgress: notAFunction,
  onWarning: notAFunction,
  signal: notASignal,
} satisfies Record<keyof TeacherLogitsOptions, unknown[]>;

const triple = [0.5, 0.5, 0.5] as const;
const calls = {
  distill: {
    table: distillOptions,
    valid: {
      teacher: 'none/t.pth',
      student: 'none/s.pth',
      dataset: 'none',
      mean: triple,
      std: triple,
    },
    required: ['student'],
    call: async (options: unknown) => void (await distill(options as DistillOptions)),
  },
  teach: {
    table: teachOptions,
    valid: { teacher: 'none/t.pth', dataset: 'none', mean: triple },
    required: ['teacher'],
    call: async (options: unknown) => void (await teach(options as TeachOptions)),
  },
  predict: {
    table: predictOptions,
    valid: { student: 'none/s.pth', images: 'none' },
    required: ['student', 'images'],
    call: async (options: unknown) => void (await predict(options as PredictOptions)),
  },
  teacherLogits: {
    table: teacherLogitsOptions,
    valid: { teacher: 'none/t.pth', output: 'none/l.safetensors', dataset: 'none' },
    required: ['teacher', 'output'],
    call: async (options: unknown) => void (await teacherLogits(options as TeacherLogitsOptions)),
  },
};

describe.each(Object.entries(calls))('%s()', (_, { table, valid, required, call }) => {
  const refusal = (options: unknown) => refusalOf(call(options));
  const refused = (message: unknown) => ({ name: 'DistillError', code: 'ERR_OPTION', message });

  test('has no option that this test forgets', async () => {
    const { message } = await refusal({ ...valid, 'nothing like any of them': 1 });
    const names = /the options are (.*)\.$/.exec(message)?.[1]?.split(', ');
    expect(names?.sort()).toEqual(Object.keys(table).sort());
  });

  test.each(Object.entries(table))(
    'refuses a wrong `%s`, saying what it should be',
    async (name, values) => {
      for (const value of values) {
        const error = await refusal({ ...valid, [name]: value });
        const message = new RegExp(`^Expected .{5,} for \`${name}\` but received .+\\.$`);
        expect(error, String(value)).toMatchObject(refused(expect.stringMatching(message)));
      }
    },
  );

  test.each(required)('asks for `%s`', async (name) => {
    for (const options of [{ ...valid, [name]: undefined }, without(valid, name)]) {
      const message = new RegExp(`for \`${name}\` but received nothing`);
      expect(await refusal(options)).toMatchObject(refused(expect.stringMatching(message)));
    }
  });

  test.each(Object.keys(table))('suggests `%s` for its misspellings', async (name) => {
    for (const misspelt of [`${name}x`, `${name}${name.at(-1)}`, `${name[0]}${name}`]) {
      const message = `There is no option \`${misspelt}\`; did you mean \`${name}\`?`;
      expect(await refusal({ ...valid, [misspelt]: 1 })).toMatchObject(refused(message));
    }
  });

  test('takes undefined for an option that is not given', async () => {
    const absent = Object.fromEntries(Object.keys(table).map((name) => [name, undefined]));
    expect((await refusal({ ...absent, ...valid })).code).not.toBe('ERR_OPTION');
  });

  test.each([undefined, null, 'teacher.pth', 5, []])('refuses %o for options', async (options) => {
    const message = expect.stringMatching(/^Expected an object of options but received /);
    expect(await refusal(options)).toMatchObject(refused(message));
  });

  test('shows a value of any size briefly', async () => {
    const { message } = await refusal({ ...valid, mean: new Array(10_000).fill(0.5) });
    expect(message.length).toBeLessThan(250);
  });
});

/** What is not the table of an options object: paths by position, and the functions that take the same options. */
describe.each<[string, string, (path: string) => PromiseLike<unknown>]>([
  ['inspect()', 'path', (path) => inspect(path)],
  ['datasetStats()', 'folder', (path) => datasetStats(path)],
  ['convert()', 'model', (path) => convert(path, 'none.pth')],
  ['convert()', 'output', (path) => convert('none.pth', path)],
  ['exportOnnx()', 'student', (path) => exportOnnx(path, 'none.onnx')],
  ['exportOnnx()', 'output', (path) => exportOnnx('none.pth', path)],
  ['exportOnnx()', 'labels', (labels) => exportOnnx('none.pth', 'none.onnx', { labels })],
  ['doctor()', 'teacher', (teacher) => doctor({ teacher })],
  ['doctor()', 'student', (student) => doctor({ student })],
  ['sweep()', 'out', (out) => sweep({ teacher: 'none', dataset: 'none', out })],
  ['sweep()', 'student', (student) => sweep({ teacher: 'none', dataset: 'none', student })],
  ['compare()', 'out', (out) => compare({ teacher: 'none', dataset: 'none', out })],
  ['compare()', 'student', (student) => compare({ teacher: 'none', dataset: 'none', student })],
])('%s', (_, name, call) => {
  test(`refuses a \`${name}\` that the system would cut at a NUL byte`, async () => {
    const { code, message } = await refusalOf(call('victim.pth\0.pth'));
    expect(code).toBe('ERR_OPTION');
    expect(message).toMatch(
      new RegExp(`^Expected a path.* for \`${name}\` .*; leave out the NUL byte in it`),
    );
    expect(message).toContain("'victim.pth\\x00.pth'");
  });

  test(`refuses a \`${name}\` with half a character, which the system would be given as U+FFFD`, async () => {
    const { code, message } = await refusalOf(call('victim\ud83d.pth'));
    expect(code).toBe('ERR_OPTION');
    expect(message).toMatch(new RegExp(`for \`${name}\` .*; a lone surrogate in it`));
  });
});

test('the addon takes no path that the system would cut', async () => {
  const path = 'victim.pth\0.pth';
  const addon = loadAddon();
  for (const call of [
    () => addon.inspect(path),
    () => addon.readTensor(path, 'a'),
    () => addon.readTensors(path, ['a']),
    () => addon.writeFile(path, new Uint8Array(1)),
    () => addon.checkWritable(path),
    () => addon.convert({ from: 'none', to: path, format: 'pth' }),
    () => addon.createModel({ path, architecture: 'student', classes: 2, seed: 1 }),
  ]) {
    await expect(call()).rejects.toThrow(/NUL byte/);
  }
});

describe('distill()', () => {
  test.each([
    ['no folder', {}],
    ['train alone', { train: 'a' }],
    ['val alone', { val: 'a' }],
    ['all three', { dataset: 'a', train: 'b', val: 'c' }],
    ['dataset and train', { dataset: 'a', train: 'b' }],
  ])('asks for either dataset or both train and val, not %s', async (_, folders) => {
    const { dataset, ...valid } = calls.distill.valid;
    await expect(distill({ ...valid, ...folders })).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message:
        'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`.',
    });
  });
});

test.each([
  ['neither', {}],
  ['both', { teacher: 'a', teacherLogits: 'b' }],
])('distill() asks for either teacher or teacherLogits, not %s', async (received, teachers) => {
  const { teacher, ...valid } = calls.distill.valid;
  await expect(distill({ ...valid, ...teachers })).rejects.toMatchObject({
    code: 'ERR_OPTION',
    message: `Expected either \`teacher\`, a DenseNet's file, or \`teacherLogits\`, a file of its answers, but received ${received}.`,
  });
});

describe('options that mean nothing together are refused:', () => {
  const { teacher, ...unled } = calls.distill.valid;
  test.each([
    [
      'views and logits of the pictures as they are',
      { ...unled, teacherLogits: 'l.safetensors', views: 2 },
      /`views` and `augment` change the pixels/,
    ],
    [
      'augmentation and logits of the pictures as they are',
      { ...unled, teacherLogits: 'l.safetensors', augment: ['flip'] },
      /`views` and `augment` change the pixels/,
    ],
    [
      'a constant rate and warm-up',
      { ...calls.distill.valid, warmup: 2 },
      /'constant' has no `warmup`/,
    ],
  ] as [string, DistillOptions, RegExp][])('distill(), %s', async (_, options, message) => {
    await expect(distill(options)).rejects.toMatchObject({ code: 'ERR_OPTION', message });
  });

  test.each([
    ['Adam and weight decay', { optimizer: 'adam', weightDecay: 0.1 }, /no `weightDecay`/],
    ['one cycle and warm-up', { warmup: 2 }, /'one-cycle' has no `warmup`/],
    ['a constant rate and warm-up', { schedule: 'constant', warmup: 2 }, /no `warmup`/],
    ['frozen features of fresh weights', { freezeEpochs: 1 }, /it needs `weights`/],
  ] as [string, Partial<TeachOptions>, RegExp][])('teach(), %s', async (_, options, message) => {
    const given = { ...calls.teach.valid, ...options };
    await expect(teach(given)).rejects.toMatchObject({ code: 'ERR_OPTION', message });
  });
});

describe('a refused value comes with what mends it:', () => {
  test.each<[string, unknown, string]>([
    ['student', '~/s.pth', `only a shell expands ~, so write '${homedir()}/s.pth'`],
    [
      'teacher',
      new URL('file:///a%20b.pth'),
      "a file URL becomes a path by fileURLToPath() of node:url: '/a b.pth'",
    ],
    [
      'teacher',
      'file:///a%20b.pth',
      "a file URL becomes a path by fileURLToPath() of node:url: '/a b.pth'",
    ],
    ['dataset', 'https://a/b', 'download it first, as only files of this machine are read'],
    ['cacheDir', new URL('s3://a/b'), 'download it first, as only files of this machine are read'],
    ['mean', [123.675, 116.28, 103.53], 'divided by 255 it is [ 0.485, 0.456, 0.406 ]'],
    ['std', [58.395, 57.12, 57.375], 'divided by 255 it is [ 0.229, 0.224, 0.225 ]'],
    ['mean', '(0.485, 0.456, 0.406)', 'as numbers it is [ 0.485, 0.456, 0.406 ]'],
    ['std', ['0.5', '0.5', '0.5'], 'as a number it is [ 0.5, 0.5, 0.5 ]'],
    ['lr', '1e-4', 'as a number it is 0.0001'],
    ['epochs', '50', 'as a number it is 50'],
    ['shuffle', 'false', 'without quotes it is false'],
    ['schedule', 'OneCycleLR', "it is spelt 'one-cycle'"],
    ['schedule', 'Cosine', "it is spelt 'cosine'"],
    ['precision', 'float32', "it is spelt 'fp32'"],
    ['device', 'GPU', "it is spelt 'cuda'"],
    ['device', 0, "it is spelt 'cuda:0'"],
    ['augment', 'flip', "as a list it is [ 'flip' ]"],
    ['augment', ['Crop', 'resized_crop'], ''],
    ['lr', 3, ''],
  ])('`%s`, %o', async (name, value, hint) => {
    const { message } = await refusalOf(distill({ ...calls.distill.valid, [name]: value }));
    expect(message).toMatch(/^Expected .* but received [^;]*[;.]/);
    expect(message.split('; ')[1]?.replace(/\.$/, '') ?? '').toBe(hint);
  });

  test.each([
    ['a symbol', Symbol('x')],
    ['an object without a prototype', Object.create(null)],
    ['a list of such', [Symbol('x'), Object.create(null)]],
    ['a URL of another machine', new URL('file://host/a')],
    ['a URL with an escaped slash', 'file:///a%2Fb'],
    ['1n', 1n],
  ])('%s has none, and is refused all the same', async (_, value) => {
    for (const name of ['student', 'mean', 'lr', 'device', 'signal', 'augment']) {
      const { code } = await refusalOf(distill({ ...calls.distill.valid, [name]: value }));
      expect(code).toBe('ERR_OPTION');
    }
  });

  test('of an ArrayBuffer, as fetch() gives it, its bytes', async () => {
    const images = new ArrayBuffer(2);
    const { message } = await refusalOf(predict({ student: 'a', images } as never));
    expect(message).toMatch(/; new Uint8Array\(\) makes of it Uint8Array\(2\) \[ 0, 0 \]\.$/);
  });

  test('of an AbortController, its signal', async () => {
    const signal = new AbortController() as unknown as AbortSignal;
    const { message } = await refusalOf(distill({ ...calls.distill.valid, signal }));
    expect(message).toMatch(/; its signal is meant: AbortSignal/);
  });

  test.each([
    ['inspect()', () => inspect('~/a.pth')],
    ['datasetStats()', () => datasetStats('~/a')],
    ['datasetStats(), its options', () => datasetStats('a', { imageSize: '32' as never })],
    ['convert()', () => convert('a', '~/b.pth')],
    ['exportOnnx()', () => exportOnnx('~/a', 'b')],
    ['predict()', () => calls.predict.call({ student: 'a', images: ['b', '~/c'] })],
  ])('%s', async (_, call) => {
    const { code, message } = await refusalOf(call());
    expect({ code, message }).toMatchObject({ code: 'ERR_OPTION' });
    expect(message).toMatch(/only a shell expands ~, so write|as a number it is 32/);
  });
});

describe('names that other systems use are understood:', () => {
  const calledBy = async (call: (options: unknown) => Promise<unknown>, names: object) => {
    for (const [called, option] of Object.entries(names)) {
      const { message } = await refusalOf(call({ [called]: 1 }));
      expect(message).toBe(`There is no option \`${called}\`; did you mean \`${option}\`?`);
    }
  };

  test('distill()', async () => {
    await calledBy(calls.distill.call, {
      learningRate: 'lr',
      learning_rate: 'lr',
      LR: 'lr',
      batch_size: 'batchSize',
      numEpochs: 'epochs',
      num_epochs: 'epochs',
      T: 'temperature',
      dropout: 'dropRate',
      model: 'teacher',
      output: 'student',
      data_dir: 'dataset',
      valid: 'val',
      num_workers: 'threads',
    });
  });

  test('predict()', async () => {
    await calledBy(calls.predict.call, {
      model: 'student',
      classes: 'labels',
      image: 'images',
      files: 'images',
      top_k: 'topK',
      dtype: 'precision',
    });
  });
});

describe('a size in bytes', () => {
  test.each<[string, number | string]>([
    ['1024', 1024],
    ['1.5e9', 1.5e9],
    ['2GB', 2e9],
    ['2g', 2e9],
    ['512MiB', 2 ** 29],
    ['1.5 KiB', 1536],
    ['10b', 10],
    ['1.2.3MB', '1.2.3MB'],
    ['2 apples', '2 apples'],
    ['', ''],
  ])('%j is %j', (text, value) => {
    expect(bytes(text)).toBe(value);
  });

  test('is taken by `cacheMemory` as by --cache-memory', async () => {
    const given = { ...calls.distill.valid, cacheMemory: '512MiB' };
    expect((await refusalOf(distill(given))).code).not.toBe('ERR_OPTION');
    expect(distillSchema.parse(given).cacheMemory).toBe(2 ** 29);
  });
});

function without(options: object, name: string): object {
  return Object.fromEntries(Object.entries(options).filter(([key]) => key !== name));
}
