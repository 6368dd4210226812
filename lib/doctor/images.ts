import { decodeBatches, decodeCrop } from '../data/decode.js';
import { type Sample, sourceOf } from '../data/samples.js';
import {
  readSizes,
  resizedSize,
  type Size,
  SMALL_SHARE,
  sampleEvenly,
  seenShare,
  typicalSize,
  usualResize,
} from '../data/sizes.js';
import { DistillError } from '../errors.js';
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

/** Decodes every picture, as preparing would. */
export async function decodeAll(
  images: Images,
  options: {
    preprocessing: PixelPreprocessing;
    onBadImage: 'error' | 'skip' | 'truncate';
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
  const taken = new Set<string>();
  for (const sample of samples.filter(({ path }) => bad.includes(path))) {
    if (await isTruncated(sample, options)) taken.add(sample.path);
  }
  reportBad(samples.length, { reasons, truncated: taken.size, onBadImage }, topic);
  const lost = onBadImage === 'truncate' ? bad.filter((file) => !taken.has(file)) : bad;
  await checkLost(images, new Set(lost), topic);
  return { good, bad, rate, pixels: Buffer.concat(kept) };
}

/** Returns the pictures of both folders. */
export function samplesOf({ train, val }: Images): Sample[] {
  return [train, val].flatMap((survey) => survey?.samples ?? []);
}

/** Tells whether something is left of a picture that does not decode. */
async function isTruncated(
  sample: Sample,
  {
    preprocessing,
    maxPixels,
    signal,
  }: {
    preprocessing: PixelPreprocessing;
    maxPixels?: number | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<boolean> {
  try {
    await decodeCrop(sourceOf(sample), preprocessing, { maxPixels, signal, onTruncated: () => {} });
    return true;
  } catch (error) {
    if (error instanceof DistillError && error.code === 'ERR_BAD_IMAGE') return false;
    throw error;
  }
}

function reportBad(
  total: number,
  {
    reasons,
    truncated,
    onBadImage,
  }: { reasons: string[]; truncated: number; onBadImage: 'error' | 'skip' | 'truncate' },
  topic: Topic,
): void {
  if (reasons.length === 0) {
    topic.ok('pictures', `All ${count(total, 'picture')} decode.`);
    return;
  }
  const message = `${reasons.length} of ${count(total, 'picture')} ${reasons.length === 1 ? 'does' : 'do'} not decode.${partly(truncated)}`;
  const isTaken = onBadImage === 'truncate' && truncated === reasons.length;
  if (isTaken) {
    topic.warn('pictures', message, 'Replace them; the run takes what there is of them.', reasons);
  } else if (onBadImage !== 'skip') {
    topic.problem('pictures', 'ERR_BAD_IMAGE', message, { details: reasons });
  } else {
    topic.warn('pictures', message, 'Replace them; the run passes over them.', reasons);
  }
}

/** Says how many of the pictures have something left, and how to take it. */
function partly(truncated: number): string {
  if (truncated === 0) return '';
  const are = truncated === 1 ? 'is' : 'are';
  return ` ${truncated} of these ${are} damaged or cut short, and 'truncate' for \`onBadImage\` takes what there is.`;
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

/** Checks that a network sees enough of the pictures, and that few have a black border. */
export async function checkSizes(
  images: Images,
  {
    preprocessing,
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
  const sizes = await readSizes(samples.map(sourceOf), { maxPixels, signal });
  const typical = typicalSize(sizes);
  if (!typical) return;
  const { resize = null, imageSize } = preprocessing;
  const small = sizes.filter((size) => hasBorder(size, preprocessing)).length;
  const share = seenShare(typical, preprocessing);
  const crop = `the crop of ${imageSize} pixels`;
  const all = `${samples.length < good.length ? 'a sample of ' : ''}${count(sizes.length, 'picture')}`;
  const resized = resize === null ? '' : ' once it is resized';
  const have = `${small} of ${all} ${small === 1 ? 'has' : 'have'} a side shorter than ${crop}${resized}, and so a black border`;
  const shows = `Of a typical picture, ${typical.width} x ${typical.height} pixels, ${crop} shows ${percent(share)}`;
  const usual = usualResize(imageSize);
  if (small > MANY_SMALL * sizes.length) {
    topic.warn(
      'sizes',
      `${shows}; ${have}.`,
      `Set \`imageSize\` and \`resize\` to what the teacher was trained with; \`resize\` ${usual} is usual for a crop of ${imageSize}.`,
    );
  } else if (share < SMALL_SHARE) {
    topic.warn(
      'sizes',
      resize === null ? `${shows}: pictures are not resized.` : `${shows}.`,
      `Set \`resize\` to what the teacher was trained with, often ${usual}: then the crop shows ${percent(seenShare(typical, { ...preprocessing, resize: usual }))}.`,
    );
  } else {
    topic.ok('sizes', small === 0 ? `${shows}.` : `${shows}; ${have}.`);
  }
}

/** Tells whether a picture, once it is resized, has a side that is shorter than the crop. */
function hasBorder(size: Size, preprocessing: PixelPreprocessing): boolean {
  const { crop = true, imageSize } = preprocessing;
  const { width, height } = resizedSize(size, preprocessing);
  return crop && Math.min(width, height) < imageSize;
}
