import { availableParallelism } from 'node:os';
import { loadJpegAddon } from '../addon.js';
import { DistillError } from '../errors.js';
import { readBeginning, UnreadableFile } from '../files.js';
import { type PixelPreprocessing, pixelBytes } from '../model/preprocessing.js';
import { isUnicode } from '../names.js';
import { printable } from '../words.js';
import { openBmp } from './decode/bmp.js';
import { openWithCodec } from './decode/codec.js';
import { limitConcurrency } from './decode/concurrency.js';
import { exifOrientation } from './decode/exif.js';
import { BadImage, MAX_PIXELS, type OpenedImage, type OpenOptions } from './decode/image.js';
import { codecKind, notAnImage } from './decode/kinds.js';
import { openNetpbm } from './decode/netpbm.js';
import { openWithSharp } from './decode/sharp.js';
import { cutOut, isPlainCrop, pixelSteps, resample } from './decode/steps.js';
import { mend } from './decode/truncated.js';
import { type ImageSource, isEntry, readSource, sourcePath } from './source.js';

export interface ReadOptions {
  /**
   * The largest picture that is read, in pixels, before anything is allocated for it. Default: {@link MAX_PIXELS}, and
   * half of it for the kinds of which a decoder keeps the whole picture (WebP, AVIF, GIF, progressive JPEG, interlaced PNG).
   */
  maxPixels?: number | undefined;
  /** Ends the reading between two parts: the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
}

export interface DecodeCropOptions extends ReadOptions {
  /**
   * Takes what there is of a picture whose file is damaged or cut short, as Pillow does under `LOAD_TRUNCATED_IMAGES`, and
   * is called with what is wrong with it.
   */
  onTruncated?: ((error: DistillError) => void) | undefined;
  /** Receives the pixels: `imageSize * imageSize * 3` bytes, every one of which is written. Default: a new array. */
  into?: Uint8Array;
  /** The picture's name in errors. Default: its path, or `buffer`. */
  name?: string;
  /** The orientation that the picture lies in, as EXIF numbers them. Default: what its EXIF says where that is applied, else 1. */
  orientation?: number;
}

/**
 * Decodes a picture file and cuts the square of `imageSize` pixels out of its middle: value for value as torchvision's
 * `CenterCrop(imageSize)` does with Pillow's `Image.open(file).convert('RGB')`. Sides shorter than `imageSize` are
 * padded with zeros (black). Where the preprocessing says so, the picture is turned upright before that (Pillow's
 * `exif_transpose`), resized (torchvision's `Resize`) and padded (`Pad`), in this order and to the same values.
 *
 * A file is recognised by its content, never by its name. JPEG, PNG, WebP, TIFF, GIF, AVIF, BMP, PBM, PGM and PPM are
 * read, and HEIC and JPEG XL where sharp's libvips or a library beside the package reads them; of several pages or
 * frames, the first. Files that are damaged or cut short
 * are refused, also where the missing part lies outside the crop.
 *
 * The values can differ from Pillow's (compared with 13.0) in these cases:
 * - TIFF with premultiplied alpha: by one, as libvips divides in floating point and Pillow in integers.
 * - TIFF with YCbCr samples outside of JPEG: libvips takes them for RGB.
 * - TIFF with 16-bit grey whose zero is white: is inverted, as the format asks; Pillow forgets to.
 * - TIFF in L*a*b*: is refused.
 * - GIF with transparent pixels: they are black; Pillow gives them the colour that the palette happens to hold.
 * - AVIF and HEIC: by a few levels, up to 10 at edges, as the decoders interpolate colour differently. Both are turned as
 *   their container says; Pillow turns an AVIF only with EXIF.
 * - JPEG XL that is not lossless: by one, as decoders may. It is turned as its header says, never by EXIF.
 * - BMP with a palette that is a ramp of grey but not of all 256: is read by its palette; Pillow takes the samples
 *   for another depth.
 *
 * @param source A path, the bytes of a file, or an entry of an archive.
 * @returns uint8 RGB (imageSize, imageSize, 3).
 * @throws {DistillError} `ERR_BAD_IMAGE` if there is no such file or it cannot be read as a picture. What sharp
 *   or the file system reported is the cause.
 * @throws {RangeError} If `into` has another length than the crop.
 */
export async function decodeCrop(
  source: ImageSource,
  preprocessing: PixelPreprocessing,
  options: DecodeCropOptions = {},
): Promise<Uint8Array> {
  const bytes = pixelBytes(preprocessing);
  const pixels = options.into ?? new Uint8Array(bytes);
  if (pixels.length !== bytes) {
    throw new RangeError(`expected ${bytes} bytes to decode into, received ${pixels.length}`);
  }
  try {
    await readPixels(source, preprocessing, pixels, options);
  } catch (error) {
    const bad = asBadImage(error, source, options.name);
    if (!options.onTruncated || !(error instanceof BadImage)) throw bad;
    if (!(await readMended(source, preprocessing, pixels, options))) throw bad;
    options.onTruncated(bad as DistillError);
  }
  return pixels;
}

/** Fills `pixels` with a picture; throws a {@link BadImage} or an {@link UnreadableFile} where it cannot. */
async function readPixels(
  source: ImageSource,
  preprocessing: PixelPreprocessing,
  pixels: Uint8Array,
  options: OpenOptions & Pick<DecodeCropOptions, 'orientation'>,
): Promise<void> {
  const { maxPixels = MAX_PIXELS, signal } = options;
  // EXIF is looked for in the whole file, which is in memory first then.
  const applies = preprocessing.exif === 'apply';
  const file = applies || isEntry(source) ? await readImage(source, signal) : source;
  const found = applies && typeof file !== 'string' ? exifOrientation(file) : 1;
  const steps = pixelSteps(preprocessing, options.orientation ?? found);
  // Ordinary JPEGs, read in one go; sharp sees to all that is unusual about one.
  const addon = typeof file === 'string' && !isUnicode(file) ? null : loadJpegAddon();
  if (await addon?.readJpeg({ source: file, steps, maxPixels, pixels })) return;

  const image = await openImage(file, options);
  if (isPlainCrop(steps)) await cutOut(image, steps.imageSize, pixels);
  else await resample(image, steps, pixels);
}

/** Fills `pixels` with what there is of a picture; false where that is nothing. */
async function readMended(
  source: ImageSource,
  preprocessing: PixelPreprocessing,
  pixels: Uint8Array,
  options: DecodeCropOptions,
): Promise<boolean> {
  const { maxPixels, signal } = options;
  try {
    const data = await readImage(source, signal);
    const mended = await mend(data, maxPixels);
    if (!mended) return false;
    // Only the pixels are kept, not the EXIF.
    const found = preprocessing.exif === 'apply' ? exifOrientation(data) : 1;
    const orientation = options.orientation ?? found;
    await readPixels(mended, preprocessing, pixels, {
      maxPixels,
      signal,
      orientation,
      isMended: true,
    });
    return true;
  } catch (error) {
    if (error instanceof BadImage || error instanceof UnreadableFile) return false;
    throw error;
  }
}

/** Bytes in which most headers lie. */
const HEADER = 2 ** 16;

/**
 * Returns a picture's width and height in pixels, as its header says them. The whole file is read only where its beginning
 * does not hold the header.
 *
 * @throws {DistillError} `ERR_BAD_IMAGE` as {@link decodeCrop}; what follows the header is not looked at.
 */
export async function readImageSize(
  source: ImageSource,
  options: ReadOptions = {},
): Promise<{ width: number; height: number }> {
  const sizeOf = async (data: ImageSource) => {
    const { width, height } = await openImage(data, options);
    return { width, height };
  };
  try {
    if (typeof source !== 'string') return await sizeOf(source);
    const beginning = await readBeginning(source, HEADER);
    return await sizeOf(beginning).catch(() => sizeOf(source));
  } catch (error) {
    throw asBadImage(error, source);
  }
}

/** Reads a picture's header. */
async function openImage(source: ImageSource, options: OpenOptions): Promise<OpenedImage> {
  const { maxPixels, signal, isMended } = options;
  const data = await readImage(source, signal);
  const opened = openBmp(data, maxPixels) ?? openNetpbm(data, maxPixels);
  if (opened) return opened;
  const kind = codecKind(data);
  return kind
    ? openWithCodec(kind, data, { maxPixels, signal })
    : openWithSharp(data, { maxPixels, signal, isMended });
}

/**
 * Returns the bytes of a picture's file: sharp is given these, as libvips would keep a path's pixels beyond a change of it.
 *
 * @throws BadImage where its beginning shows that it is no picture.
 */
async function readImage(
  source: ImageSource,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const check = (beginning: Uint8Array) => {
    const foreign = beginning.length === 0 ? 'is empty' : notAnImage(beginning.subarray(0, 4096));
    if (foreign !== null) throw new BadImage(foreign);
  };
  return readSource(source, { check, signal });
}

/** Returns the error of a picture that cannot be read as `ERR_BAD_IMAGE`; another error stays as it is. */
function asBadImage(error: unknown, source: ImageSource, givenName?: string): unknown {
  if (!(error instanceof BadImage || error instanceof UnreadableFile)) return error;
  const name = givenName ?? sourcePath(source) ?? 'buffer';
  return new DistillError(
    'ERR_BAD_IMAGE',
    `The picture ${printable(name)} is not read: it ${error.message}.`,
    {
      cause: error.cause ?? error,
    },
  );
}

export interface DecodeBatchesOptions extends ReadOptions {
  preprocessing: PixelPreprocessing;
  /** Pictures a batch; the last batch may be smaller. */
  batchSize: number;
  /**
   * Pictures decoded at the same time. Default: one more than the machine has cores, so that none of these waits
   * while a picture is handed over. The work is done on libuv's threads, of which there are four unless
   * `UV_THREADPOOL_SIZE` says otherwise.
   */
  concurrency?: number;
  /**
   * 'error' (the default): a picture that cannot be read ends everything; 'skip': it is left out of its batch; 'truncate':
   * what there is of it is taken, and one of which there is nothing ends everything.
   */
  onBadImage?: 'error' | 'skip' | 'truncate';
  /** Returns a picture's name in errors by its index. Default: its path, or `buffer` and its index. */
  nameOf?: ((index: number) => string) | undefined;
  /** Called for each picture that is taken in part, in order, before its batch is handed over. */
  onTruncated?: ((source: ImageSource, error: DistillError, index: number) => void) | undefined;
  /** Called for each picture that is left out, likewise. */
  onSkip?: ((source: ImageSource, error: DistillError, index: number) => void) | undefined;
  /** Ends the decoding: the generator throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface ImageBatch {
  /** uint8 RGB (count, imageSize, imageSize, 3); a buffer of its own, never reused. */
  pixels: Uint8Array;
  /** Indices of the pictures among the sources, ascending. */
  indices: Int32Array;
  count: number;
}

/** A picture that cannot be read, or not as a whole. */
interface Flaw {
  error: DistillError;
  index: number;
  /** What there is of it has been taken. */
  isKept: boolean;
}

/** Batches that are decoded or being decoded besides the one that the consumer works on. */
const BATCHES_AHEAD = 2;

/**
 * Decodes pictures into batches of crops (see {@link decodeCrop}), two batches ahead of the consumer. At most
 * `concurrency` pictures are being decoded and three batches are held at any time.
 *
 * Batches come in the order of the sources. With `onBadImage: 'skip'` a batch lacks its bad pictures, and one
 * that lost all is not handed over. With 'truncate' it has what there is of them. Otherwise the first bad picture (in the order of the sources) is thrown after
 * the batches before it; what follows is not started any more. When the consumer stops early, the decodes in
 * flight are awaited and nothing else is started.
 *
 * @param sources Paths, entries of archives, or the bytes of files, which errors call `buffer` and their index.
 * @throws {DistillError} `ERR_BAD_IMAGE` with `onBadImage: 'error'`; the signal's reason once it is aborted.
 */
export async function* decodeBatches(
  sources: readonly ImageSource[],
  options: DecodeBatchesOptions,
): AsyncGenerator<ImageBatch, void, void> {
  const { preprocessing, batchSize, onBadImage = 'error', maxPixels, signal } = options;
  const limited = limitConcurrency(options.concurrency ?? availableParallelism() + 1);
  const bytes = pixelBytes(preprocessing); // a picture
  let stopped = false;

  /** Decodes one picture; returns what is wrong with it. */
  const decode = async (index: number, into: Uint8Array): Promise<Flaw | null> => {
    if (stopped) throw new Error('the decoding has been stopped');
    try {
      signal?.throwIfAborted();
      const source = sources[index] ?? '';
      const name = options.nameOf?.(index) ?? sourcePath(source) ?? `buffer ${index}`;
      let flaw: Flaw | null = null;
      const onTruncated = (error: DistillError) => {
        flaw = { error, index, isKept: true };
      };
      await decodeCrop(source, preprocessing, {
        into,
        name,
        maxPixels,
        signal,
        onTruncated: onBadImage === 'truncate' ? onTruncated : undefined,
      });
      return flaw;
    } catch (error) {
      const isBad = error instanceof DistillError && error.code === 'ERR_BAD_IMAGE';
      if (onBadImage === 'skip' && isBad) return { error, index, isKept: false };
      stopped = true;
      throw error;
    }
  };

  const decodeBatch = async (first: number): Promise<ImageBatch & { flaws: Flaw[] }> => {
    const indices = Int32Array.from(
      { length: Math.min(batchSize, sources.length - first) },
      (_, i) => first + i,
    );
    const pixels = roomFor(indices.length * bytes);
    const results = await Promise.allSettled(
      Array.from(indices, (index, i) =>
        limited(() => decode(index, pixels.subarray(i * bytes, (i + 1) * bytes))),
      ),
    );
    const flaws: Flaw[] = [];
    let count = 0;
    for (const [i, result] of results.entries()) {
      if (result.status === 'rejected') throw result.reason;
      if (result.value !== null) flaws.push(result.value);
      if (result.value?.isKept === false) continue;
      pixels.copyWithin(count * bytes, i * bytes, (i + 1) * bytes);
      indices[count] = first + i;
      count += 1;
    }
    return {
      pixels: pixels.subarray(0, count * bytes),
      indices: indices.subarray(0, count),
      count,
      flaws,
    };
  };

  const ahead: ReturnType<typeof decodeBatch>[] = [];
  let next = 0;
  const startBatches = () => {
    for (; next < sources.length && ahead.length < BATCHES_AHEAD; next += batchSize) {
      const batch = decodeBatch(next);
      batch.catch(() => {}); // Thrown when its turn comes; until then it is not unhandled.
      ahead.push(batch);
    }
  };

  try {
    startBatches();
    for (let batch = ahead.shift(); batch !== undefined; batch = ahead.shift()) {
      const { flaws, ...images } = await batch;
      signal?.throwIfAborted();
      for (const { index, error, isKept } of flaws) {
        const report = isKept ? options.onTruncated : options.onSkip;
        report?.(sources[index] ?? '', error, index);
      }
      startBatches();
      if (images.count > 0) yield images;
    }
  } finally {
    stopped = true;
    await Promise.allSettled(ahead);
  }
}

function roomFor(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    const message = `There is no memory for a batch of ${bytes} bytes; lower \`batchSize\` or \`imageSize\`.`;
    throw new DistillError('ERR_OUT_OF_MEMORY', message, { cause });
  }
}
