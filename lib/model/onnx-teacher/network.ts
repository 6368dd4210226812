import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { DistillError } from '../../errors.js';
import { packageRoot } from '../../package.js';
import { printable } from '../../words.js';
import { RUNTIMES } from '../onnx/runtime.js';
import type { Preprocessing } from '../preprocessing.js';
import { describePort, mayBeLogits, type OnnxModel, refusal } from './model.js';
import type { Answer, LoadRequest, Outcome, RunRequest } from './worker.js';

/** Pictures that the runtime answers for at once: few enough to stop soon. */
const BATCH = 16;
/** The smallest normal float32: no probability counts as less, so that its logarithm is finite (-87.3). */
const SMALLEST = 2 ** -126;

export interface OpenOnnxOptions {
  /** 0: one per processor. */
  threads: number;
  /** The number of classes that is expected, which chooses among several outputs. */
  classes?: number | undefined;
  /** The packages to try, in this order. Default: {@link RUNTIMES}. */
  runtimes?: LoadRequest['runtimes'];
  signal?: AbortSignal | undefined;
}

/** An ONNX model that answers for pictures, in a thread of its own until it is closed. */
export class OnnxNetwork {
  /** Such as `onnxruntime-node 1.30.0`. */
  readonly runtime: string;
  readonly path: string;
  /** The number of its classes. */
  readonly classes: number;
  readonly #thread: Thread;
  readonly #model: OnnxModel;
  readonly #preprocessing: Preprocessing;
  readonly #probed: Probed;

  private constructor(
    thread: Thread,
    runtime: string,
    model: OnnxModel,
    preprocessing: Preprocessing,
    probed: Probed,
  ) {
    this.#thread = thread;
    this.#model = model;
    this.#preprocessing = preprocessing;
    this.#probed = probed;
    this.runtime = runtime;
    this.path = model.path;
    this.classes = probed.classes;
  }

  /**
   * Loads a model, and has it answer for two made-up pictures: these show its classes, and that it runs.
   *
   * @throws DistillError `ERR_ONNX_RUNTIME` where no onnxruntime is there, `ERR_ONNX` where the model takes pictures of another
   * size, does not run, or gives no logits.
   */
  static async open(
    model: OnnxModel,
    preprocessing: Preprocessing,
    { threads, classes, runtimes = RUNTIMES, signal }: OpenOnnxOptions,
  ): Promise<OnnxNetwork> {
    const { path, externalData, input } = model;
    expectSize(model, preprocessing);
    signal?.throwIfAborted();
    const thread = new Thread();
    try {
      const request: LoadRequest = { file: path, externalData, input, threads, runtimes };
      const outcome = await thread.ask(request);
      if ('absent' in outcome) {
        throw new DistillError(
          'ERR_ONNX_RUNTIME',
          `The ONNX model '${path}' needs an onnxruntime, but ${outcome.absent}; run \`npm install onnxruntime-node\`.`,
        );
      }
      if (!('runtime' in outcome) || 'refused' in outcome) throw notRun(path, outcome);
      const { runtime } = outcome;
      signal?.throwIfAborted();
      const probed = await probe(thread, model, preprocessing, classes);
      return new OnnxNetwork(thread, runtime, model, preprocessing, probed);
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  /**
   * Returns the model's logits; of a model that ends with a softmax, the logarithms of its probabilities, which differ from
   * its logits by a constant for each picture and so have the same softmax at any temperature.
   *
   * @param pixels uint8 RGB (n, imageSize, imageSize, 3).
   * @returns (n, classes), row by row.
   * @throws DistillError `ERR_ONNX` where the model does not run; the signal's reason once it is aborted.
   */
  async logits(pixels: Uint8Array, signal?: AbortSignal): Promise<Float32Array> {
    const { imageSize } = this.#preprocessing;
    const { path } = this.#model;
    const { batch, classes, output, isSoftmax } = this.#probed;
    const bytes = imageSize * imageSize * 3;
    const count = pixels.length / bytes;
    const logits = new Float32Array(count * classes);
    const most = batch ?? BATCH;
    for (let first = 0; first < count; first += most) {
      signal?.throwIfAborted();
      const part = pixels.slice(first * bytes, (first + most) * bytes);
      const images = part.length / bytes;
      // A batch of a fixed size is filled up with black.
      const fed = batch === null ? part : padded(part, batch * bytes);
      const request = requestOf(fed, fed.length / bytes, this.#preprocessing);
      const outputs = await answersOf(this.#thread, path, request);
      const rows = outputs.find(({ name }) => name === output)?.data;
      if (rows?.length !== request.count * classes) {
        throw refusal(path, `does not give ${classes} answers for each picture of a batch`);
      }
      logits.set(rows.subarray(0, images * classes), first * classes);
    }
    if (isSoftmax) takeLogarithms(path, logits, classes);
    return logits;
  }

  /** Ends its thread; its memory goes with it. */
  async close(): Promise<void> {
    await this.#thread.end();
  }
}

/** The facts that the answers for made-up pictures show. */
interface Probed {
  output: string;
  classes: number;
  /** True where the output is probabilities. */
  isSoftmax: boolean;
  /** Pictures that the model takes at once; `null` for any number. */
  batch: number | null;
}

function expectSize({ path, input }: OnnxModel, { imageSize }: Preprocessing): void {
  if (input.size === null || input.size === imageSize) return;
  throw refusal(
    path,
    `takes pictures of ${input.size} x ${input.size} pixels, but \`imageSize\` is ${imageSize}`,
    `set \`imageSize\` to ${input.size} (--image-size ${input.size}), or export it for any height and width`,
  );
}

async function probe(
  thread: Thread,
  model: OnnxModel,
  preprocessing: Preprocessing,
  classes: number | undefined,
): Promise<Probed> {
  const { path, input } = model;
  const answer = async (count: number) => {
    const length = count * preprocessing.imageSize ** 2 * 3;
    // Noise: pictures whose answers differ.
    const pixels = Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
    const request = requestOf(pixels, count, preprocessing);
    return probedOf(model, await answersOf(thread, path, request), count, classes);
  };
  if (input.batch !== null) return { ...(await answer(input.batch)), batch: input.batch };
  try {
    return { ...(await answer(2)), batch: null };
  } catch (error) {
    // Some models say that they take any number, but were traced with one.
    const alone = await answer(1).catch(() => null);
    if (!alone) throw error;
    return { ...alone, batch: 1 };
  }
}

/** Finds the logits among the outputs for so many pictures. */
function probedOf(
  { path, outputs: ports }: OnnxModel,
  outputs: readonly Answer[],
  count: number,
  expected: number | undefined,
): Omit<Probed, 'batch'> {
  const fitting = outputs.filter(
    ({ type, shape }) => mayBeLogits({ name: '', type, shape }) && shape[0] === count && shape[1],
  );
  const sized = fitting.filter(({ shape }) => shape[1] === expected);
  const chosen = fitting.length > 1 ? sized : fitting;
  const [output] = chosen;
  if (!output?.data || chosen.length > 1) {
    const names = ports.map(describePort).join(', ');
    const wanted = expected === undefined ? 'classes' : `${expected}`;
    throw refusal(
      path,
      `has the outputs ${names}, of which ${chosen.length === 0 ? 'none is' : 'several may be'} logits (N, ${wanted})`,
    );
  }
  const { name, type, shape, data } = output;
  const classes = shape[1] as number;
  const isSoftmax = rowsOf(data, classes).every((row) => isDistribution(row, toleranceOf(type)));
  return { output: name, classes, isSoftmax };
}

/** Returns by how much probabilities may sum up to something else than 1. */
function toleranceOf(type: string): number {
  return type === 'float16' ? 1e-2 : 1e-3;
}

function isDistribution(row: Float32Array, tolerance: number): boolean {
  const sum = row.reduce((sum, value) => sum + value, 0);
  return row.every((value) => value >= 0) && Math.abs(sum - 1) <= tolerance;
}

function rowsOf(values: Float32Array, length: number): Float32Array[] {
  return Array.from({ length: values.length / length }, (_, i) =>
    values.subarray(i * length, (i + 1) * length),
  );
}

/** Turns probabilities into their logarithms, in place. A value that is not finite stays so. */
function takeLogarithms(path: string, probabilities: Float32Array, classes: number): void {
  for (const row of rowsOf(probabilities, classes)) {
    if (row.every(Number.isFinite) && !isDistribution(row, toleranceOf('float16'))) {
      throw refusal(
        path,
        'answers with probabilities for some pictures, and for others not',
        'export it without its last steps, so that it gives logits',
      );
    }
    for (const [i, value] of row.entries()) row[i] = Math.log(Math.max(value, SMALLEST));
  }
}

function requestOf(
  pixels: Uint8Array,
  count: number,
  { imageSize: size, mean, std }: Preprocessing,
): RunRequest {
  return { pixels, count, size, mean, std };
}

function padded(pixels: Uint8Array, length: number): Uint8Array {
  if (pixels.length === length) return pixels;
  const whole = new Uint8Array(length);
  whole.set(pixels);
  return whole;
}

async function answersOf(thread: Thread, path: string, request: RunRequest): Promise<Answer[]> {
  const outcome = await thread.ask(request);
  if ('outputs' in outcome) return outcome.outputs;
  throw notRun(path, outcome);
}

function notRun(path: string, outcome: Outcome): DistillError {
  const failed = 'refused' in outcome ? outcome : ENDED;
  const [first = ''] = failed.refused.trim().split('\n');
  return refusal(
    path,
    `is not run by ${failed.runtime} (${printable(first)})`,
    'export it for an older opset or in float32, or update onnxruntime',
  );
}

/** The outcome of a thread that is no more. */
const ENDED = { refused: 'its thread ended', runtime: 'an onnxruntime' } as const;

/** The compiled one, also where this file runs as TypeScript. */
const WORKER = path.join(packageRoot, 'dist/model/onnx-teacher/worker.js');

/** A thread that runs a model. It keeps the process alive only while it is asked. */
class Thread {
  readonly #worker = new Worker(WORKER, { execArgv: [] });
  #last: Promise<unknown> = Promise.resolve();
  /** The outcome of whatever it is asked, once it does not answer any more. */
  #end: Outcome | null = null;

  constructor() {
    this.#worker.unref();
    this.#worker.on('error', ({ message }: Error) => {
      this.#end ??= { ...ENDED, refused: message };
    });
    this.#worker.on('exit', () => {
      this.#end ??= ENDED;
    });
  }

  /** Asks it when it has answered all that it was asked before. */
  ask(request: LoadRequest | RunRequest): Promise<Outcome> {
    const outcome = this.#last.then(() => this.#ask(request));
    this.#last = outcome;
    return outcome;
  }

  async #ask(request: LoadRequest | RunRequest): Promise<Outcome> {
    if (this.#end !== null) return this.#end;
    const worker = this.#worker;
    worker.ref();
    try {
      return await new Promise<Outcome>((resolve) => {
        const settle = (outcome: Outcome) => {
          worker.off('message', settle);
          worker.off('exit', ended);
          resolve(outcome);
        };
        const ended = () => settle(this.#end ?? ENDED);
        worker.on('message', settle);
        worker.on('exit', ended);
        worker.postMessage(request);
      });
    } finally {
      worker.unref();
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
