import { stat } from 'node:fs/promises';
import { native } from '../addon.js';
import type { NativeExecution } from '../native.js';
import { checkFinite, makeClassifier } from './classifier.js';
import { inspect } from './inspect.js';
import { isOnnx } from './onnx-teacher/contents.js';
import { readOnnx } from './onnx-teacher/model.js';
import { type Preprocessing, pixelBytes } from './preprocessing.js';

/** The size of a model and the time of an answer. */
export interface ModelCost {
  architecture: string;
  /** Trainable numbers; BatchNorm's statistics are not counted. Of an ONNX model, all numbers of its weights. */
  parameters: number;
  /** Size of its file; of an ONNX model, with those of its data. */
  bytes: number;
  /**
   * Seconds from one picture's pixels to its probabilities, on this machine: the median of {@link LATENCY_RUNS}
   * predictions of a single picture, in turn. Decoding is not counted.
   */
  latency: number;
}

/** Predictions that the latency is the median of, and those before them that warm up. */
export const LATENCY_RUNS = 31;
const WARM_UP = 5;

/** Measures the model in a file, on the device and in the precision that are given. */
export async function costOf(
  file: string,
  preprocessing: Preprocessing,
  execution: NativeExecution,
): Promise<ModelCost> {
  const { architecture, parameters, bytes } = await sizeOf(file);
  // All pictures take equally long.
  const pixels = new Uint8Array(pixelBytes(preprocessing)).fill(128);
  const classifier = makeClassifier(file, preprocessing, execution);
  const seconds: number[] = [];
  try {
    await native(classifier.load());
    for (let i = -WARM_UP; i < LATENCY_RUNS; i++) {
      const started = performance.now();
      const answers = await native(classifier.probabilities(pixels));
      if (i >= 0) seconds.push((performance.now() - started) / 1000);
      checkFinite(answers, { rows: 1, model: file, nameOf: () => 'a grey picture' });
    }
  } finally {
    await classifier.close();
  }
  const latency = seconds.sort((a, b) => a - b)[(LATENCY_RUNS - 1) / 2] as number;
  return { architecture: architecture ?? 'unknown', parameters, bytes, latency };
}

async function sizeOf(
  file: string,
): Promise<{ architecture: string | null; parameters: number; bytes: number }> {
  if (isOnnx(file)) return readOnnx(file);
  const { architecture, parameters } = await inspect(file);
  const { size } = await stat(file);
  return { architecture, parameters, bytes: size };
}
