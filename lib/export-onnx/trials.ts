import { native } from '../addon.js';
import { decodeCrop } from '../data/decode.js';
import { DistillError } from '../errors.js';
import { checkFinite, makeClassifier } from '../model/classifier.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { OnnxInput } from '../options/export-onnx.js';
import type { Trial } from './check.js';
import { feed, sampleImages } from './samples.js';

// Pictures as a model is fed them, with the student's answers.

interface TrialOptions {
  student: string;
  averaged: boolean;
  input: OnnxInput;
  softmax: boolean;
  dynamicSize: boolean;
  /** The number of labels. */
  classes: number;
}

/** Makes pictures as the model is fed them, and asks the student about them. */
export async function makeTrials(
  preprocessing: Preprocessing,
  options: TrialOptions,
): Promise<Trial[]> {
  const { imageSize } = preprocessing;
  if (options.input === 'picture') return answered(preprocessing, options, wholePictures);
  const trials: Trial[] = [];
  // A model for any size is tried with an odd one as well.
  for (const size of options.dynamicSize ? [imageSize, imageSize + 9] : [imageSize]) {
    trials.push(...(await answered({ ...preprocessing, imageSize: size }, options, crops)));
  }
  return trials;
}

/** Some pictures as the model is fed them, and their pixels as the student is. */
interface Sample {
  input: Trial['input'];
  /** uint8 RGB (images, imageSize, imageSize, 3). */
  pixels: Uint8Array;
  images: number;
}

async function answered(
  preprocessing: Preprocessing,
  { student, averaged, input, softmax, classes }: TrialOptions,
  samplesOf: (preprocessing: Preprocessing, input: OnnxInput) => AsyncIterable<Sample>,
): Promise<Trial[]> {
  const trials: Trial[] = [];
  const execution = { device: 'cpu', precision: 'fp32', threads: 0 } as const;
  const classifier = makeClassifier(student, preprocessing, execution, { averaged });
  try {
    await native(classifier.load());
    for await (const { input: fed, pixels, images } of samplesOf(preprocessing, input)) {
      const answers = softmax ? classifier.probabilities(pixels) : classifier.logits(pixels);
      const expected = await native(answers);
      if (expected.length !== images * classes) {
        throw new DistillError(
          'ERR_LABELS',
          `'${student}' has ${expected.length / images} classes, but there are ${classes} labels.`,
        );
      }
      checkFinite(expected, { rows: images, model: student, nameOf: () => 'made-up pictures' });
      trials.push({ input: fed, images, expected });
    }
  } finally {
    await classifier.close();
  }
  return trials;
}

/** Yields crops: one alone, and several at once. */
async function* crops(
  { imageSize: size, mean, std }: Preprocessing,
  input: OnnxInput,
): AsyncGenerator<Sample> {
  for (const images of [1, size > 512 ? 2 : 5]) {
    const pixels = sampleImages(images, size);
    yield { input: feed(pixels, images, size, { input, mean, std }), pixels, images };
  }
}

/** Yields pictures in landscape and in portrait, one smaller than the crop, and one that is a pixel high. */
async function* wholePictures(preprocessing: Preprocessing): AsyncGenerator<Sample> {
  const side = Math.min(preprocessing.imageSize, 300);
  const sizes = [
    [side + 37, 2 * side - 2],
    [3 * side, side + 9],
    [Math.ceil(side / 2), Math.ceil(side / 3)],
    [1, 7],
  ] as const;
  for (const [height, width] of sizes) {
    const data = sampleImages(1, height, width);
    // As a file, because all pixels of this package come from decodeCrop().
    const file = Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), data]);
    const pixels = await decodeCrop(file, preprocessing);
    yield { input: { type: 'uint8', data, shape: [height, width, 3] }, pixels, images: 1 };
  }
}
