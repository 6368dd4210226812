import path from 'node:path';
import { DistillError } from './errors.js';
import { checkModel, findRuntime, type OnnxCheck } from './export-onnx/check.js';
import { makeModel, readProgram } from './export-onnx/model.js';
import { makeTrials } from './export-onnx/trials.js';
import { inspect } from './model/inspect.js';
import { madeWith } from './model/metadata.js';
import type { OnnxValue } from './model/onnx/graph.js';
import { expectOperators } from './model/onnx/picture.js';
import { propertiesOf } from './model/onnx/properties.js';
import { checkOutput, type OutputFile, writeOutput } from './model/output.js';
import type { Preprocessing } from './model/preprocessing.js';
import { preprocessingOf, recipeFound } from './model/resolve.js';
import { checkOptions } from './options/check.js';
import { type CheckedOnnxOptions, type OnnxOptions, onnxOptions } from './options/export-onnx.js';
import { emitWarning } from './warnings.js';

/** The outcome of {@link exportOnnx}. */
export interface OnnxExport {
  /** The file. */
  path: string;
  /** Its size. */
  bytes: number;
  opset: number;
  irVersion: number;
  input: OnnxValue;
  output: OnnxValue;
  /** The comparison with the student by onnxruntime; `null` where none is installed. */
  check: OnnxCheck | null;
}

/**
 * Writes a student as an ONNX model, or another model that this package knows or that comes with its graph (`.pt2`), for onnxruntime in any language and in browsers. The batch is of any size; with
 * `input: 'picture'` it is one picture of any height and width, which the model resizes and crops as in training.
 * Class names, mean, std, image size and the meaning of input and output are in the model's `metadata_props`.
 *
 * Before it is written, onnxruntime (`onnxruntime-node` or `onnxruntime-web`, whichever is installed) answers for
 * some pictures, and its answers must be the student's within 1e-4, or 1e-2 with `input: 'picture'`, as ONNX resizes in
 * another arithmetic. Without either this is left out, with a warning.
 *
 * @param student A student's file, or another model's.
 * @param output The file to write, by convention `.onnx`.
 * @throws DistillError `ERR_OPTION`, `ERR_CHECKPOINT_…`, `ERR_MODEL_ARCHITECTURE` where there is no graph of
 * it, `ERR_GRAPH`, `ERR_EXPORT_OPERATOR` where ONNX lacks an operator of it, `ERR_EXPORT_SIZE`, `ERR_NO_METADATA`, `ERR_LABELS`, `ERR_EXPORT_CHECK` where the model does not answer as the student does, and
 * `ERR_WRITE`; then nothing is written.
 *
 * @example
 * const { input, check } = await exportOnnx('student.pth', 'student.onnx');
 * console.log(input.shape, check?.maxDifference); // [ 'N', 224, 224, 3 ] 2.4e-7
 */
export async function exportOnnx(
  student: string,
  output: string,
  options: OnnxOptions = {},
): Promise<OnnxExport> {
  const checked = checkOptions(onnxOptions, { ...options, student, output });
  const { onWarning = emitWarning, opset, overwrite } = checked;
  const target = path.resolve(output);
  const file: OutputFile = { option: 'output', file: target, kind: 'onnx', overwrite };
  await checkOutput(file, { model: 'student', file: student });
  const contents = await inspect(student, { averaged: checked.averaged });
  const program = await readProgram(contents);
  const { preprocessing, labels } = await preprocessingOf(contents, checked);
  const recipe = recipeFound(checked, contents);
  if (recipe) onWarning(recipe);
  if (checked.input === 'picture') expectPictures(preprocessing, checked);

  // Loading refuses what is no whole network, so that all tensors are there and fit.
  const trials = await makeTrials(preprocessing, { ...checked, classes: labels.length });
  const { bytes, ...model } = await makeModel(contents, program, {
    ...checked,
    preprocessing,
    labels,
    metadata: propertiesOf(preprocessing, labels, checked, contents.metadata),
    producerVersion: madeWith()['node-distill'] ?? '',
  });
  const runtime = await findRuntime();
  const check =
    typeof runtime === 'string' ? null : await checkModel(bytes, runtime, trials, checked);
  if (typeof runtime === 'string') {
    const message = `The ONNX model was not checked: ${runtime}.`;
    onWarning({ code: 'WARN_EXPORT_UNCHECKED', message, path: target });
  }
  await writeOutput(file, bytes);
  return { path: target, bytes: bytes.length, opset, ...model, check };
}

/** Refuses what a model of one whole picture cannot have. */
function expectPictures(preprocessing: Preprocessing, options: CheckedOnnxOptions): void {
  if (options.dynamicSize) {
    throw new DistillError(
      'ERR_OPTION',
      "`dynamicSize` is of no use with `input: 'picture'`, which takes pictures of any size; leave it out.",
    );
  }
  expectOperators(preprocessing, options);
}
