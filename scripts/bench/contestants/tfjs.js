// The same student and loss in TensorFlow.js. A step takes minutes, so it does few.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { loadDecode, loadPreprocessing } from '../product.js';
import { memory, serve } from './serve.js';

/** @import { Setup, Portable, Task, Work } from '../types.js' */
/** @import { Tensor1D, Tensor2D, Tensor4D, Variable, Scalar } from '@tensorflow/tfjs-core' */

const require = createRequire(import.meta.url);
/** @type {typeof import('@tensorflow/tfjs-core')} */
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-layers'); // registers the gradients
require('@tensorflow/tfjs-backend-cpu');

/** @type {Task} */
let task;
/** @type {Portable} */
let portable;
/** @type {Map<string, Variable>} */
let weights;
/** @type {ReturnType<typeof tf.train.adam>} */
let adam;
let step = 0;

await serve({
  /**
   * @param {{ taskFile: string, backend: 'cpu' | 'wasm' }} parameters
   * @returns {Promise<Setup>}
   */
  async setup({ taskFile, backend }) {
    task = JSON.parse(readFileSync(taskFile, 'utf8'));
    portable = JSON.parse(readFileSync(task.portable, 'utf8'));
    if (backend === 'wasm') {
      const wasm = require('@tensorflow/tfjs-backend-wasm');
      const module = require.resolve('@tensorflow/tfjs-backend-wasm');
      wasm.setWasmPaths(`${path.dirname(module)}/`);
    }
    if (!(await tf.setBackend(backend))) throw new Error(`the backend '${backend}' does not start`);
    await tf.ready();
    weights = new Map(
      Object.entries(portable.weights).map(([name, { shape, data }]) => [
        name,
        load(name, shape, data),
      ]),
    );
    adam = tf.train.adam(task.lr, 0.9, 0.999, 1e-8);
    return {
      versions: { node: process.versions.node, tfjs: tf.version_core },
      notes: ['one thread', "the teacher's answers given", ...smaller()],
      threads: 1,
      precision: 'fp32',
    };
  },

  /**
   * One step of the training.
   *
   * @returns {{ loss: number, images: number, seconds: number, phases: Record<string, number> }}
   */
  step() {
    const { batchSize } = portable;
    const start = performance.now();
    const { images, labels, teacherLogits } = batch(step++);
    const gathered = performance.now();
    const { value, grads } = tf.variableGrads(
      () => distillationLoss(student(images, true), teacherLogits, labels),
      trainable(),
    );
    const loss = value.dataSync()[0] ?? Number.NaN;
    const differentiated = performance.now();
    adam.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
    for (const variable of trainable()) variable.dataSync();
    const end = performance.now();
    tf.dispose([images, labels, teacherLogits, value, grads]);
    return {
      loss,
      images: batchSize,
      seconds: (end - start) / 1000,
      phases: {
        gather: (gathered - start) / 1000,
        'forward and backward': (differentiated - gathered) / 1000,
        optimizer: (end - differentiated) / 1000,
      },
    };
  },

  /** The forward part of a step alone, for backends that have no gradients. */
  forward() {
    const start = performance.now();
    tf.tidy(() => {
      const { images, labels, teacherLogits } = batch(0);
      return distillationLoss(student(images, true), teacherLogits, labels).dataSync();
    });
    return { images: portable.batchSize, seconds: (performance.now() - start) / 1000 };
  },

  /**
   * @param {{ images: string[] }} parameters
   * @returns {Promise<Work & { probabilities: number[] }>}
   */
  async predict({ images: sources }) {
    const { decodeCrop } = await loadDecode();
    const { centerCropOf } = await loadPreprocessing();
    const { imageSize: size } = task;
    const probabilities = [];
    const start = performance.now();
    for (const source of sources) {
      const pixels = await decodeCrop(source, centerCropOf(size));
      const top = tf.tidy(() =>
        tf.max(tf.softmax(student(normalize(pixels, [1, size, size, 3]), false))).dataSync(),
      );
      probabilities.push(top[0] ?? 0);
    }
    return { images: sources.length, seconds: (performance.now() - start) / 1000, probabilities };
  },

  memory,
});

function smaller() {
  const notes = [];
  if (portable.imageSize !== task.imageSize) {
    notes.push(
      `steps of ${portable.imageSize}-pixel crops, converted to ${task.imageSize} by their area`,
    );
  }
  if (portable.batchSize !== task.batchSize) notes.push(`batches of ${portable.batchSize}`);
  return notes;
}

/** @param {string} data */
function floats(data) {
  const bytes = Buffer.from(data, 'base64');
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).slice();
}

/**
 * PyTorch's layouts are (out, in, height, width) and (out, in); these are (height, width, in, out) and
 * (in, out).
 *
 * @param {string} name
 * @param {number[]} shape
 * @param {string} data
 */
function load(name, shape, data) {
  return tf.tidy(() => {
    const tensor = tf.tensor(floats(data), shape);
    const axes = shape.length === 4 ? [2, 3, 1, 0] : shape.length === 2 ? [1, 0] : undefined;
    return tf.variable(
      axes ? tf.transpose(tensor, axes) : tensor,
      !name.includes('running_'),
      name,
    );
  });
}

/** @param {string} name @returns {any} */
function weight(name) {
  const variable = weights.get(name);
  if (!variable) throw new Error(`there is no weight '${name}'`);
  return variable;
}

function trainable() {
  return [...weights.values()].filter((variable) => variable.trainable);
}

/** @param {number} index */
function batch(index) {
  const { batchSize, imageSize, pixels, labels, teacherLogits, steps } = portable;
  if (index >= steps) throw new Error(`there are ${steps} steps`);
  const classes = task.classes.length;
  const bytes = imageSize * imageSize * 3 * batchSize;
  const some = Buffer.from(pixels, 'base64').subarray(index * bytes, (index + 1) * bytes);
  const first = index * batchSize;
  const logits = floats(teacherLogits).slice(first * classes, (first + batchSize) * classes);
  return {
    images: normalize(some, [batchSize, imageSize, imageSize, 3]),
    labels: tf.tensor1d(labels.slice(first, first + batchSize), 'int32'),
    teacherLogits: tf.tensor2d(logits, [batchSize, classes]),
  };
}

/**
 * @param {Uint8Array} pixels
 * @param {[number, number, number, number]} shape
 */
function normalize(pixels, shape) {
  const { mean, std } = task;
  const values = Float32Array.from(
    pixels,
    (value, i) => (value / 255 - (mean[i % 3] ?? 0)) / (std[i % 3] ?? 1),
  );
  return tf.tensor4d(values, shape);
}

/**
 * @param {Tensor4D} images (B, S, S, 3)
 * @param {boolean} training normalise by the batch's statistics
 * @returns {Tensor2D} (B, classes)
 */
function student(images, training) {
  /** @type {any} */
  let x = images;
  for (let block = 0; block < 4; block++) {
    const [convolution, norm] = [`features.${4 * block}`, `features.${4 * block + 1}`];
    x = tf.add(
      tf.conv2d(x, weight(`${convolution}.weight`), 1, 'same'),
      weight(`${convolution}.bias`),
    );
    const { mean, variance } = training
      ? tf.moments(x, [0, 1, 2])
      : { mean: weight(`${norm}.running_mean`), variance: weight(`${norm}.running_var`) };
    const scale = tf.mul(weight(`${norm}.weight`), tf.rsqrt(tf.add(variance, 1e-5)));
    x = tf.relu(tf.add(tf.mul(tf.sub(x, mean), scale), weight(`${norm}.bias`)));
    if (block < 3) x = tf.maxPool(x, 2, 2, 'valid');
  }
  /** @type {Tensor2D} */
  const features = tf.mean(x, [1, 2]);
  const hidden = tf.relu(linear(features, 'classifier.0'));
  return linear(/** @type {Tensor2D} */ (hidden), 'classifier.3');
}

/**
 * @param {Tensor2D} x
 * @param {string} name
 * @returns {Tensor2D}
 */
function linear(x, name) {
  return tf.add(tf.matMul(x, weight(`${name}.weight`)), weight(`${name}.bias`));
}

/**
 * alpha · T² · KL(teacher ‖ student) + (1 - alpha) · CE(labels, student).
 *
 * @param {Tensor2D} logits
 * @param {Tensor2D} teacherLogits
 * @param {Tensor1D} labels
 * @returns {Scalar}
 */
function distillationLoss(logits, teacherLogits, labels) {
  const { temperature, alpha } = task;
  const [count] = logits.shape;
  const picked = tf.mul(tf.oneHot(labels, task.classes.length), tf.logSoftmax(logits));
  const hard = tf.div(tf.neg(tf.sum(picked)), count);
  const wanted = tf.logSoftmax(tf.div(teacherLogits, temperature));
  const given = tf.logSoftmax(tf.div(logits, temperature));
  const soft = tf.div(tf.sum(tf.mul(tf.exp(wanted), tf.sub(wanted, given))), count);
  return tf.add(tf.mul(soft, alpha * temperature ** 2), tf.mul(hard, 1 - alpha));
}
