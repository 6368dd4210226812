/**
 * HEIC and JPEG XL where sharp's libvips reads neither: through libraries in WebAssembly, `libheif-js` (LGPL, libheif and
 * libde265) and `jxl-oxide-wasm` (MIT), which are optional peers, in threads of their own. Both turn the picture as its
 * container says.
 */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import sharp from 'sharp';
import { packageRoot } from '../../package.js';
import { limitConcurrency } from './concurrency.js';
import {
  BadImage,
  checkSize,
  MAX_PIXELS_KEPT,
  type OpenedImage,
  type OpenOptions,
  type Region,
} from './image.js';
import type { CodecKind } from './kinds.js';
import { openWithSharp } from './sharp.js';

/** What is asked of a thread: the size of a picture, and its pixels where `decode` says so. */
export interface CodecRequest {
  kind: CodecKind;
  data: Uint8Array;
  decode: boolean;
}

/** Its answer: one of the first two, or the rest. */
export interface CodecAnswer {
  /** The library is not installed. */
  isAbsent?: boolean;
  /** The reason why the file is not read. */
  refusal?: string;
  width?: number;
  height?: number;
  /** uint8 RGB (height, width, 3), or the same as a PNG. */
  rgb?: Uint8Array;
  png?: Uint8Array;
}

const LIBRARIES: Readonly<Record<CodecKind, { name: string; library: string }>> = {
  heic: { name: 'HEIC', library: 'libheif-js' },
  jxl: { name: 'JPEG XL', library: 'jxl-oxide-wasm' },
};

/** Tells whether the libvips that sharp was built with reads a kind. */
export function isReadBySharp(kind: CodecKind): boolean {
  if (kind === 'jxl') return sharp.format.jxl.input.buffer;
  return sharp.format.heif.input.fileSuffix?.includes('.heic') ?? false;
}

/**
 * Reads the header of a HEIC or a JPEG XL.
 *
 * @throws {BadImage} Where it is damaged or too large, and where nothing here reads its kind.
 */
export async function openWithCodec(
  kind: CodecKind,
  data: Uint8Array,
  options: OpenOptions = {},
): Promise<OpenedImage> {
  if (isReadBySharp(kind)) return openWithSharp(data, options);
  const { maxPixels = MAX_PIXELS_KEPT, signal } = options;
  const request = { kind, data };
  const { width = 0, height = 0 } = await ask({ ...request, decode: false }, signal);
  checkSize(width, height, maxPixels);

  const read = async (region: Region) => {
    const answer = await ask({ ...request, decode: true }, signal);
    if (answer.png) return (await openWithSharp(answer.png, { signal })).read(region);
    const rgb = answer.rgb ?? new Uint8Array(0);
    if (rgb.length !== 3 * width * height) throw new BadImage('changed while it was read');
    return cut(rgb, width, region);
  };
  return { width, height, read };
}

function cut(rgb: Uint8Array, width: number, region: Region): Uint8Array {
  const out = new Uint8Array(3 * region.width * region.height);
  for (let y = 0; y < region.height; y++) {
    const from = 3 * ((region.top + y) * width + region.left);
    out.set(rgb.subarray(from, from + 3 * region.width), 3 * y * region.width);
  }
  return out;
}

const limited = limitConcurrency(availableParallelism());
const idle: Worker[] = [];

/** Asks a thread, and throws it away where it did not answer with a picture: the library may be in any state. */
function ask(request: CodecRequest, signal: AbortSignal | undefined): Promise<CodecAnswer> {
  return limited(async () => {
    signal?.throwIfAborted();
    const worker = idle.pop() ?? new Worker(WORKER, { execArgv: [] });
    worker.ref();
    let isWell = false;
    try {
      const answer = await answerOf(worker, request, signal);
      const { name, library } = LIBRARIES[request.kind];
      if (answer.isAbsent) {
        throw new BadImage(
          `is a ${name} picture, which nothing here reads: install the package ${library} beside this one, or convert the picture to JPEG or PNG`,
        );
      }
      if (answer.refusal !== undefined) {
        throw new BadImage(
          `is a ${name} picture that ${library} does not read (${answer.refusal.trim()})`,
        );
      }
      isWell = true;
      return answer;
    } finally {
      worker.unref();
      if (isWell) idle.push(worker);
      else await worker.terminate();
    }
  });
}

/** The compiled one, also where this file runs as TypeScript. */
const WORKER = path.join(packageRoot, 'dist/data/decode/codec-worker.js');

function answerOf(
  worker: Worker,
  request: CodecRequest,
  signal: AbortSignal | undefined,
): Promise<CodecAnswer> {
  return new Promise<CodecAnswer>((resolve, reject) => {
    // Each is taken away again: the thread goes on to other pictures.
    const listeners = {
      message: (answer: CodecAnswer) => settle(() => resolve(answer)),
      error: (error: Error) => settle(() => resolve({ refusal: error.message })),
      exit: () => settle(() => resolve({ refusal: 'its decoder ended' })),
    };
    const abort = () => settle(() => reject(signal?.reason));
    const settle = (action: () => void) => {
      for (const [event, listener] of Object.entries(listeners)) worker.off(event, listener);
      signal?.removeEventListener('abort', abort);
      action();
    };
    for (const [event, listener] of Object.entries(listeners)) worker.on(event, listener);
    signal?.addEventListener('abort', abort);
    worker.postMessage(request);
  });
}
