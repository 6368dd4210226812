import { decodeBatches, readImageSize } from '../data/decode.js';
import { type Sample, sourceOf } from '../data/samples.js';
import type { DistillError } from '../errors.js';
import type { PixelPreprocessing } from '../model/preprocessing.js';
import type { DoctorProgress } from '../options/doctor.js';
import { count, percent, quoted } from '../words.js';
import type { Images } from './dataset.js';
import type { Topic } from './findings.js';

/** The outcome of decoding every picture. */
export interface Decoded {
  /** The number of pictures that decode. */
  good: number;
  /** Files that do not decode. */
  bad: string[];
  /** Pictures a second. */
  rate: number;
  /** Pixels of the first training pictures, uint8 (n, imageSize, imageSize, 3): for steps that are measured. */
  pixels: Uint8Array;
}

const BATCH = 16;
/** Training pictures whose pixels are kept. */
const KEPT_IMAGES = 64;
/** Pictures at most whose size is read. */
const SIZED_IMAGES = 5000;
/** The share of pictures with a black border from which on it is a warning. */
const MANY_SMALL = 0.05;
/** Below this share of the picture in the crop, the network sees a detail and not the picture. */
const SMALL_SHARE = 0.1;

/** Decodes every picture, as preparing would. */
export async function decodeAll(
  images: Images,
  options: {
    preprocessing: PixelPreprocessing;
    onBadImage: 'error' | 'skip';
    maxPixels?: number | undefined;
    onProgress?: ((progress: DoctorProgress) => void) | undefined;
    signal?: AbortSignal | undefined;
  },
  topic: Topic,
): Promise<Decoded> {
  const { preprocessing, onBadImage, maxPixels, onProgress, signal } = options;
  const samples = samplesOf(images);
  const bad: string[] = [];
  const reasons: string[] = [];
  const kept: Uint8Array[] = [];
  let good = 0;
  const started = performance.now();
  const batches = decodeBatches(samples.map(sourceOf), {
    preprocessing,
    batchSize: BATCH,
    onBadImage: 'skip',
    maxPixels,
    signal,
    onSkip: (_, { message }: DistillError, index) => {
      bad.push((samples[index] as Sample).path);
      reasons.push(message);
    },
  });
  for await (const { pixels, count } of batches) {
    good += count;
    if (kept.length * BATCH < KEPT_IMAGES) kept.push(pixels);
    onProgress?.({ check: 'pictures', done: good + bad.length, total: samples.length });
  }
  const rate = samples.length / ((performance.now() - started) / 1000);
  reportBad(samples.length, reasons, onBadImage, topic);
  await checkLost(images, new Set(bad), topic);
  return { good, bad, rate, pixels: Buffer.concat(kept) };
}

/** Takes at most so many things, evenly from all of them. */
export function sampleEvenly<T>(things: readonly T[], most: number): T[] {
  const taken = Math.min(most, things.length);
  return Array.from(
    { length: taken },
    (_, i) => things[Math.floor((i * things.length) / taken)] as T,
  );
}

function samplesOf({ train, val }: Images): Sample[] {
  return [train, val].flatMap((survey) => survey?.samples ?? []);
}

function reportBad(
  total: number,
  reasons: string[],
  onBadImage: 'error' | 'skip',
  topic: Topic,
): void {
  if (reasons.length === 0) {
    topic.ok('pictures', `All ${count(total, 'picture')} decode.`);
    return;
  }
  const message = `${reasons.length} of ${count(total, 'picture')} ${reasons.length === 1 ? 'does' : 'do'} not decode.`;
  if (onBadImage === 'error') {
    topic.problem('pictures', 'ERR_BAD_IMAGE', message, { details: reasons });
  } else {
    topic.warn('pictures', message, 'Replace them; the run passes over them.', reasons);
  }
}

/** Finds classes without a picture that decodes: they end a run, whatever `onBadImage` says. */
async function checkLost(images: Images, bad: Set<string>, topic: Topic): Promise<void> {
  for (const survey of [images.train, images.val]) {
    if (!survey) continue;
    const found = new Set(survey.samples.map(({ label }) => label));
    const alive = new Set(
      survey.samples.filter(({ path }) => !bad.has(path)).map(({ label }) => label),
    );
    const lost = survey.classes.filter((_, label) => found.has(label) && !alive.has(label));
    if (lost.length === 0) continue;
    topic.problem(
      'pictures',
      'ERR_DATASET_EMPTY_CLASS',
      `None of the pictures of ${quoted(lost)} in '${survey.root}' could be decoded.`,
      { remedy: 'Replace them, or remove the class from train/ and val/.' },
    );
  }
}

/** Checks that the crop suits the pictures: it is taken from their middle, and they are not resized. */
export async function checkSizes(
  images: Images,
  {
    preprocessing: { imageSize },
    bad,
    maxPixels,
    signal,
  }: {
    preprocessing: PixelPreprocessing;
    /** Files that do not decode. */
    bad: string[];
    maxPixels?: number | undefined;
    signal?: AbortSignal | undefined;
  },
  topic: Topic,
): Promise<void> {
  const skipped = new Set(bad);
  const good = samplesOf(images).filter(({ path }) => !skipped.has(path));
  const samples = sampleEvenly(good, SIZED_IMAGES);
  const sizes: { width: number; height: number }[] = [];
  for (let first = 0; first < samples.length; first += BATCH) {
    signal?.throwIfAborted();
    const some = samples
      .slice(first, first + BATCH)
      .map((sample) => readImageSize(sourceOf(sample), { maxPixels, signal }));
    sizes.push(...(await Promise.all(some)));
  }
  const typical = sizes.sort((a, b) => a.width * a.height - b.width * b.height)[sizes.length >> 1];
  if (!typical) return;
  const small = sizes.filter(({ width, height }) => Math.min(width, height) < imageSize).length;
  const seen = (side: number) => Math.min(side, imageSize);
  const share = (seen(typical.width) * seen(typical.height)) / (typical.width * typical.height);
  const crop = `the crop of ${imageSize} pixels`;
  const all = `${samples.length < good.length ? 'a sample of ' : ''}${count(sizes.length, 'picture')}`;
  const have = `${small} of ${all} ${small === 1 ? 'has' : 'have'} a side shorter than ${crop}, and so a black border`;
  const shows = `Of a typical picture, ${typical.width} x ${typical.height} pixels, ${crop} shows ${percent(share)}`;
  if (small > MANY_SMALL * sizes.length) {
    topic.warn(
      'sizes',
      `${shows}; ${have}.`,
      'Set `imageSize` to what the teacher was trained with, or enlarge the pictures as they were for its training.',
    );
  } else if (share < SMALL_SHARE) {
    topic.warn(
      'sizes',
      `${shows}: pictures are not resized.`,
      `Resize them beforehand as they were for the teacher's training, often the shorter side to ${Math.round((imageSize * 8) / 7)} pixels.`,
    );
  } else {
    topic.ok('sizes', small === 0 ? `${shows}.` : `${shows}; ${have}.`);
  }
}
