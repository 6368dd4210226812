import { loadAddon } from '../addon.js';
import { DistillError } from '../errors.js';
import type { NativeClassifier, NativeClassifierOptions, NativeExecution } from '../native.js';
import { OnnxClassifier } from './onnx-teacher/classifier.js';
import { isOnnx } from './onnx-teacher/contents.js';
import type { Preprocessing } from './preprocessing.js';

/**
 * Makes a classifier of a model's file: it loads at `load()`, and holds memory and a thread until `close()`. An ONNX model
 * answers on the processor, in its own precision.
 *
 * @param execution.threads 0: LibTorch's choice, or onnxruntime's.
 * @param given.averaged Takes the file's averaged weights, where it has plain ones as well. Default false.
 * @param given.classes The number of classes that is expected, where it is known: it chooses among several outputs of an ONNX model.
 */
export function makeClassifier(
  model: string,
  preprocessing: Preprocessing,
  { device, precision, threads }: NativeExecution,
  { averaged = false, classes }: { averaged?: boolean; classes?: number } = {},
): NativeClassifier {
  if (isOnnx(model)) return new OnnxClassifier(model, preprocessing, { threads, classes });
  const { imageSize, mean, std } = preprocessing;
  const options: NativeClassifierOptions = {
    model,
    averaged,
    imageSize,
    mean,
    std,
    device,
    precision,
    threads,
  };
  return new (loadAddon().Classifier)(options);
}

/**
 * Refuses a network's answers where one is no finite number.
 *
 * @param answers (rows, classes), row by row.
 * @param given.nameOf Names the picture of a row, such as `the picture ants/1.jpg`.
 * @throws DistillError `ERR_NOT_FINITE` that names the first such picture.
 */
export function checkFinite(
  answers: Float32Array,
  { rows, model, nameOf }: { rows: number; model: string; nameOf: (row: number) => string },
): void {
  const first = answers.findIndex((answer) => !Number.isFinite(answer));
  if (first < 0) return;
  const name = nameOf(Math.floor((first * rows) / answers.length));
  throw new DistillError(
    'ERR_NOT_FINITE',
    `The answers of '${model}' for ${name} are not finite numbers: check mean and std, or use a checkpoint from before its training diverged.`,
  );
}
