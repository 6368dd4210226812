import { z } from 'zod';
import { NEWEST_OPSET, OLDEST_OPSET, type OnnxInput } from '../model/onnx/student.js';
import type { DistillWarning } from '../warnings.js';
import { callback, fields, preprocessing } from './fields.js';

/** Options of `exportOnnx()`. */
export interface OnnxOptions {
  /**
   * What the model is fed. `'uint8'`: RGB pixels (N, H, W, 3) as decoders give them. `'float'`: RGB in 0..1,
   * float32 (N, 3, H, W), as torchvision's `ToTensor`. `'normalized'`: the same after `(x - mean) / std`, as the
   * student itself. Default 'uint8': nothing is left to do for the caller.
   */
  input?: OnnxInput | undefined;
  /** Whether the output is `probabilities` (N, classes), or else `logits`. Default true. */
  softmax?: boolean | undefined;
  /** Whether each BatchNorm becomes part of the convolution before it, which is faster. Default true. */
  foldBatchNorm?: boolean | undefined;
  /** Whether pictures may have any height and width from 8 pixels on, or else `imageSize`. Default false. */
  dynamicSize?: boolean | undefined;
  /** The version of ONNX's operators, 17 to 26: older runtimes want older ones. Default 26. */
  opset?: number | undefined;
  /** Class names by index, or a file of `index name` lines. Default: from the student's file. */
  labels?: string | readonly string[] | undefined;
  /** Means of R, G, B in 0..1. Default: from the student's file. */
  mean?: readonly [number, number, number] | undefined;
  /** Standard deviations of R, G, B in 0.0001..1. Default: from the student's file. */
  std?: readonly [number, number, number] | undefined;
  /** Pixels a side. Default: from the student's file, else 224. */
  imageSize?: number | undefined;
  /** Whether a file that is there is replaced, whatever it is. Default false: only a model that this function wrote. */
  overwrite?: boolean | undefined;
  /** Told where the model was not checked. Default: `process.emitWarning`. */
  onWarning?: ((warning: DistillWarning) => void) | undefined;
}

export const onnxOptions = z.strictObject({
  student: fields.path,
  output: fields.path,
  input: z
    .enum(['uint8', 'float', 'normalized'])
    .describe("'uint8', 'float' or 'normalized'")
    .default('uint8'),
  softmax: z.boolean().describe('true or false').default(true),
  foldBatchNorm: z.boolean().describe('true or false').default(true),
  dynamicSize: z.boolean().describe('true or false').default(false),
  opset: z
    .int()
    .min(OLDEST_OPSET)
    .max(NEWEST_OPSET)
    .describe(`a whole number in ${OLDEST_OPSET}..${NEWEST_OPSET}`)
    .default(NEWEST_OPSET),
  labels: fields.labels.optional(),
  mean: preprocessing.mean.optional(),
  std: preprocessing.std.optional(),
  imageSize: preprocessing.imageSize.optional(),
  overwrite: fields.overwrite,
  onWarning: callback<(warning: DistillWarning) => void>().optional(),
});

/** Options, and the two paths, once they are checked and the defaults are in. */
export type CheckedOnnxOptions = z.output<typeof onnxOptions>;
