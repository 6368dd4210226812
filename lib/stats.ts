import { stat } from 'node:fs/promises';
import path from 'node:path';
import { scanFolder } from './data/dataset.js';
import { decodeBatches } from './data/decode.js';
import type { HiddenFile } from './data/hidden.js';
import { passedOver } from './data/ignored.js';
import { scanImages } from './data/images.js';
import { type FolderSurvey, type SplitSurvey, sourceOf } from './data/samples.js';
import { type ImageSource, sourcePath } from './data/source.js';
import { surveySource } from './data/survey.js';
import { abortable, DistillError } from './errors.js';
import { resolvePreprocessing } from './model/resolve.js';
import { checkOptions } from './options/check.js';
import {
  type CheckedDatasetStatsOptions,
  type DatasetStatsOptions,
  datasetStatsOptions,
} from './options/stats.js';
import { emitWarning, imageSkipped, imageTruncated } from './warnings.js';

/** The mean and the standard deviation of a folder's pixels. */
export interface DatasetStats {
  /** Of red, green and blue, 0..1. */
  mean: [number, number, number];
  /** The population's standard deviation of red, green and blue, 0..1. */
  std: [number, number, number];
  /** Pictures counted. */
  images: number;
  /** The class folders, where there are any. */
  classes?: string[];
}

/** Pictures between two reports of progress. */
const BATCH_SIZE = 16;

/**
 * Measures the mean and standard deviation of a folder's pixels, to normalise its pictures with. They are taken over
 * every value that the student sees: all pixels of the centre crops, red, green and blue apart. Where a picture is
 * smaller than the crop, its zero padding counts too, since the network sees it and normalisation shifts it like
 * any other black. The sums are exact.
 *
 * @param folder Class folders with pictures, or a folder with `train/` in it, which is used then, or pictures.
 * @throws DistillError `ERR_OPTION`, `ERR_DATASET_…`, `ERR_BAD_IMAGE`, `ERR_IMAGES_NOT_FOUND` where there is no picture
 * or every one was left out, and `ERR_ABORTED`.
 */
export async function datasetStats(
  folder: string,
  options: DatasetStatsOptions = {},
): Promise<DatasetStats> {
  const checked = checkOptions(datasetStatsOptions, { ...options, folder });
  return abortable(checked.signal, () => measure(checked));
}

async function measure(options: CheckedDatasetStatsOptions): Promise<DatasetStats> {
  const { folder, onBadImage, maxPixels, onProgress, signal } = options;
  const { onWarning = emitWarning } = options;
  const { files, classes, ...others } = await findImages(folder);
  for (const warning of passedOver(others)) onWarning(warning);

  const counts = [0, 1, 2].map(() => new Float64Array(256)); // pixels by channel and value
  const [red, green, blue] = counts as [Float64Array, Float64Array, Float64Array];
  let images = 0;
  const preprocessing = await resolvePreprocessing(options);
  const batches = decodeBatches(files, {
    preprocessing,
    batchSize: BATCH_SIZE,
    onBadImage,
    maxPixels,
    onSkip: (file, error) => onWarning(imageSkipped(sourcePath(file), error)),
    onTruncated: (file, error) => onWarning(imageTruncated(sourcePath(file), error)),
    signal,
  });
  for await (const { pixels, indices, count } of batches) {
    for (let i = 0; i < pixels.length; i += 3) {
      // biome-ignore-start lint/style/noNonNullAssertion: the innermost loop, over all pixels of the data set
      red[pixels[i]!]! += 1;
      green[pixels[i + 1]!]! += 1;
      blue[pixels[i + 2]!]! += 1;
      // biome-ignore-end lint/style/noNonNullAssertion: see above
    }
    images += count;
    onProgress?.((indices.at(-1) ?? 0) + 1, files.length);
  }

  if (images === 0) {
    throw new DistillError(
      'ERR_IMAGES_NOT_FOUND',
      `None of the ${files.length} pictures in ${folder} could be read.`,
    );
  }

  const channels = counts.map(momentsOf);
  const stats: DatasetStats = {
    mean: channels.map(({ mean }) => mean) as [number, number, number],
    std: channels.map(({ std }) => std) as [number, number, number],
    images,
  };
  if (classes) stats.classes = classes;
  return stats;
}

/** Finds the pictures to measure, and the files that are passed over. */
async function findImages(folder: string): Promise<{
  files: ImageSource[];
  classes: string[] | null;
  ignored: string[];
  hidden: HiddenFile[];
}> {
  const source = await surveySource(folder);
  if (source) {
    const { classes, samples, ignored, hidden } = trainingOf(source);
    return { files: samples.map(sourceOf), classes, ignored, hidden };
  }
  const train = path.join(folder, 'train');
  const root = (await isFolder(train)) ? train : folder;
  try {
    const { classes, samples, ignored, hidden } = await scanFolder(root);
    return { files: samples.map(sourceOf), classes, ignored, hidden };
  } catch (error) {
    const hasNoClasses = error instanceof DistillError && error.code === 'ERR_DATASET_NO_CLASSES';
    if (!hasNoClasses) throw error;
    return { ...(await scanImages(root)), classes: null };
  }
}

/** Returns the pictures of a source that are to train with, or else all. */
function trainingOf({ train, val, unsplit }: SplitSurvey): FolderSurvey {
  return (train ?? unsplit ?? val) as FolderSurvey;
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}

/** Returns mean and standard deviation of values 0..255 from how often each occurs, divided by 255. */
function momentsOf(counts: Float64Array): { mean: number; std: number } {
  let n = 0n;
  let sum = 0n;
  let squares = 0n;
  for (const [value, count] of counts.entries()) {
    n += BigInt(count);
    sum += BigInt(count) * BigInt(value);
    squares += BigInt(count) * BigInt(value * value);
  }
  // Var = (n * sum of squares - sum^2) / n^2, whose numerator would cancel in floating point.
  return {
    mean: Number(sum) / Number(n) / 255,
    std: Math.sqrt(Number(n * squares - sum * sum)) / Number(n) / 255,
  };
}
