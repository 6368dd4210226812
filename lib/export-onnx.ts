import path from 'node:path';
import { loadAddon, native } from './addon.js';
import { DistillError } from './errors.js';
import { checkModel, findRuntime, type OnnxCheck } from './export-onnx/check.js';
import { makeTrials } from './export-onnx/trials.js';
import { type CheckpointContents, inspect } from './model/inspect.js';
import { madeWith } from './model/metadata.js';
import type { OnnxValue } from './model/onnx/graph.js';
import { expectOperators } from './model/onnx/picture.js';
import { propertiesOf } from './model/onnx/properties.js';
import { STUDENT_TENSORS, type StudentTensor, studentModel } from './model/onnx/student.js';
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
 * Writes a student as an ONNX model, for onnxruntime in any language and in browsers. The batch is of any size; with
 * `input: 'picture'` it is one picture of any height and width, which the model resizes and crops as in training.
 * Class names, mean, std, image size and the meaning of input and output are in the model's `metadata_props`.
 *
 * Before it is written, onnxruntime (`onnxruntime-node` or `onnxruntime-web`, whichever is installed) answers for
 * some pictures, and its answers must be the student's within 1e-4, or 1e-2 with `input: 'picture'`, as ONNX resizes in
 * another arithmetic. Without either this is left out, with a warning.
 *
 * @param student A student's file.
 * @param output The file to write, by convention `.onnx`.
 * @throws DistillError `ERR_OPTION`, `ERR_CHECKPOINT_…`, `ERR_MODEL_ARCHITECTURE` where `student` is none,
 * `ERR_NO_METADATA`, `ERR_LABELS`, `ERR_EXPORT_CHECK` where the model does not answer as the student does, and
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
  const addon = loadAddon();
  const target = path.resolve(output);
  const file: OutputFile = { option: 'output', file: target, kind: 'onnx', overwrite };
  await checkOutput(file, { model: 'student', file: student });
  const contents = await inspect(student);
  expectStudent(contents);
  const { preprocessing, labels } = await preprocessingOf(contents, checked);
  const recipe = recipeFound(checked, contents);
  if (recipe) onWarning(recipe);
  if (checked.input === 'picture') expectPictures(preprocessing, checked);

  // Loading refuses what is no whole student, so that all tensors are there and fit.
  const trials = await makeTrials(preprocessing, checked);
  const tensors = await native(addon.readTensors(student, STUDENT_TENSORS));
  const { bytes, ...model } = studentModel({
    ...checked,
    preprocessing,
    labels,
    tensors: new Map(STUDENT_TENSORS.map((name, i) => [name, tensors[i] as StudentTensor])),
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

function expectStudent({ path, architecture }: CheckpointContents): void {
  if (architecture === 'cnn') return;
  throw new DistillError(
    'ERR_MODEL_ARCHITECTURE',
    architecture === null
      ? `'${path}' holds no student that this package trains; \`distill inspect\` shows what it holds.`
      : `'${path}' holds a ${architecture}, but only students are written as ONNX; export it from PyTorch with torch.onnx.export.`,
  );
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
