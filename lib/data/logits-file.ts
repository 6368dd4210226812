import { loadAddon, native } from '../addon.js';
import { DistillError } from '../errors.js';
import { inspect } from '../model/inspect.js';
import type { ModelMetadata } from '../model/metadata.js';
import type { FoundRecipe } from '../model/recipes.js';
import { type LabelledFolder, relativePath, type Sample } from './samples.js';

// A teacher's answers in a safetensors file:
//
//   logits  (n, classes) float32  raw; the columns are the classes, sorted as their folders are
//   paths   (bytes) uint8         the picture of each row, as imageName() has it: UTF-8, a NUL between
//                                 two. The format has no strings, and no path holds a NUL.
//
// "distill.json" in its metadata, as in a student's file, may be left out.

/** Returns a picture's name in the file, with `/` on every system: `train/ants/1.jpg`, or `unlabeled/1.jpg`. */
export function imageName(
  split: 'train' | 'val',
  folder: Pick<LabelledFolder, 'root' | 'unlabeled'>,
  sample: Sample,
): string {
  return `${sample.label < 0 ? 'unlabeled' : split}/${relativePath(folder, sample)}`;
}

/**
 * Writes a teacher's answers, atomically.
 *
 * @param logits (names.length, classes), row by row.
 * @throws DistillError `ERR_WRITE`.
 */
export async function writeLogits(
  path: string,
  names: readonly string[],
  logits: Float32Array,
  metadata: ModelMetadata,
): Promise<void> {
  const paths = new TextEncoder().encode(names.join('\0'));
  const tensors = [
    { name: 'logits', shape: [names.length, metadata.classes.length], data: logits },
    { name: 'paths', shape: [paths.length], data: paths },
  ];
  await native(loadAddon().writeTensors({ path, tensors, metadata: JSON.stringify(metadata) }));
}

/** The answers of a teacher, read from a file. */
export class TeacherLogits {
  readonly file: string;
  /** The number of classes. */
  readonly classes: number;
  /** The metadata of the file, where it has some. */
  readonly metadata: ModelMetadata | null;
  /** The recipe that was found with the file, where it has no metadata. */
  readonly recipe: FoundRecipe | null;
  readonly #logits: Float32Array;
  /** Rows of the logits by the picture's name. */
  readonly #rows = new Map<string, number>();

  private constructor(
    file: string,
    logits: Float32Array,
    names: readonly string[],
    { metadata, recipe }: Pick<TeacherLogits, 'metadata' | 'recipe'>,
  ) {
    this.file = file;
    this.classes = logits.length / names.length;
    this.metadata = metadata;
    this.recipe = recipe;
    this.#logits = logits;
    for (const [row, name] of names.entries()) {
      if (this.#rows.has(name)) throw refusal(file, `names the picture '${name}' twice`);
      this.#rows.set(name, row);
    }
  }

  /**
   * Reads a file of logits.
   *
   * @throws DistillError `ERR_TEACHER_LOGITS` where the file holds something else, `ERR_NOT_FINITE`
   * where an answer is NaN or infinite, and `ERR_CHECKPOINT_…` where it cannot be read.
   */
  static async read(file: string): Promise<TeacherLogits> {
    const { architecture, tensors, metadata, recipe } = await inspect(file);
    if (architecture !== null) {
      throw refusal(file, `holds a ${architecture}, whose place is \`teacher\`, and no logits`);
    }
    const find = (name: string) => tensors.find((tensor) => tensor.name === name);
    const logits = find('logits');
    const paths = find('paths');
    if (!logits || !paths) {
      const names = tensors.slice(0, 3).map(({ name }) => `'${name}'`);
      throw refusal(file, `lacks 'logits' or 'paths'; it holds ${names.join(', ')}`);
    }
    const isFloat = /^b?float\d+$/.test(logits.dtype);
    if (!isFloat || logits.shape.length !== 2 || logits.shape.includes(0)) {
      throw refusal(file, `holds 'logits' of ${show(logits)}, not (n, classes) of float32`);
    }
    if (paths.dtype !== 'uint8' || paths.shape.length !== 1) {
      throw refusal(file, `holds 'paths' of ${show(paths)}, not bytes of UTF-8`);
    }
    const [values, bytes] = await readBoth(file);
    const names = decode(file, bytes).split('\0');
    if (names.length !== logits.shape[0]) {
      throw refusal(file, `has logits of ${logits.shape[0]} pictures, but ${names.length} paths`);
    }
    return new TeacherLogits(file, values, names, { metadata, recipe });
  }

  /** Tells whether there is an answer for each of these pictures. */
  has(names: readonly string[]): boolean {
    return names.every((name) => this.#rows.has(name));
  }

  /**
   * Refuses the file where it lacks one of these pictures.
   *
   * @throws DistillError `ERR_TEACHER_LOGITS`.
   */
  requireAll(names: readonly string[]): void {
    const missing = names.filter((name) => !this.#rows.has(name));
    if (missing.length === 0) return;
    const others = missing.length > 1 ? ` and ${missing.length - 1} other pictures` : '';
    throw refusal(this.file, `has no logits for '${missing[0]}'${others}`);
  }

  /**
   * Returns the answers for pictures, (n, classes) row by row.
   *
   * @throws DistillError As {@link requireAll}.
   */
  rowsOf(names: readonly string[]): Float32Array {
    this.requireAll(names);
    const { classes } = this;
    const found = new Float32Array(names.length * classes);
    for (const [i, name] of names.entries()) {
      const row = this.#rows.get(name) as number;
      found.set(this.#logits.subarray(row * classes, (row + 1) * classes), i * classes);
    }
    return found;
  }
}

async function readBoth(file: string): Promise<[Float32Array, Uint8Array]> {
  try {
    const read = await native(loadAddon().readTensors(file, ['logits', 'paths'], false));
    return read.map(({ data }) => data) as [Float32Array, Uint8Array];
  } catch (cause) {
    if ((cause as DistillError).code !== 'ERR_CHECKPOINT_NOT_FINITE') throw cause;
    throw new DistillError(
      'ERR_NOT_FINITE',
      `The logits in '${file}' are not all finite numbers; write them with a teacher from before its training diverged.`,
      { cause },
    );
  }
}

function decode(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw refusal(file, "holds 'paths' that are not UTF-8", cause);
  }
}

function show({ dtype, shape }: { dtype: string; shape: number[] }): string {
  return `${dtype} (${shape.join(', ')})`;
}

function refusal(file: string, what: string, cause?: unknown): DistillError {
  return new DistillError(
    'ERR_TEACHER_LOGITS',
    `'${file}' ${what}; write the teacher's logits with \`distill logits\`, or as docs/teachers-and-students.md shows.`,
    { cause },
  );
}
