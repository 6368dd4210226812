import { DistillError } from '../../errors.js';
import type { NativeClassifier } from '../../native.js';
import type { Preprocessing } from '../preprocessing.js';
import { readOnnx } from './model.js';
import { OnnxNetwork, type OpenOnnxOptions } from './network.js';

/** An ONNX model with the calls of the addon's classifier. */
export class OnnxClassifier implements NativeClassifier {
  readonly #file: string;
  readonly #preprocessing: Preprocessing;
  readonly #options: OpenOnnxOptions;
  #network: OnnxNetwork | undefined;

  constructor(file: string, preprocessing: Preprocessing, options: OpenOnnxOptions) {
    this.#file = file;
    this.#preprocessing = preprocessing;
    this.#options = options;
  }

  async load(): Promise<{ warning: null }> {
    const model = await readOnnx(this.#file);
    this.#network = await OnnxNetwork.open(model, this.#preprocessing, this.#options);
    return { warning: null };
  }

  async logits(pixels: Uint8Array): Promise<Float32Array> {
    if (this.#network) return this.#network.logits(pixels);
    throw new DistillError('ERR_CLOSED', `'${this.#file}' is not loaded.`);
  }

  async probabilities(pixels: Uint8Array): Promise<Float32Array> {
    const values = await this.logits(pixels);
    const classes = this.#network?.classes ?? 1;
    for (let first = 0; first < values.length; first += classes) {
      softmax(values.subarray(first, first + classes));
    }
    return values;
  }

  async close(): Promise<void> {
    await this.#network?.close();
    this.#network = undefined;
  }
}

/** Turns a row of logits into probabilities, in place; all are NaN where a logit is not finite. */
function softmax(row: Float32Array): void {
  const largest = row.reduce((a, b) => Math.max(a, b));
  const sum = row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  const isWell = row.every(Number.isFinite);
  for (const [i, logit] of row.entries()) {
    row[i] = isWell ? Math.exp(logit - largest) / sum : Number.NaN;
  }
}
