import { native } from './addon.js';
import { decodeBatches } from './data/decode.js';
import type { HiddenFile } from './data/hidden.js';
import { passedOver } from './data/ignored.js';
import { scanImages } from './data/images.js';
import { smallCrop } from './data/sizes.js';
import { type ImageSource, sourcePath } from './data/source.js';
import { DistillError, throwIfAborted } from './errors.js';
import { checkFinite, makeClassifier } from './model/classifier.js';
import { inspect } from './model/inspect.js';
import { preprocessingOf, recipeFound } from './model/resolve.js';
import { checkOptions } from './options/check.js';
import {
  type CheckedPredictOptions,
  type PredictOptions,
  predictOptions,
} from './options/predict.js';
import { emitWarning, imageSkipped, imageTruncated, noGpu } from './warnings.js';

/** A class with its probability. */
export interface ClassProbability {
  label: string;
  index: number;
  /** 0..1 */
  probability: number;
}

/** The student's answer for one picture: its most probable class, and the runners-up. */
export interface Prediction extends ClassProbability {
  /** The picture's file; `null` for bytes. A byte of its name that is not UTF-8 is a lone surrogate, U+DC80 to U+DCFF. */
  path: string | null;
  /** Index from 0 of the one of `images` that the picture is, or lies in. */
  source: number;
  /** The most probable classes, the most probable first. */
  top: ClassProbability[];
}

/**
 * The predictions of {@link predict}. Awaited, they are an array; iterated, each one comes as it is made, and no more
 * than a few batches are held. The work begins with the first of these, and is done once: awaited again, it gives
 * the same array; to iterate again, call `predict()` again.
 */
export interface Predictions extends AsyncIterable<Prediction>, PromiseLike<Prediction[]> {
  /** Ends the work and frees the student; predictions that nobody has asked for are not made. */
  return(): Promise<unknown>;
  catch<E = never>(
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<Prediction[] | E>;
  finally(onFinally?: (() => void) | null): Promise<Prediction[]>;
}

/**
 * Classifies pictures, in the order in which they are given. Decoding runs ahead of the student.
 *
 * @throws DistillError While iterating or awaiting: `ERR_OPTION`, `ERR_IMAGES_NOT_FOUND`, `ERR_BAD_IMAGE`, `ERR_LABELS`,
 * `ERR_NO_METADATA` where neither the student's file nor the options name classes and normalisation, `ERR_NOT_FINITE`
 * where an answer is no finite number, `ERR_CHECKPOINT_…`, `ERR_MODEL_ARCHITECTURE`, `ERR_ABORTED`, and `ERR_CONSUMED`
 * where the predictions have been iterated before.
 *
 * @example
 * for await (const { path, label, probability } of predict({ student: 'student.pth', images: 'photos/' })) {
 *   console.log(path, label, probability.toFixed(4));
 * }
 *
 * @example
 * const [{ label }] = await predict({ student: 'student.pth', images: await readFile('photo.jpg') });
 */
export function predict(options: PredictOptions): Predictions {
  const predictions = classify(options);
  let isTaken = false;
  let all: Promise<Prediction[]> | undefined;

  const take = () => {
    if (isTaken) {
      throw new DistillError(
        'ERR_CONSUMED',
        'These predictions have been iterated or awaited already, and can be once only; call predict() again.',
      );
    }
    isTaken = true;
    return predictions;
  };
  const collect = async () => {
    const collected: Prediction[] = [];
    for await (const prediction of take()) collected.push(prediction);
    return collected;
  };
  const awaited = () => {
    all ??= collect();
    return all;
  };
  return {
    [Symbol.asyncIterator]: take,
    return: () => predictions.return(),
    // biome-ignore lint/suspicious/noThenProperty: predictions are awaited for all of them.
    then: (onFulfilled, onRejected) => awaited().then(onFulfilled, onRejected),
    catch: (onRejected) => awaited().catch(onRejected),
    finally: (onFinally) => awaited().finally(onFinally),
  };
}

async function* classify(options: PredictOptions): AsyncGenerator<Prediction, void, undefined> {
  const checked = checkOptions(predictOptions, options);
  const { signal } = checked;
  throwIfAborted(signal);
  try {
    yield* answer(checked);
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
  throwIfAborted(signal);
}

async function* answer(
  options: CheckedPredictOptions,
): AsyncGenerator<Prediction, void, undefined> {
  const { student, averaged, topK, batchSize, onBadImage, maxPixels, signal } = options;
  const { device, precision, threads = 0, onWarning = emitWarning } = options;
  const { images, ...others } = await findImages(options.images);
  for (const warning of passedOver(others)) onWarning(warning);
  const contents = await inspect(student, { averaged });
  const { preprocessing, labels } = await preprocessingOf(contents, options);
  const recipe = recipeFound(options, contents);
  if (recipe) onWarning(recipe);
  const small = await smallCrop(
    images.map(({ file }) => file),
    preprocessing,
    options,
  );
  if (small) onWarning(small);

  const classifier = makeClassifier(
    student,
    preprocessing,
    { device, precision, threads },
    { averaged },
  );
  try {
    const { warning } = await native(classifier.load());
    if (warning) onWarning(noGpu(warning));
    const batches = decodeBatches(
      images.map(({ file }) => file),
      {
        preprocessing,
        batchSize,
        onBadImage,
        maxPixels,
        nameOf: (index) => images[index]?.name ?? '',
        onSkip: (file, error) => onWarning(imageSkipped(sourcePath(file), error)),
        onTruncated: (file, error) => onWarning(imageTruncated(sourcePath(file), error)),
        signal,
      },
    );
    for await (const { pixels, indices } of batches) {
      const probabilities = await native(classifier.probabilities(pixels));
      checkFinite(probabilities, {
        rows: indices.length,
        model: student,
        nameOf: (row) => `the picture ${images[indices[row] ?? 0]?.name}`,
      });
      for (const [i, index] of indices.entries()) {
        throwIfAborted(signal);
        const { file, source } = images[index] as Image;
        const row = probabilities.subarray(i * labels.length, (i + 1) * labels.length);
        const top = rank(row, labels).slice(0, topK);
        const path = sourcePath(file);
        yield { path, source, ...(top[0] as ClassProbability), top };
      }
    }
  } finally {
    await classifier.close();
  }
}

/** Returns the classes with their probabilities, the most probable first. */
function rank(probabilities: Float32Array, labels: readonly string[]): ClassProbability[] {
  const classes = Array.from(probabilities, (probability, index) => ({
    label: labels[index] as string,
    index,
    probability,
  }));
  return classes.sort((a, b) => b.probability - a.probability);
}

/** One of the pictures to classify. */
interface Image {
  file: ImageSource;
  /** Index of the one of `images` that it is, or lies in. */
  source: number;
  /** Its name in errors. */
  name: string;
}

/** Pictures to classify, and files in folders that are passed over. */
interface Found {
  images: Image[];
  ignored: string[];
  hidden: HiddenFile[];
}

/** Finds the pictures to classify, those in folders as well. */
async function findImages(given: CheckedPredictOptions['images']): Promise<Found> {
  const isList = Array.isArray(given);
  const found = [given].flat().map(async (image, source): Promise<Found> => {
    if (typeof image !== 'string') {
      const name = isList ? `images[${source}]` : 'images';
      return { images: [{ file: image, source, name }], ignored: [], hidden: [] };
    }
    const { files, ...others } = await scanImages(image);
    return {
      images: files.map((file) => ({ file, source, name: sourcePath(file) ?? '' })),
      ...others,
    };
  });
  const all = await Promise.all(found);
  return {
    images: all.flatMap(({ images }) => images),
    ignored: all.flatMap(({ ignored }) => ignored),
    hidden: all.flatMap(({ hidden }) => hidden),
  };
}
