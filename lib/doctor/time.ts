import { loadAddon, native } from '../addon.js';
import type { Dataset } from '../data/store.js';
import { type Preprocessing, pixelBytes } from '../model/preprocessing.js';
import type {
  NativeBatch,
  NativeEpoch,
  NativeExecution,
  NativePreprocessing,
  NativeSession,
  NativeStore,
  NativeTrainConfig,
} from '../native.js';
import { dropRateOf } from '../options/architectures.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import { unkept } from '../training/train.js';
import { count, span } from '../words.js';
import type { Topic } from './findings.js';
import type { Compute } from './machine.js';

/** An estimate of a run's time from a few real steps, in seconds. */
export interface Estimate {
  /** Decoding, and the teacher's answers; 0 where an earlier run has kept them. */
  prepare: number;
  /** Training and validation. */
  epoch: number;
  epochs: number;
  /** Of all epochs; a run may end earlier. */
  total: number;
  /** The rates that the estimate is made of, in pictures a second; `teacher` is `null` where it need not be asked. */
  imagesPerSecond: { decode: number; teacher: number | null; train: number; validate: number };
}

/** Training pictures in the steps that are measured, unless a batch alone is larger. */
const IMAGES = 64;
/** Steps at least. */
const STEPS = 3;

/**
 * Measures a student's steps with these options.
 *
 * @param pixels Some of the pictures, uint8 (n, imageSize, imageSize, 3).
 * @param on.images The number of all training pictures, which a batch has at most.
 * @returns Pictures a second, and steps that were measured.
 */
export async function measureSteps(
  options: CheckedDoctorOptions,
  preprocessing: Preprocessing,
  pixels: Uint8Array,
  on: Compute & { classes: number; images: number },
  topic: Topic,
): Promise<{ train: number; validate: number; steps: number } | null> {
  const { threads = 0, signal } = options;
  const batchSize = Math.min(options.batchSize, on.images);
  const steps = Math.max(STEPS, Math.ceil(IMAGES / batchSize));
  const images = steps * batchSize;
  const { device, precision, classes } = on;
  const execution: NativeExecution = { device, precision, threads };
  const { imageSize, mean, std } = preprocessing;
  const shape: NativePreprocessing = { imageSize, mean, std };
  const session = new (loadAddon().Session)({ ...shape, ...execution });
  const stop = () => session.stop();
  signal?.addEventListener('abort', stop);
  return topic
    .attempt('time', async () => {
      signal?.throwIfAborted();
      await native(session.open());
      await fill(session, { preprocessing, classes, images, batchSize }, pixels);
      // The first epoch warms up, and is not counted.
      const [, measured] = await trainTwice(session, { ...options, batchSize });
      signal?.throwIfAborted();
      if (!measured) return null;
      const { trainSeconds, valSeconds } = measured;
      return { train: images / trainSeconds, validate: images / valSeconds, steps };
    })
    .finally(() => {
      signal?.removeEventListener('abort', stop);
      return session.close();
    });
}

/** Fills a store with the given pictures, over and over, each with another class: no student is ever right about all. */
async function fill(
  session: NativeSession,
  shape: { preprocessing: Preprocessing; classes: number; images: number; batchSize: number },
  pixels: Uint8Array,
): Promise<void> {
  const { preprocessing, classes, images, batchSize } = shape;
  const { imageSize } = preprocessing;
  const store: NativeStore = {
    imageSize,
    classes,
    trainCapacity: images,
    valCapacity: images,
    trainSize: imageSize,
    views: 1,
    view: null,
    hasTeacher: true,
    place: 'memory',
    folder: '',
    fingerprint: '',
    kept: false,
    answers: null,
  };
  await native(session.createStore(store));
  const bytes = pixelBytes(preprocessing);
  const kept = pixels.length / bytes;
  for (const split of ['train', 'val'] as const) {
    for (let first = 0; first < images; first += batchSize) {
      const sources = Int32Array.from({ length: batchSize }, (_, i) => first + i);
      const copies = new Uint8Array(batchSize * bytes);
      for (const [i, source] of sources.entries()) {
        // The same one for all of validation, which is then right about one class at most.
        const from = (split === 'train' ? source % kept : 0) * bytes;
        copies.set(pixels.subarray(from, from + bytes), i * bytes);
      }
      const isTrain = split === 'train';
      const batch: NativeBatch = {
        split,
        pixels: copies,
        size: imageSize,
        labels: sources.map((source) => source % classes),
        sources,
        answered: isTrain,
        teacherLogits: isTrain ? new Float32Array(batchSize * classes) : null,
      };
      await native(session.append(batch));
    }
  }
  await native(session.sealStore());
}

async function trainTwice(
  session: NativeSession,
  options: CheckedDoctorOptions,
): Promise<NativeEpoch[]> {
  const config: NativeTrainConfig = {
    epochs: 2,
    lr: options.lr,
    schedule: 'constant',
    warmup: 0,
    optimizer: 'adam',
    weightDecay: 0,
    loss: options.loss,
    classWeights: null,
    temperature: options.temperature,
    alpha: options.alpha,
    architecture: options.architecture,
    width: options.width,
    dropRate: dropRateOf(options),
    batchSize: options.batchSize,
    sampler: 'shuffle',
    seed: 1,
    augment: null,
    monitor: 'accuracy-and-loss',
    earlyStop: true,
    ...unkept,
    agreement: false,
    initialStudent: '',
    start: '',
    overwrite: false,
    metadata: '{}',
  };
  const epochs: NativeEpoch[] = [];
  await native(session.train(config, (epoch) => epochs.push(epoch)));
  return epochs;
}

/** Estimates a run's time from the rates. */
export function estimate(
  { train, val }: Dataset,
  { epochs, views }: CheckedDoctorOptions,
  rates: Estimate['imagesPerSecond'],
  { steps, reused, device }: { steps: number; reused: boolean; device: string },
  topic: Topic,
): Estimate {
  const trained = train.samples.length;
  const decode = (trained + val.samples.length) / rates.decode;
  const answer = rates.teacher === null ? 0 : (trained * views) / rates.teacher;
  // On one processor they take turns; beside a GPU they go on at the same time.
  const both = device === 'cpu' ? decode + answer : Math.max(decode, answer);
  const prepare = reused ? 0 : both;
  const epoch = trained / rates.train + val.samples.length / rates.validate;
  const total = prepare + epochs * epoch;
  const prepared = reused ? 'Nothing to prepare' : `About ${span(prepare)} to prepare`;
  topic.ok(
    'time',
    `${prepared}, ${span(epoch)} an epoch, ${count(epochs, 'epoch')} at most: ${span(total)}; an estimate from ${count(steps, 'step')}, with nothing else on this machine.`,
    [
      `pictures a second: decoding ${figure(rates.decode)}, teacher ${rates.teacher === null ? 'not asked' : figure(rates.teacher)}, training ${figure(rates.train)}, validation ${figure(rates.validate)}`,
    ],
  );
  return { prepare, epoch, epochs, total, imagesPerSecond: rates };
}

function figure(rate: number): string {
  return rate < 100 ? rate.toPrecision(2) : Math.round(rate).toLocaleString('en');
}
