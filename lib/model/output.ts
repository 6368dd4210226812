import { realpath, stat } from 'node:fs/promises';
import { fromBinary } from '@bufbuild/protobuf';
import { loadAddon, native } from '../addon.js';
import { DistillError } from '../errors.js';
import { readFile } from '../files.js';
import { inspect, isStudent } from './inspect.js';
import { ModelProtoSchema } from './onnx/onnx_pb.js';

// Files that are written, and the refusal to replace what this package did not write.

/** The kinds of files that this package writes, each of which replaces its own kind alone. */
const KINDS = {
  student: 'a student',
  teacher: 'a teacher',
  logits: "a file of a teacher's logits",
  onnx: 'an ONNX model',
  sweep: 'the figures of a sweep',
  comparison: 'the figures of a comparison',
} as const;
export type Kind = keyof typeof KINDS;

/** A file to be written. */
export interface OutputFile {
  /** The option that it is given as. */
  option: string;
  file: string;
  kind: Kind;
  /** Whether it may replace any file that is there. */
  overwrite: boolean;
}

/**
 * Makes sure before the work begins that a file can be written, and that nothing is lost by it.
 *
 * @param source The model that it is made of, which must not be written over.
 * @throws DistillError `ERR_WRITE`, `ERR_OPTION` where it is the source, and `ERR_EXISTS`.
 */
export async function checkOutput(
  output: OutputFile,
  source: { model: 'teacher' | 'student' | 'model'; file: string } | null,
): Promise<void> {
  await native(loadAddon().checkWritable(output.file));
  if (source) await refuseSource(source.model, source.file, output.option, output.file);
  await refuseOthers(output);
}

/**
 * Refuses to write a file over the model that it is made of, which would lose the more valuable of the two.
 *
 * @param model The option with the model.
 * @param option The option with the file to write.
 */
export async function refuseSource(
  model: 'teacher' | 'student' | 'model',
  modelFile: string,
  option: string,
  file: string,
): Promise<void> {
  const real = await realpath(file).catch(() => null);
  if (real === null || real !== (await realpath(modelFile).catch(() => null))) return;
  throw new DistillError(
    'ERR_OPTION',
    `\`${option}\` is the ${model}'s own file '${modelFile}'; name another to write to.`,
  );
}

/**
 * Refuses to replace a file, unless this package wrote it and it is of the same kind. Called again right before a file is
 * written, as it may have come there meanwhile.
 *
 * @throws DistillError `ERR_EXISTS`.
 */
export async function refuseOthers({ option, file, kind, overwrite }: OutputFile): Promise<void> {
  if (overwrite || !(await stat(file).catch(() => null))) return;
  const found = await recognise(file);
  if (found.kind === kind) return;
  throw new DistillError(
    'ERR_EXISTS',
    `'${file}' is there already, with ${found.holds ?? 'something else'} in it, and only ${KINDS[kind]} by this package may be replaced; name another file as \`${option}\`, or set \`overwrite\`.`,
  );
}

/** Writes a whole file, unless another has come there meanwhile. */
export async function writeOutput(output: OutputFile, bytes: Uint8Array): Promise<void> {
  await refuseOthers(output);
  await native(loadAddon().writeFile(output.file, bytes));
}

/** Bytes of the largest file that is looked into: figures and ONNX models are much smaller. */
const LIMIT = 256 * 2 ** 20;

/** Recognises a file: its kind, where this package wrote it, and its contents in words, as far as they are known. */
async function recognise(file: string): Promise<{ kind: Kind | null; holds: string | null }> {
  const checkpoint = await inspect(file).catch(() => null);
  if (checkpoint) {
    const { architecture, metadata, tensors } = checkpoint;
    const isOurs = metadata?.versions?.['node-distill'] !== undefined;
    const named = ['logits', 'paths'].every((name) => tensors.some((one) => one.name === name));
    const logits = named ? ('logits' as const) : null;
    const model = isStudent(checkpoint) ? 'student' : 'teacher';
    const kind = architecture === null ? logits : model;
    const network = model === 'student' ? KINDS.student : `a ${architecture}`;
    const what = architecture ? network : (logits && KINDS.logits) || 'a network';
    return { kind: isOurs ? kind : null, holds: `${what}${isOurs ? '' : ' from elsewhere'}` };
  }
  const bytes = await readFile(file, { limit: LIMIT }).catch(() => null);
  if (bytes?.length === 0) return { kind: null, holds: 'nothing' };
  const kind = bytes && (figuresIn(bytes) ?? onnxIn(bytes));
  return { kind, holds: kind && KINDS[kind] };
}

function figuresIn(bytes: Buffer): Kind | null {
  try {
    const { versions, points, withTeacher } = JSON.parse(bytes.toString('utf8'));
    if (versions['node-distill'] === undefined) return null;
    if (Array.isArray(points)) return 'sweep';
    return withTeacher === undefined ? null : 'comparison';
  } catch {
    return null;
  }
}

function onnxIn(bytes: Uint8Array): Kind | null {
  try {
    return fromBinary(ModelProtoSchema, bytes).producerName === 'node-distill' ? 'onnx' : null;
  } catch {
    return null;
  }
}
