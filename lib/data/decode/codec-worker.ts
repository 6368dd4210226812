/**
 * Decodes HEIC and JPEG XL in a thread of its own, by libraries in WebAssembly that a user installs beside the package.
 * One that stumbles over a file is thrown away with its memory, which WebAssembly bounds to 4 GB at most.
 */
import { readFile } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import type { CodecAnswer, CodecRequest } from './codec.js';

/** The part of libheif-js that is used. */
interface Libheif {
  ready?: Promise<unknown>;
  HeifDecoder: new () => { decode(data: Uint8Array): HeifImage[]; decoder: { delete(): void } };
}

interface HeifImage {
  is_primary(): boolean;
  get_width(): number;
  get_height(): number;
  display(
    image: { data: Uint8ClampedArray; width: number; height: number },
    done: (image: { data: Uint8ClampedArray } | null) => void,
  ): void;
  free(): void;
}

/** The part of jxl-oxide-wasm that is used. */
interface JxlOxide {
  default(options: { module_or_path: Uint8Array }): Promise<unknown>;
  JxlImage: new () => {
    feedBytes(data: Uint8Array): void;
    tryInit(): boolean;
    width: number;
    height: number;
    loaded: boolean;
    render(): { encodeToPng(): Uint8Array };
    free(): void;
  };
}

// A variable name, so that TypeScript does not ask for the types of a package that may be absent.
const load = (name: string): Promise<unknown> => import(name);

let libheif: Promise<Libheif> | undefined;

async function loadLibheif(): Promise<Libheif> {
  const { default: library } = (await load('libheif-js/wasm-bundle.js')) as { default: Libheif };
  await library.ready;
  return library;
}

/** The last words of libheif-js, which tells what is wrong with a file on the console only. */
let complaint = '';
console.log = (...words: unknown[]) => {
  complaint = words
    .map((word) => (word as { message?: string } | null)?.message ?? word)
    .filter((word) => typeof word === 'string')
    .join(': ');
};

async function readHeic({ data, decode }: CodecRequest): Promise<CodecAnswer> {
  libheif ??= loadLibheif();
  const { HeifDecoder } = await libheif;
  const decoder = new HeifDecoder();
  complaint = '';
  const images = decoder.decode(data);
  const image = images.find((image) => image.is_primary()) ?? images[0];
  if (!image) return { refusal: complaint || 'it holds no picture' };
  const width = image.get_width();
  const height = image.get_height();
  const answer: CodecAnswer = { width, height };
  if (decode) {
    const rgba = new Uint8ClampedArray(4 * width * height);
    const shown = await new Promise((resolve) =>
      image.display({ data: rgba, width, height }, resolve),
    );
    if (!shown) return { refusal: complaint || 'its pixels cannot be decoded' };
    answer.rgb = withoutAlpha(rgba);
  }
  for (const image of images) image.free();
  decoder.decoder.delete();
  return answer;
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] ?? 0;
    rgb[to + 1] = rgba[from + 1] ?? 0;
    rgb[to + 2] = rgba[from + 2] ?? 0;
  }
  return rgb;
}

let jxlOxide: Promise<JxlOxide> | undefined;

async function loadJxlOxide(): Promise<JxlOxide> {
  const library = (await load('jxl-oxide-wasm')) as JxlOxide;
  const module = await readFile(new URL(import.meta.resolve('jxl-oxide-wasm/module.wasm')));
  await library.default({ module_or_path: module });
  return library;
}

async function readJxl({ data, decode }: CodecRequest): Promise<CodecAnswer> {
  jxlOxide ??= loadJxlOxide();
  const { JxlImage } = await jxlOxide;
  const image = new JxlImage();
  image.feedBytes(data);
  if (!image.tryInit()) return { refusal: 'it ends within its header' };
  const answer: CodecAnswer = { width: image.width, height: image.height };
  if (decode) {
    if (!image.loaded) return { refusal: 'it ends before its pixels do' };
    answer.png = image.render().encodeToPng();
  }
  image.free();
  return answer;
}

const readers = { heic: readHeic, jxl: readJxl };

parentPort?.on('message', async (request: CodecRequest) => {
  let answer: CodecAnswer;
  try {
    answer = await readers[request.kind](request);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    answer = code === 'ERR_MODULE_NOT_FOUND' ? { isAbsent: true } : { refusal: message };
  }
  parentPort?.postMessage(answer);
});
