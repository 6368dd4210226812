import {
  loadAddon,
  type NativeClassifier,
  type NativeExecution,
  type NativePreprocessing,
} from '../native.js';
import type { Preprocessing } from './preprocessing.js';

/**
 * Makes a classifier of a model's file: it loads at `load()`, and holds memory and a thread until `close()`.
 *
 * @param execution.threads 0: LibTorch's choice.
 */
export function makeClassifier(
  model: string,
  { imageSize, mean, std }: Preprocessing,
  { device, precision, threads }: NativeExecution,
): NativeClassifier {
  const options: NativePreprocessing & NativeExecution & { model: string } = {
    model,
    imageSize,
    mean,
    std,
    device,
    precision,
    threads,
  };
  return new (loadAddon().Classifier)(options);
}
