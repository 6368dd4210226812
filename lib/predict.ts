import { checkFinite } from './checks.js';
import { scanPictures } from './data/dataset.js';
import { decodeBatches } from './data/decode.js';
import { DistillError, throwIfAborted } from './errors.js';
import { makeClassifier } from './model/classifier.js';
import { inspect } from './model/inspect.js';
import { preprocessingOf } from './model/preprocessing.js';
import { native } from './native.js';
import { checkOptions } from './options/check.js';
import {
  type CheckedPredictOptions,
  type PredictOptions,
  predictOptions,
} from './options/predict.js';
import { emitWarning, filesIgnored, noGpu } from './warnings.js';

/** A class with its probability. */
export interface ClassProbability {
  label: string;
  index: number;
  /** 0..1 */
  probability: number;
}

/** What the student says of one picture: its most probable class, and the runners-up. */
export interface Prediction extends ClassProbability {
  /** The picture's file; `null` for bytes. A byte of its name that is not UTF-8 is a lone surrogate, U+DC80 to U+DCFF. */
  path: string | null;
  /** Which of `images` the picture is, or lies in: an index from 0. */
  source: number;
  /** The most probable classes, the most probable first. */
  top: ClassProbability[];
}

/**
 * What {@link predict} returns. Awaited, it comes to all predictions; iterated, it yields each one as it is made, and
 * holds no more than a few batches. The work begins with the first of these, and is done once: awaited again, it comes to
 * the same predictions; to iterate again, call `predict()` again.
 */
export interface Predictions extends AsyncIterable<Prediction>, PromiseLike<Prediction[]> {
  /** Ends the work, and frees the student; of predictions that nobody has asked for, there is none. */
  return(): Promise<unknown>;
  catch<E = never>(
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<Prediction[] | E>;
  finally(onFinally?: (() => void) | null): Promise<Prediction[]>;
}

/**
 * Classifies pictures, in the order in which they are given. Decoding runs ahead of the student.
 *
 * @throws DistillError While iterating or awaiting: `ERR_OPTION`, `ERR_IMAGES_NOT_FOUND`, `ERR_BAD_IMAGE`,
 * `ERR_LABELS`, `ERR_NOT_FINITE` where an answer is no finite number, `ERR_NO_METADATA` where the student's file names no classes or normalisation and the
 * options do not either, `ERR_CHECKPOINT_…`, `ERR_MODEL_ARCHITECTURE`, `ERR_ABORTED`, and `ERR_CONSUMED` where the
 * predictions have been iterated before.
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
        'These predictions have been iterated or awaited already, which goes once; call predict() again.',
      );
    }
    isTaken = true;
    return predictions;
  };
  const collect = async () => {
    const found: Prediction[] = [];
    for await (const prediction of take()) found.push(prediction);
    return found;
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
  checked: CheckedPredictOptions,
): AsyncGenerator<Prediction, void, undefined> {
  const { student, topK, batchSize, onBadImage, maxPixels, signal } = checked;
  const { onWarning = emitWarning } = checked;
  const others: string[] = [];
  const pictures = await picturesOf(checked.images, (files) => others.push(...files));
  const ignored = filesIgnored(others);
  if (ignored) onWarning(ignored);
  const { preprocessing, labels } = await preprocessingOf(await inspect(student), checked);

  const { device, precision, threads = 0 } = checked;
  const classifier = makeClassifier(student, preprocessing, { device, precision, threads });
  try {
    const { warning } = await native(classifier.load());
    if (warning) onWarning(noGpu(warning));
    const batches = decodeBatches(
      pictures.map(({ file }) => file),
      {
        preprocessing,
        batchSize,
        onBadImage,
        maxPixels,
        nameOf: (index) => pictures[index]?.name ?? '',
        signal,
        onSkip: (file, error) =>
          onWarning({
            code: 'WARN_IMAGE_SKIPPED',
            message: error.message,
            ...(typeof file === 'string' && { path: file }),
          }),
      },
    );
    for await (const { pixels, indices } of batches) {
      const probabilities = await native(classifier.probabilities(pixels));
      checkFinite(probabilities, {
        rows: indices.length,
        model: student,
        nameOf: (row) => `the picture ${pictures[indices[row] ?? 0]?.name}`,
      });
      for (const [i, index] of indices.entries()) {
        throwIfAborted(signal);
        const { file, source } = pictures[index] as Picture;
        const row = probabilities.subarray(i * labels.length, (i + 1) * labels.length);
        const top = Array.from(row, (probability, index) => ({
          label: labels[index] as string,
          index,
          probability,
        }))
          .sort((a, b) => b.probability - a.probability)
          .slice(0, topK);
        const path = typeof file === 'string' ? file : null;
        yield { path, source, ...(top[0] as ClassProbability), top };
      }
    }
  } finally {
    await classifier.close();
  }
}

/** One of the pictures that are asked about. */
interface Picture {
  file: string | Uint8Array;
  /** Which of `images` it is, or lies in. */
  source: number;
  /** What errors call it. */
  name: string;
}

/** The pictures themselves, and all those in folders. */
async function picturesOf(
  images: CheckedPredictOptions['images'],
  onOthers: (files: string[]) => void,
): Promise<Picture[]> {
  const isList = Array.isArray(images);
  const found = [images].flat().map(async (image, source): Promise<Picture[]> => {
    if (typeof image !== 'string') {
      return [{ file: image, source, name: isList ? `images[${source}]` : 'images' }];
    }
    return (await scanPictures(image, onOthers)).map((file) => ({ file, source, name: file }));
  });
  return (await Promise.all(found)).flat();
}
