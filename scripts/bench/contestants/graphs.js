// Runs and trains networks of torchvision by this package; asked by ../graphs.js.
import { tmpdir } from 'node:os';
import { loadAddonModule, loadTraining } from '../product.js';
import { serve } from './serve.js';

/** @import { NativeBatch, NativeTrainConfig } from '../../../lib/native.js' */
/** @typedef {{ model: string, file: string, kind: 'forward' | 'step', precision: 'fp32' | 'bf16', pictures: number, steps: number, threads: number, size: number }} Run */

const { loadAddon } = await loadAddonModule();
const { unkept } = await loadTraining();

const CLASSES = 10;
const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };

/** @param {number} bytes */
function noise(bytes) {
  const pixels = new Uint8Array(bytes);
  let state = 1;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[i] = state >>> 24;
  }
  return pixels;
}

/** @param {Run} run */
async function makeForward({ file, precision, pictures, threads, size }) {
  const execution = { device: 'cpu', precision, threads };
  const options = {
    model: file,
    averaged: false,
    imageSize: size,
    ...preprocessing,
    ...execution,
  };
  const classifier = new (loadAddon().Classifier)(options);
  await classifier.load();
  const pixels = noise(pictures * size * size * 3);
  return async () => {
    const start = performance.now();
    await classifier.logits(pixels);
    return (performance.now() - start) / 1000;
  };
}

/** @param {Run} run */
async function makeStep({ model, precision, pictures, steps, threads, size }) {
  const execution = { device: 'cpu', precision, threads };
  const session = new (loadAddon().Session)({ imageSize: size, ...preprocessing, ...execution });
  await session.open();
  await session.createStore({
    imageSize: size,
    classes: CLASSES,
    trainCapacity: pictures * steps,
    valCapacity: 2,
    trainSize: size,
    views: 1,
    view: null,
    hasTeacher: true,
    place: 'memory',
    folder: tmpdir(),
    fingerprint: '',
    kept: false,
    answers: null,
  });
  for (const [split, count] of /** @type {const} */ ([
    ['train', pictures * steps],
    ['val', 2],
  ])) {
    /** @type {NativeBatch} */
    const batch = {
      split,
      pixels: noise(count * size * size * 3),
      size,
      labels: Int32Array.from({ length: count }, (_, i) => i % CLASSES),
      sources: Int32Array.from({ length: count }, (_, i) => i),
      answered: split === 'train',
      teacherLogits:
        split === 'train'
          ? Float32Array.from({ length: count * CLASSES }, (_, i) => Math.sin(i))
          : null,
    };
    await session.append(batch);
  }
  await session.sealStore();
  /** @type {NativeTrainConfig} */
  const config = {
    architecture: model,
    width: 1,
    epochs: 1,
    lr: 1e-4,
    schedule: 'constant',
    warmup: 0,
    optimizer: 'adam',
    weightDecay: 0,
    loss: 'distillation',
    classWeights: null,
    batchSize: pictures,
    sampler: 'sequential',
    seed: 1,
    augment: null,
    monitor: 'accuracy-and-loss',
    ...unkept,
    earlyStop: false,
    start: '',
    overwrite: true,
    metadata: '{}',
    temperature: 2,
    alpha: 0.7,
    dropRate: null,
    initialStudent: '',
    agreement: false,
  };
  return async () => {
    const { last } = await session.train(config, () => {});
    return (last?.trainSeconds ?? Number.NaN) / steps;
  };
}

/** @type {(() => Promise<number>) | undefined} */
let measure;

await serve({
  /** Seconds of a batch. @param {Run} run */
  run: async (run) => {
    measure ??= await (run.kind === 'forward' ? makeForward(run) : makeStep(run));
    return measure();
  },
});
