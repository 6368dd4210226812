import { DistillError } from '../errors.js';
import { loadRuntime } from '../model/onnx/runtime.js';
import type { OnnxInput } from '../options/export-onnx.js';

// Compares an ONNX model's answers, by onnxruntime, with the student's for the same pictures.

/** The largest difference of two answers; relative to the answer where that is beyond 1, as logits may be. */
const TOLERANCE = 1e-4;

/** The same for a model that resizes pictures, because its arithmetic differs by a level in some pixels. */
const PICTURE_TOLERANCE = 1e-2;

/** Some pictures as the model is fed them, and the student's answers, row by row. */
export interface Trial {
  input: { type: 'uint8' | 'float32'; data: Uint8Array | Float32Array; shape: readonly number[] };
  images: number;
  expected: Float32Array;
}

/** The outcome of the comparison. */
export interface OnnxCheck {
  /** Such as `onnxruntime-web 1.30.0`. */
  runtime: string;
  /** The number of pictures that were compared. */
  images: number;
  /** The largest difference of two answers, relative to the answer where that is beyond 1. At most 1e-4, or 1e-2 with `input: 'picture'`. */
  maxDifference: number;
}

/** An onnxruntime. */
export interface Runtime {
  /** Such as `onnxruntime-web 1.30.0`. */
  name: string;
  /** Returns the answers for each of the inputs. */
  run(model: Uint8Array, inputs: readonly Trial['input'][]): Promise<Float32Array[]>;
}

/** Finds the onnxruntime that is installed; returns the reason where there is none. */
export async function findRuntime(): Promise<Runtime | string> {
  const runtime = await loadRuntime();
  if (typeof runtime === 'string') return runtime;
  const { InferenceSession, Tensor } = runtime.ort;
  return {
    name: runtime.name,
    run: async (model, inputs) => {
      const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
      try {
        const answers: Float32Array[] = [];
        const [input = '', output = ''] = [...session.inputNames, ...session.outputNames];
        for (const { type, data, shape } of inputs) {
          const answer = await session.run({ [input]: new Tensor(type, data, shape) });
          answers.push(answer[output]?.data as Float32Array);
        }
        return answers;
      } finally {
        await session.release();
      }
    },
  };
}

/**
 * Compares onnxruntime's answers with the expected ones.
 *
 * @throws DistillError `ERR_EXPORT_CHECK` where it does not, or answers otherwise.
 */
export async function checkModel(
  model: Uint8Array,
  runtime: Runtime,
  trials: readonly Trial[],
  { input }: { input: OnnxInput },
): Promise<OnnxCheck> {
  const tolerance = input === 'picture' ? PICTURE_TOLERANCE : TOLERANCE;
  const inputs = trials.map(({ input }) => input);
  const answers = await runtime.run(model, inputs).catch((cause: Error) => {
    const reason = cause.message.split('\n')[0];
    throw failure(
      `${runtime.name} does not run it (${reason}); pass an older \`opset\`, or update onnxruntime`,
      cause,
    );
  });
  let maxDifference = 0;
  for (const [i, { expected }] of trials.entries()) {
    for (const [k, right] of expected.entries()) {
      const difference =
        Math.abs((answers[i]?.[k] ?? Number.NaN) - right) / Math.max(1, Math.abs(right));
      if (!(difference <= tolerance)) {
        throw failure(
          `${runtime.name} answers ${answers[i]?.[k]} where the student answers ${right}; take a student whose answers are finite, or report it`,
        );
      }
      maxDifference = Math.max(maxDifference, difference);
    }
  }
  const images = trials.reduce((sum, trial) => sum + trial.images, 0);
  return { runtime: runtime.name, images, maxDifference };
}

function failure(what: string, cause?: unknown): DistillError {
  return new DistillError('ERR_EXPORT_CHECK', `The ONNX model is not written: ${what}.`, { cause });
}
