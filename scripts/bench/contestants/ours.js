// This package, by the modules that `distill()` is made of.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  loadAddonModule,
  loadPackage,
  loadPrepare,
  loadPreprocessing,
  loadTraining,
} from '../product.js';
import { memory, resetPeak, serve } from './serve.js';

/** @import { EpochMeasure, Picture, Precision, Setup, Task, Work } from '../types.js' */
/** @import { NativeEpoch, NativeSession, NativeTrainConfig } from '../../../lib/native.js' */

const { loadAddon } = await loadAddonModule();
const { unkept } = await loadTraining();
/** @type {Task} */
let task;
/** @type {Precision} */
let precision;
let device = 'cpu';
/** @type {NativeSession | undefined} */
let session;
let images = { train: 0, val: 0 };

await serve({
  /**
   * @param {{ taskFile: string, precision: Precision, device?: string, threads?: number }} parameters
   * @returns {Promise<Setup>}
   */
  async setup({ taskFile, precision: asked, device: on = 'cpu', threads }) {
    task = JSON.parse(readFileSync(taskFile, 'utf8'));
    task.threads = threads ?? task.threads;
    precision = asked;
    device = on;
    return {
      versions: { node: process.versions.node, libtorch: loadAddon().libtorch },
      notes: ['teacher asked once'],
      threads: task.threads,
      precision,
    };
  },

  /** Decoding, and the teacher's answers: a new store. */
  async prepare() {
    session = await openSession(task.imageSize);
    const { prepare } = await loadPrepare();
    const { centerCropOf } = await loadPreprocessing();
    const { classes, train, val, imageSize, mean, std } = task;
    const start = performance.now();
    let trainEnd = start;
    const dataset = {
      classes,
      train: {
        root: path.join(task.dataset, 'train'),
        classes,
        samples: train,
        ignored: [],
        hidden: [],
      },
      val: { root: path.join(task.dataset, 'val'), classes, samples: val, ignored: [], hidden: [] },
    };
    await prepare(session, dataset, {
      preprocessing: { ...centerCropOf(imageSize), mean, std },
      storeSize: imageSize,
      views: null,
      teacher: { sha256: '', averaged: false, logits: null, device, precision },
      onBadImage: 'error',
      cacheMemory: Number.MAX_SAFE_INTEGER,
      cacheDir: undefined,
      // The training pictures come first.
      onProgress: ({ done }) => {
        if (done === train.length) trainEnd = performance.now();
      },
      onSkip: () => {},
      onTruncated: () => {},
      signal: new AbortController().signal,
    });
    images = { train: train.length, val: val.length };
    return {
      train: { images: train.length, seconds: (trainEnd - start) / 1000 },
      all: { images: train.length + val.length, seconds: (performance.now() - start) / 1000 },
    };
  },

  /**
   * A store of noise, for what depends on sizes alone. Two validation pictures contradict each other,
   * so that no student is ever wholly right, which would end a training.
   *
   * @param {{ pictures: number, imageSize: number, place: 'memory' | 'temporary' }} parameters
   */
  async fill({ pictures, imageSize, place }) {
    session = await openSession(imageSize);
    images = { train: pictures, val: 2 };
    const { native } = await loadAddonModule();
    await native(
      session.createStore({
        imageSize,
        classes: 2,
        trainCapacity: pictures,
        valCapacity: 2,
        trainSize: imageSize,
        views: 1,
        view: null,
        hasTeacher: true,
        place,
        folder: task.scratch,
        fingerprint: '',
        kept: false,
        answers: null,
      }),
    );
    const bytes = imageSize * imageSize * 3;
    /** @param {'train' | 'val'} split @param {number} from @param {number} count */
    const append = (split, from, count) => {
      const sources = Int32Array.from({ length: count }, (_, i) => from + i);
      return /** @type {NativeSession} */ (session).append({
        split,
        pixels: noise(count * bytes, split === 'val' ? 0 : from + 1),
        size: imageSize,
        labels: sources.map((i) => i % 2),
        sources,
        answered: split === 'train',
        teacherLogits: null,
      });
    };
    for (let from = 0; from < pictures; from += 16) {
      await native(append('train', from, Math.min(16, pictures - from)));
    }
    await native(append('val', 0, 1));
    await native(append('val', 1, 1));
    await native(session.sealStore());
    resetPeak();
  },

  /**
   * A training from the initial weights; of its epochs the first also reads them.
   *
   * @param {{ epochs: number, batchSize?: number }} parameters
   * @returns {Promise<EpochMeasure[]>}
   */
  async epochs({ epochs, batchSize = task.batchSize }) {
    /** @type {EpochMeasure[]} */
    const measures = [];
    let faults = process.resourceUsage().minorPageFault;
    await train(epochs, batchSize, (epoch) => {
      const before = faults;
      faults = process.resourceUsage().minorPageFault;
      const { trainSeconds, valSeconds, trainLoss, valLoss } = epoch;
      measures.push({
        trainSeconds,
        valSeconds,
        trainImages: images.train,
        valImages: images.val,
        steps: Math.ceil(images.train / batchSize),
        trainLoss,
        valLoss,
        minorFaults: faults - before,
        phases: epoch.phaseSeconds,
      });
    });
    return measures;
  },

  /**
   * @param {{ dataset: string }} parameters
   * @returns {Promise<number>} seconds of an epoch of a DenseNet-121's training
   */
  async teach({ dataset }) {
    const { teach } = await loadPackage();
    const { last } = await teach({
      dataset,
      teacher: path.join(task.scratch, `teacher-${process.pid}.pth`),
      imageSize: 32,
      storeSize: 32,
      batchSize: 32,
      epochs: 1,
      seed: 1,
      threads: task.threads,
      device,
      precision,
    });
    if (!last) throw new Error('the training has no epoch');
    return last.seconds;
  },

  /**
   * @param {{ epochs: [number, number] }} parameters
   * @returns {Promise<[number, number]>} resident bytes after these epochs of one training
   */
  async endure({ epochs: [first, last] }) {
    /** @type {[number, number]} */
    const resident = [0, 0];
    await train(last, task.batchSize, ({ epoch }) => {
      if (epoch === first) resident[0] = memory().residentBytes;
      if (epoch === last) resident[1] = memory().residentBytes;
    });
    return resident;
  },

  /**
   * @param {{ images: string[] }} parameters
   * @returns {Promise<Work & { probabilities: number[] }>} of the most probable class each
   */
  async predict({ images: sources }) {
    const { predict } = await loadPackage();
    const probabilities = [];
    const start = performance.now();
    const options = {
      student: task.student,
      images: sources,
      labels: task.classes,
      mean: task.mean,
      std: task.std,
      imageSize: task.imageSize,
      threads: task.threads,
      device,
      precision,
    };
    for await (const { probability } of predict(options)) probabilities.push(probability);
    return { images: sources.length, seconds: (performance.now() - start) / 1000, probabilities };
  },

  memory,
});
await session?.close();

/** @param {number} imageSize */
async function openSession(imageSize) {
  const { native } = await loadAddonModule();
  await session?.close();
  const { mean, std, threads } = task;
  const options = { imageSize, mean, std, device, precision, threads };
  const opened = new (loadAddon().Session)(options);
  await native(opened.open());
  await native(opened.loadTeacher(task.teacher, false));
  return opened;
}

/**
 * @param {number} epochs
 * @param {number} batchSize
 * @param {(epoch: NativeEpoch) => void} onEpoch
 */
async function train(epochs, batchSize, onEpoch) {
  const { native } = await loadAddonModule();
  if (!session) throw new Error('nothing is prepared');
  /** @type {NativeTrainConfig} */
  const config = {
    epochs,
    lr: task.lr,
    schedule: 'constant',
    warmup: 0,
    optimizer: 'adam',
    weightDecay: 0,
    loss: 'distillation',
    temperature: task.temperature,
    alpha: task.alpha,
    architecture: 'cnn',
    width: 1,
    dropRate: 0,
    batchSize,
    classWeights: null,
    sampler: 'sequential',
    seed: 1,
    augment: null,
    monitor: 'accuracy-and-loss',
    ...unkept,
    earlyStop: true,
    agreement: false,
    initialStudent: task.student,
    start: '',
    files: [path.join(task.scratch, `student-${precision}-${process.pid}.pth`)],
    overwrite: false,
    metadata: '{}',
  };
  const { stopReason } = await native(session.train(config, onEpoch));
  if (stopReason !== 'completed') throw new Error(`the training ended with '${stopReason}'`);
}

/**
 * @param {number} bytes
 * @param {number} seed
 */
function noise(bytes, seed) {
  const values = new Uint8Array(bytes);
  let state = seed;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state >>> 24;
  }
  return values;
}
