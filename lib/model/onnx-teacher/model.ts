import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { DistillError } from '../../errors.js';
import { sha256 } from '../../files.js';
import { printable } from '../../words.js';
import { type ModelMetadata, parseMetadata } from '../metadata.js';
import type { Layout } from '../onnx/feed.js';
import { metadataIn, normalizesItself } from '../onnx/properties.js';
import { type FoundRecipe, findRecipe } from '../recipes.js';
import { type OnnxContents, type OnnxPort, readOnnxContents } from './contents.js';

/** The input of a model that answers for pictures. */
export interface PictureInput {
  name: string;
  type: 'float32' | 'float16' | 'uint8';
  layout: Layout;
  /** Pictures that it takes at once; `null` for any number. */
  batch: number | null;
  /** The side of the pictures, in pixels; `null` for any. */
  size: number | null;
  /** The numbers that it is fed: pixels of 0..255, the same in 0..1, or normalised by the run's mean and std. */
  values: 'bytes' | 'unit' | 'normalized';
  /** True of this package's models of one whole picture, which resize it themselves. */
  isWholePicture: boolean;
}

/** An ONNX model that can teach, as far as its file tells. */
export interface OnnxModel extends OnnxContents {
  architecture: 'onnx';
  input: PictureInput;
  /** The number of classes; `null` where only its answers tell. */
  classes: number | null;
  /** The metadata of a model that `exportOnnx()` wrote. */
  metadata: ModelMetadata | null;
  /** The preprocessing that another program wrote into it or beside it; see `CheckpointContents`. */
  recipe: FoundRecipe | null;
}

/**
 * Reads an ONNX model and checks its input and outputs. Nothing of it is run.
 *
 * @throws DistillError `ERR_CHECKPOINT_NOT_FOUND`, and `ERR_ONNX` where it is no whole model, or not one of pictures.
 */
export async function readOnnx(file: string, signal?: AbortSignal): Promise<OnnxModel> {
  const contents = await readOnnxContents(file, signal);
  const sizes = await Promise.all(
    contents.externalData.map((location) => sizeOfExternal(file, location)),
  );
  const isOurs = contents.producer === 'node-distill' || contents.properties.has('distill.json');
  const json = isOurs ? metadataIn(contents.properties) : null;
  const metadata = json === null ? null : parseMetadata(json, file);
  const texts = Array.from(contents.properties, ([name, text]) => ({ name, text }));
  return {
    ...contents,
    bytes: sizes.reduce((sum, size) => sum + size, contents.bytes),
    architecture: 'onnx',
    input: inputOf(contents, metadata),
    classes: classesOf(contents),
    metadata,
    recipe: metadata ? null : await findRecipe(file, texts),
  };
}

/** Returns the bytes of a file of further weights, which must lie in the model's folder. */
async function sizeOfExternal(file: string, location: string): Promise<number> {
  const refuse = (where: string) =>
    refusal(file, `has weights in '${printable(location)}', ${where}`, 'put its data beside it');
  // As ONNX asks: a path that leads elsewhere would have any file read.
  if (/^([\\/]|[A-Za-z]:|$)|(^|[\\/])\.\.([\\/]|$)/.test(location)) {
    throw refuse('not in a file of its own folder');
  }
  const found = await stat(externalPath(file, location)).catch(() => null);
  if (!found?.isFile()) throw refuse('which is not there');
  return found.size;
}

/** Returns the path of a file of further weights. */
export function externalPath(file: string, location: string): string {
  return path.join(path.dirname(file), location);
}

/**
 * Returns the SHA-256 of a model: of its file, or, where it has weights in further files, of the digests and names of all.
 */
export async function sha256OfOnnx(
  { path: file, externalData }: OnnxContents,
  signal?: AbortSignal,
): Promise<string> {
  const parts = [await sha256(file, signal)];
  for (const location of externalData.toSorted()) {
    parts.push(location, await sha256(externalPath(file, location), signal));
  }
  if (parts.length === 1) return parts[0] as string;
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Pictures of a batch of a fixed size, at most: more of them would take gigabytes. */
const LARGEST_BATCH = 1024;

function inputOf(
  { path: file, inputs, properties, producer }: OnnxContents,
  metadata: ModelMetadata | null,
): PictureInput {
  const [port] = inputs;
  if (!port || inputs.length > 1) {
    const names = inputs.map(describePort).join(', ') || 'none';
    throw refusal(file, `has ${inputs.length} inputs (${names}), not one for pictures`);
  }
  const { name, type, shape } = port;
  if (type !== 'float32' && type !== 'float16' && type !== 'uint8') {
    throw refusal(file, `takes ${describePort(port)}, not pictures as float32, float16 or uint8`);
  }
  if (producer === 'node-distill' && type === 'uint8' && shape?.length === 3 && metadata) {
    return {
      name,
      type,
      layout: 'NHWC',
      batch: null,
      size: metadata.imageSize,
      values: 'bytes',
      isWholePicture: true,
    };
  }
  const layout = shape?.length === 4 ? layoutOf(shape) : null;
  if (!shape || !layout) {
    const expected = '(N, 3, height, width) or (N, height, width, 3)';
    throw refusal(file, `takes ${describePort(port)}, not pictures of the shape ${expected}`);
  }
  const [batch = null] = shape;
  const [height = null, width = null] = shape.slice(layout === 'NCHW' ? 2 : 1);
  if (batch === 0 || height === 0 || width === 0 || (height && width && height !== width)) {
    throw refusal(file, `takes ${describePort(port)}, but pictures are squares here`);
  }
  if (batch !== null && batch > LARGEST_BATCH) {
    throw refusal(
      file,
      `takes batches of ${batch} pictures, and ${LARGEST_BATCH} are the most`,
      'export it for a batch of any size',
    );
  }
  const own = type === 'uint8' ? 'bytes' : 'unit';
  return {
    name,
    type,
    layout,
    batch,
    size: height ?? width,
    values: type === 'uint8' || normalizesItself(properties) ? own : 'normalized',
    isWholePicture: false,
  };
}

/** Returns the order of a shape of four; `null` where none of its sides is the three colours'. */
function layoutOf(shape: readonly (number | null)[]): Layout | null {
  if (shape[1] === 3) return 'NCHW';
  if (shape[3] === 3) return 'NHWC';
  return shape[1] === null ? 'NCHW' : null;
}

/** Returns the number of classes, where one output alone can be the logits and says it. */
function classesOf({ path: file, outputs, makers }: OnnxContents): number | null {
  const fitting = outputs.filter(mayBeLogits);
  if (fitting.length === 0) {
    const names = outputs.map(describePort).join(', ') || 'none';
    throw refusal(file, `has the outputs ${names}, none of which is logits (N, classes)`);
  }
  if (fitting.every(({ name }) => makers.get(name) === 'Sigmoid')) {
    throw refusal(
      file,
      'ends with a sigmoid for each class, whose answers are no logits',
      'export it without that, if its classes exclude each other',
    );
  }
  const numbers = new Set(fitting.map(({ shape }) => shape?.[1] ?? null));
  const [only = null] = numbers;
  return numbers.size === 1 ? only : null;
}

/** Tells whether an output may be logits (N, classes), with further sides of 1 as some networks have them. */
export function mayBeLogits({ type, shape }: OnnxPort): boolean {
  if (!/^float(16|32|64)$/.test(type)) return false;
  return !shape || (shape.length >= 2 && shape.slice(2).every((side) => side === 1 || !side));
}

/** Describes an input or an output: `'images' float32 (N, 3, 224, 224)`. */
export function describePort({ name, type, shape }: OnnxPort): string {
  const sides = shape?.map((side, i) => side ?? (i === 0 ? 'N' : 'any')).join(', ');
  return `'${name}' ${type}${shape ? ` (${sides})` : ''}`;
}

const CLASSIFIER =
  'export a classifier of pictures, (N, 3, height, width) to (N, classes), with no other inputs';

/** Returns the refusal of an ONNX model as a teacher. */
export function refusal(
  file: string,
  what: string,
  remedy = CLASSIFIER,
  cause?: unknown,
): DistillError {
  return new DistillError('ERR_ONNX', `'${file}' ${what}; ${remedy}.`, { cause });
}
