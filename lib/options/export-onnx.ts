import { z } from 'zod';
import type { DistillWarning } from '../warnings.js';
import {
  averaged,
  choice,
  fields,
  pixelSteps,
  preprocessing,
  reports,
  whole,
  yesOrNo,
} from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';
import type { PixelOptions } from './preprocessing.js';

const FROM_STUDENT = { shown: "from the student's file" };

/** The kind of the graph's input. */
export type OnnxInput = 'uint8' | 'float' | 'normalized' | 'picture';

/** The oldest version of ONNX's operators that the graph is made of. */
const OLDEST_OPSET = 17;
/** The newest that onnxruntime-node and onnxruntime-web 1.30 take. */
const NEWEST_OPSET = 26;

/** Options of `exportOnnx()`. */
export interface OnnxOptions extends PixelOptions {
  /**
   * The input that the model takes. `'uint8'`: RGB pixels (N, H, W, 3) as decoders give them, so that nothing is left to
   * do for the caller. `'float'`: RGB in 0..1, float32 (N, 3, H, W), as torchvision's `ToTensor`. `'normalized'`: the same
   * after `(x - mean) / std`, as the student itself. `'picture'`: one decoded picture of any size, uint8 RGB (H, W, 3); the
   * model resizes and crops it as in training. Default 'uint8'.
   */
  input?: OnnxInput | undefined;
  /** Takes the averaged (EMA) weights of a file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /** Gives `probabilities` (N, classes), for one picture (1, classes), instead of `logits`. Default true. */
  softmax?: boolean | undefined;
  /** Makes each BatchNorm part of the convolution before it, which is faster. Default true. */
  foldBatchNorm?: boolean | undefined;
  /** Takes pictures of any height and width from 8 pixels on, instead of `imageSize`; not with `input: 'picture'`. Default false. */
  dynamicSize?: boolean | undefined;
  /** The version of ONNX's operators, 17 to 26: older runtimes want older ones. Default 26. */
  opset?: number | undefined;
  /** Class names by index, or a file of `index name` lines. Default: those in the student's file. */
  labels?: string | readonly string[] | undefined;
  /** Means of red, green and blue, in 0..1. Default: those in the student's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of red, green and blue, in 0.0001..1. Default: those in the student's file. */
  std?: readonly [number, number, number] | undefined;
  /** The side of the pictures, in pixels. Default: that in the student's file, else 224. */
  imageSize?: number | undefined;
  /** Replaces a file that is there, whatever it is. Without it, only a model that this function wrote is replaced. Default false. */
  overwrite?: boolean | undefined;
  /** Receives a warning where the model was not checked. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
}

export const onnxOptions = z.strictObject({
  student: option(fields.file, { help: "a student's file" }),
  output: fields.output,
  averaged: option(averaged, {
    help: "take the file's averaged (EMA) weights, where it has both",
  }),
  input: option(choice('uint8', 'float', 'normalized', 'picture').default('uint8'), {
    help: 'what the model takes: RGB as uint8 (N, H, W, 3), as floats in 0..1 (N, 3, H, W), these with mean and std applied, or one whole picture as uint8 (H, W, 3)',
    placeholder: 'kind',
  }),
  softmax: option(yesOrNo.default(true), { help: 'give logits instead of probabilities' }),
  foldBatchNorm: option(yesOrNo.default(true), {
    help: 'keep BatchNorm apart from the convolutions',
  }),
  dynamicSize: option(yesOrNo.default(false), { help: 'take pictures of any height and width' }),
  opset: option(whole(OLDEST_OPSET, NEWEST_OPSET).default(NEWEST_OPSET), {
    help: `the version of ONNX's operators, ${OLDEST_OPSET} to ${NEWEST_OPSET}`,
  }),
  labels: fields.labels.optional(),
  mean: option(preprocessing.mean.optional(), FROM_STUDENT),
  std: option(preprocessing.std.optional(), FROM_STUDENT),
  ...pixelSteps,
  imageSize: option(preprocessing.imageSize.optional(), {
    help: 'side of the pictures, in pixels',
    shown: `${FROM_STUDENT.shown}, or 224`,
  }),
  overwrite: fields.overwrite,
  onWarning: reports.onWarning,
});

export type _Held = Expect<
  Holds<OnnxOptions & { student: string; output: string }, typeof onnxOptions>
>;

/** Options, and the two paths, once they are checked and the defaults are in. */
export type CheckedOnnxOptions = z.output<typeof onnxOptions>;
