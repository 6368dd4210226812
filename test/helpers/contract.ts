import type {
  NativeBatch,
  NativeStore,
  NativeTeachConfig,
  NativeTrainConfig,
  NativeTraining,
} from '../../lib/native.js';
import { unkept } from '../../lib/training/train.js';

// The addon has no defaults: these fill in the fields that a test does not care about.

/** A store in memory for a teacher's logits, without views. */
export function storeOf(
  given: Pick<NativeStore, 'imageSize' | 'classes' | 'trainCapacity' | 'valCapacity'> &
    Partial<NativeStore>,
): NativeStore {
  return {
    trainSize: given.imageSize,
    views: 1,
    view: null,
    hasTeacher: true,
    place: 'memory',
    folder: '',
    fingerprint: '',
    kept: false,
    answers: null,
    ...given,
  };
}

/** Square pictures, of which the training ones are answered. */
export function batchOf(
  given: Pick<NativeBatch, 'split' | 'pixels' | 'labels' | 'sources'> & Partial<NativeBatch>,
): NativeBatch {
  return {
    size: Math.sqrt(given.pixels.length / given.labels.length / 3),
    answered: given.split === 'train',
    teacherLogits: null,
    ...given,
  };
}

const training: Omit<NativeTraining, 'loss'> = {
  epochs: 1,
  lr: 1e-4,
  schedule: 'constant',
  warmup: 0,
  optimizer: 'adam',
  weightDecay: 0,
  classWeights: null,
  batchSize: 4,
  sampler: 'shuffle',
  seed: 1,
  augment: null,
  monitor: 'accuracy-and-loss',
  earlyStop: true,
  ...unkept,
  start: '',
  overwrite: false,
  metadata: '{}',
};

/** A distillation with the reference's options, whose student is not written. */
export function trainConfigOf(given: Partial<NativeTrainConfig>): NativeTrainConfig {
  return {
    ...training,
    loss: 'distillation',
    temperature: 2,
    alpha: 0.7,
    architecture: 'cnn',
    width: 1,
    dropRate: 0.2,
    agreement: false,
    initialStudent: '',
    ...given,
  };
}

/** A teacher's training. */
export function teachConfigOf(given: Partial<NativeTeachConfig>): NativeTeachConfig {
  return {
    ...training,
    monitor: 'accuracy',
    earlyStop: false,
    loss: 'cross-entropy',
    labelSmoothing: 0,
    freezeEpochs: 0,
    architecture: 'densenet121',
    weights: '',
    averaged: false,
    keepHead: false,
    ...given,
  };
}
