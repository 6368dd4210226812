/**
 * Runs an ONNX model in a thread of its own, as both runtimes hold the thread that they are called on: a batch of a large
 * model takes seconds.
 */
import { parentPort } from 'node:worker_threads';
import { readFile } from '../../files.js';
import {
  fromHalves,
  type Layout,
  layOut,
  normalizedValues,
  shapeOf,
  toHalves,
} from '../onnx/feed.js';
import { type InstalledRuntime, loadRuntime, type RUNTIMES } from '../onnx/runtime.js';
import { LARGEST_ONNX } from './contents.js';
import { externalPath, type PictureInput } from './model.js';
import { withoutPictureSteps } from './whole-picture.js';

/** Asks for a model to be loaded. */
export interface LoadRequest {
  file: string;
  /** Files of further weights, from the model's folder. */
  externalData: readonly string[];
  input: PictureInput;
  /** 0: the runtime's choice. */
  threads: number;
  /** The packages to try, in this order. */
  runtimes: readonly (typeof RUNTIMES)[number][];
}

/** Asks for the answers for pictures. */
export interface RunRequest {
  /** uint8 RGB (count, size, size, 3). */
  pixels: Uint8Array;
  count: number;
  size: number;
  /** Those of the run. */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

/** An output for a batch. */
export interface Answer {
  name: string;
  /** Such as 'float32'. */
  type: string;
  shape: number[];
  /** The values of 16, 32 and 64-bit floats as float32; `null` of others. */
  data: Float32Array | null;
}

/** The outcome of a request. */
export type Outcome =
  | { runtime: string }
  | { outputs: Answer[] }
  /** No runtime is there, or none that loads. */
  | { absent: string }
  | { refused: string; runtime: string };

interface Loaded {
  ort: InstalledRuntime['ort'];
  session: import('onnxruntime-web').InferenceSession;
  input: PictureInput;
}

let loaded: Loaded | undefined;
/** The runtime's name, as far as it is known. */
let runtimeName = 'an onnxruntime';

async function load(request: LoadRequest): Promise<Outcome> {
  const { input, threads } = request;
  const runtime = await loadRuntime(request.runtimes);
  if (typeof runtime === 'string') return { absent: runtime };
  const { ort, name } = runtime;
  runtimeName = name;
  const isNode = runtime.package === 'onnxruntime-node';
  if (!isNode) {
    // It is of the whole runtime, which this thread has for itself.
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = 'error';
  }
  const options: import('onnxruntime-web').InferenceSession.SessionOptions = {
    logSeverityLevel: 3,
    ...(isNode && threads > 0 && { intraOpNumThreads: threads }),
  };
  const { file, externalData } = request;
  let session: Loaded['session'];
  if (isNode && externalData.length > 0) {
    session = await ort.InferenceSession.create(file, options);
  } else {
    const bytes = await readFile(file, { limit: LARGEST_ONNX });
    const model = input.isWholePicture ? withoutPictureSteps(bytes) : bytes;
    const data = await Promise.all(externalData.map((location) => readExternal(file, location)));
    session = await ort.InferenceSession.create(model, {
      ...options,
      ...(data.length > 0 && { externalData: data }),
    });
  }
  loaded = { ort, session, input };
  return { runtime: name };
}

async function readExternal(file: string, location: string) {
  const data = await readFile(externalPath(file, location), { limit: LARGEST_EXTERNAL });
  return { path: location, data };
}

/** Bytes of a file of weights at most that WebAssembly can hold. */
const LARGEST_EXTERNAL = 2 ** 32;

async function run({ pixels, count, size, mean, std }: RunRequest): Promise<Outcome> {
  if (!loaded) throw new Error('no model is loaded');
  const { ort, session, input } = loaded;
  const { type, values } = input;
  const layout: Layout = input.isWholePicture ? 'NCHW' : input.layout;
  const shape = shapeOf(count, size, layout);
  const numbers = values === 'normalized' ? { mean, std } : { mean: NONE, std: WHOLE };
  const table = normalizedValues(numbers);
  const tensor =
    type === 'uint8'
      ? new ort.Tensor('uint8', layOut(pixels, size, layout, BYTES), shape)
      : type === 'float16'
        ? new ort.Tensor('float16', layOut(pixels, size, layout, toHalves(table)), shape)
        : new ort.Tensor('float32', layOut(pixels, size, layout, table), shape);
  const answers = await session.run({ [input.name]: tensor });
  const outputs = session.outputNames.map((name): Answer => {
    const { type, dims, data } = answers[name] as import('onnxruntime-web').Tensor;
    return { name, type, shape: [...dims], data: asFloats(type, data as ArrayBufferView) };
  });
  return { outputs };
}

const NONE = [0, 0, 0] as const;
const WHOLE = [1, 1, 1] as const;
/** Each value stands for itself. */
const BYTES = Uint8Array.from({ length: 256 * 3 }, (_, i) => i / 3);

function asFloats(type: string, data: ArrayBufferView): Float32Array | null {
  if (type === 'float32') return Float32Array.from(data as Float32Array);
  if (type === 'float64') return Float32Array.from(data as Float64Array);
  if (type !== 'float16') return null;
  return fromHalves(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2));
}

parentPort?.on('message', async (request: LoadRequest | RunRequest) => {
  let outcome: Outcome;
  try {
    outcome = 'file' in request ? await load(request) : await run(request);
  } catch (error) {
    outcome = { refused: (error as Error).message ?? String(error), runtime: runtimeName };
  }
  parentPort?.postMessage(outcome);
});
