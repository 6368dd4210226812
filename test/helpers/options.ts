import {
  type DistillOptions,
  distill,
  type PredictOptions,
  predict,
  type TeacherLogitsOptions,
  type TeachOptions,
  type TrainingOptions,
  teach,
  teacherLogits,
} from '../../lib/index.js';
import type { PixelOptions } from '../../lib/options/preprocessing.js';

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
const notASplit = [0, 1, -0.2, 1.5, NaN, '0.2', true, null];
const notASeed = [-1, 0.5, NaN, 2 ** 53, '1', null];
const notASignal = [{}, 'abort', null, new AbortController()];
const notAFunction = ['log', null, {}];
const notABoolean = [0, 1, 'false', null];
const notOnBadImage = ['ignore', 'Skip', '', true, null];

const pixelOptions = {
  preprocess: ['', 5, null, true, 'https://a/b', 'a.json\0'],
  resize: [0, -1, 1.5, NaN, '256', true, null, [], [256], [256, 0], [256, 256, 256], 65_537],
  interpolation: ['Bilinear', 'linear', '', 2, null],
  padding: [-1, 0.5, NaN, '4', true, null, [], [1], [1, 2, 3], [1, 2, 3, -1], 4097],
  crop: notABoolean,
  exif: ['Apply', 'rotate', '', true, null],
} satisfies Record<keyof PixelOptions, unknown[]>;

const trainingOptions = {
  dataset: notAPath,
  train: notAPath,
  val: notAPath,
  valSplit: notASplit,
  splitSeed: notASeed,
  schedule: ['step', 'onecycle', '', null],
  warmup: [-1, NaN, Infinity, '1', null],
  augment: ['flip', ['mirror'], [5], ['crop', 'resized-crop'], true, null, {}],
  storeSize: notAnImageSize,
  cropScale: [0, -0.1, 1.1, 1e-300, NaN, '0.08', null],
  seed: notASeed,
  device: notADevice,
  precision: notAPrecision,
  threads: notThreads,
  signal: notASignal,
  overwrite: notABoolean,
  shuffle: notABoolean,
  sampler: ['random', 'Balanced', '', true, null],
  classWeights: [
    'Balanced',
    '1,2',
    [],
    [0, 1],
    [1, -1],
    [1, NaN],
    [1, Infinity],
    ['1', '2'],
    2,
    null,
  ],
  onBadImage: notOnBadImage,
  maxPixels: notACount,
  cacheMemory: [-1, NaN, Infinity, '-1', '2 apples', '', null],
  cacheDir: notAPath,
  patience: notACount,
  minDelta: [-1, NaN, Infinity, '0', null],
  maxSeconds: [0, -1, NaN, Infinity, '60', null],
  runDir: notAPath,
  resume: notABoolean,
  checkpointEvery: [-1, NaN, Infinity, '60', null],
} satisfies Record<keyof TrainingOptions, unknown[]>;

const distillOptions = {
  ...pixelOptions,
  ...trainingOptions,
  unlabeled: notAPath,
  teacher: notAPath,
  averaged: notABoolean,
  teacherLogits: notAPath,
  student: notAPath,
  architecture: ['resnet', 'CNN', 'net.pt', 'net.onnx', '', '~/net.pt2', 18, null],
  width: [0, 0.1, 0.3, 8.25, -1, NaN, Infinity, '1', null],
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
  loss: ['kl', 'Distillation', '', null],
  monitor: ['both', 'Accuracy', 'last', '', true, null],
  views: [...notACount, 1001],
} satisfies Record<keyof DistillOptions, unknown[]>;

const teachOptions = {
  ...pixelOptions,
  ...trainingOptions,
  teacher: notAPath,
  architecture: ['densenet', 'resnet19', 'DenseNet121', '', 121, null],
  weights: notAPath,
  averaged: notABoolean,
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
  monitor: ['agreement', 'Accuracy', '', true, null],
} satisfies Record<keyof TeachOptions, unknown[]>;

const predictOptions = {
  ...pixelOptions,
  student: notAPath,
  averaged: notABoolean,
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
  ...pixelOptions,
  teacher: notAPath,
  output: notAPath,
  averaged: notABoolean,
  dataset: notAPath,
  train: notAPath,
  val: notAPath,
  valSplit: notASplit,
  splitSeed: notASeed,
  unlabeled: notAPath,
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
export const calls = {
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
