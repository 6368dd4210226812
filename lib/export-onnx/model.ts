import { loadAddon, native } from '../addon.js';
import { DistillError } from '../errors.js';
import type { CheckpointContents } from '../model/inspect.js';
import { networkModel } from '../model/onnx/network.js';
import { type Program, parseProgram, sizeOfWeights, weightsOf } from '../model/onnx/program.js';
import {
  STUDENT_TENSORS,
  type StudentGraph,
  type StudentTensor,
  studentModel,
} from '../model/onnx/student.js';

// The ONNX model of a file: the article's CNN has a builder of its own, others are converted from their graph.

/** An ONNX model is one message of protobuf, whose size is a signed 32-bit number. */
const LARGEST_MODEL = 2 ** 31 - 1;

/** Reads the graph of a model; `null` for the article's CNN, which needs none. */
export async function readProgram({
  path,
  architecture,
  problem,
}: CheckpointContents): Promise<Program | null> {
  if (architecture === 'cnn') return null;
  if (problem !== null) throw new DistillError('ERR_MODEL_ARCHITECTURE', `${problem}.`);
  const program = parseProgram(await native(loadAddon().readGraph(path)), path);
  const bytes = sizeOfWeights(program);
  if (bytes < LARGEST_MODEL) return program;
  throw new DistillError(
    'ERR_EXPORT_SIZE',
    `'${path}' has weights of ${(bytes / 1e9).toFixed(1)} GB as float32, but an ONNX file holds 2 GB at most; take a smaller model, or export it from PyTorch with torch.onnx.export, which writes weights beside the file.`,
  );
}

/** Reads a model's weights and makes the ONNX model. */
export async function makeModel(
  { path, architecture, weights }: CheckpointContents,
  program: Program | null,
  options: Omit<StudentGraph, 'tensors'>,
) {
  const names = program ? weightsOf(program) : STUDENT_TENSORS;
  const read = await native(loadAddon().readTensors(path, names, weights.averaged));
  if (!program) {
    const tensors = new Map(names.map((name, i) => [name, read[i] as StudentTensor]));
    return studentModel({ ...options, tensors });
  }
  const tensors = new Map(read.map((tensor, i) => [names[i] ?? '', tensor]));
  return networkModel({ ...options, program, tensors, name: architecture ?? 'network' });
}
