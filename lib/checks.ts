import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { DatasetFolders } from './data/layout.js';
import type { TeacherLogits } from './data/logits-file.js';
import type { LabelledFolder } from './data/samples.js';
import { DistillError } from './errors.js';
import { type CheckpointContents, inspect } from './model/inspect.js';
import type { ModelMetadata } from './model/metadata.js';
import { CENTER_CROP, type Preprocessing, STEPS } from './model/preprocessing.js';
import type { NativeSchedule, NativeTraining } from './native.js';
import { DEFAULT_STUDENT, isExportedProgram } from './options/architectures.js';
import type { CheckedOptions } from './options/distill.js';

// Checks of options, files and classes together, which several calls make before their long work begins.

/**
 * Returns the folders of the training and the validation pictures.
 *
 * @throws DistillError `ERR_OPTION` unless they are given in one of the two ways.
 */
export function datasetFolders({
  dataset,
  train,
  val,
  valSplit,
  splitSeed,
  unlabeled,
}: Pick<CheckedOptions, 'dataset' | 'train' | 'val' | 'valSplit' | 'splitSeed'> & {
  unlabeled?: string | undefined;
}): DatasetFolders {
  const split = {
    ...(valSplit !== undefined && { valSplit: { share: valSplit, seed: splitSeed } }),
    ...(unlabeled !== undefined && { unlabeled }),
  };
  if (dataset !== undefined && train === undefined && val === undefined) {
    return {
      train: path.join(dataset, 'train'),
      val: path.join(dataset, 'val'),
      dataset,
      ...split,
    };
  }
  if (dataset === undefined && train !== undefined) {
    if (val !== undefined && valSplit === undefined) return { train, val, ...split };
    if (val === undefined && valSplit !== undefined) return { train, val: train, ...split };
  }
  throw new DistillError(
    'ERR_OPTION',
    val !== undefined && valSplit !== undefined
      ? 'Expected either `val` or `valSplit`, which takes pictures to validate with out of the others, but received both.'
      : 'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`, or `train` and `valSplit`.',
  );
}

/**
 * Returns the learning rate's schedule; `warmup` is in epochs.
 *
 * @throws DistillError `ERR_OPTION` where a schedule without warm-up is given one.
 */
export function scheduleOf({
  schedule,
  warmup,
}: Pick<CheckedOptions, 'schedule' | 'warmup'>): NativeSchedule {
  if (schedule !== 'cosine' && warmup) {
    throw new DistillError(
      'ERR_OPTION',
      `The \`schedule\` '${schedule}' has no \`warmup\`; leave it out, or take 'cosine'.`,
    );
  }
  return { schedule, warmup: warmup ?? (schedule === 'cosine' ? 1 : 0) };
}

/**
 * Returns the native name of the sampler.
 *
 * @throws DistillError `ERR_OPTION` where a sampler that draws is to leave the order as it is.
 */
export function samplerOf({
  shuffle,
  sampler,
}: Pick<CheckedOptions, 'shuffle' | 'sampler'>): NativeTraining['sampler'] {
  if (shuffle) return sampler;
  if (sampler === 'shuffle') return 'sequential';
  throw new DistillError(
    'ERR_OPTION',
    `The \`sampler\` '${sampler}' draws pictures in random order, so it does not go with \`shuffle\` false; leave one of them out.`,
  );
}

/** The file that a student learns from. */
export interface TeacherSource {
  file: string;
  /** Whether it holds the teacher's answers, or else the teacher itself. */
  isLogits: boolean;
}

/**
 * Returns the file that a student learns from.
 *
 * @throws DistillError `ERR_OPTION` unless exactly one is given.
 */
export function teacherOf({
  teacher,
  teacherLogits,
}: Pick<CheckedOptions, 'teacher' | 'teacherLogits'>): TeacherSource {
  const file = teacher ?? teacherLogits;
  if (file !== undefined && (teacher === undefined || teacherLogits === undefined)) {
    return { file, isLogits: teacher === undefined };
  }
  throw new DistillError(
    'ERR_OPTION',
    `Expected either \`teacher\`, a network's file, or \`teacherLogits\`, a file of its answers, but received ${file === undefined ? 'neither' : 'both'}.`,
  );
}

/**
 * Refuses a file that holds no known network as a teacher, or as the weights that one starts from.
 *
 * @param option The option that the file is given as.
 * @throws DistillError `ERR_TEACHER_ARCHITECTURE` that says what the file holds instead.
 */
export function checkTeacher(
  { path, architecture, problem, tensors, metadata }: CheckpointContents,
  option = 'teacher',
): { architecture: string } {
  if (architecture !== null && architecture !== DEFAULT_STUDENT) return { architecture };
  const refusal = (what: string) =>
    new DistillError('ERR_TEACHER_ARCHITECTURE', `'${path}' holds ${what}.`);
  if (architecture === DEFAULT_STUDENT) {
    const file = metadata?.teacher?.file;
    throw refusal(
      `a student; give the teacher that it learnt from${file ? ` ('${file}')` : ''} as \`${option}\``,
    );
  }
  if (problem !== null) throw new DistillError('ERR_TEACHER_ARCHITECTURE', `${problem}.`);
  const has = (name: string) => tensors.some((tensor) => tensor.name === name);
  if (option === 'teacher' && has('logits') && has('paths')) {
    throw refusal("a teacher's logits and no network; give it as `teacherLogits`");
  }
  const names = tensors.slice(0, 3).map(({ name }) => `'${name}'`);
  throw refusal(
    `${tensors.length} tensors (${names.join(', ')}, …), which are not those of a network that is known by its state dict (docs/teachers-and-students.md lists them); give one of these as \`${option}\``,
  );
}

/** Refuses a teacher whose file names other classes than the class folders. */
export function checkClassNames(
  classes: string[],
  { path, metadata }: Pick<CheckpointContents, 'path' | 'metadata'>,
  root: string,
): void {
  const differing = metadata?.classes.findIndex((name, i) => name !== classes[i]) ?? -1;
  if (differing < 0) return;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `Class ${differing} of the teacher '${path}' is '${metadata?.classes[differing]}', but class folder ${differing} of '${root}' is '${classes[differing]}'; give the folders that it was trained on.`,
  );
}

/**
 * Refuses a file without a student of this network and so many classes. Training would as well, but only after all is
 * prepared.
 *
 * @returns A sentence where that student has seen pictures otherwise than this one is to; `null` where not.
 */
export async function checkInitialStudent(
  file: string,
  expected: Pick<CheckedOptions, 'architecture' | 'width'> & { classes: number },
  preprocessing: Preprocessing | null,
): Promise<string | null> {
  const found = await inspect(file);
  const { metadata } = found;
  // The weights of a network of one's own are compared where it is made.
  const isSame =
    (isExportedProgram(expected.architecture) || found.architecture === expected.architecture) &&
    found.classes === expected.classes &&
    (found.width ?? 1) === expected.width;
  if (!isSame) {
    throw new DistillError(
      'ERR_CHECKPOINT_MISMATCH',
      `Expected ${networkInWords(expected)} in '${file}' (initialStudent), but it holds ${networkInWords(found)}.`,
    );
  }
  const name = preprocessing && differingField(metadata, preprocessing);
  if (!metadata || !preprocessing || !name) return null;
  return `The student in '${file}' (initialStudent) has seen pictures with ${name} ${shownField(metadata, name)}, but is to see them with ${name} ${shownField(preprocessing, name)}.`;
}

/** Describes a network, such as `a student with 2 classes` or `a resnet18 with 1000 classes`. */
function networkInWords({
  architecture,
  classes,
  width,
}: Pick<CheckpointContents, 'architecture' | 'classes' | 'width'>): string {
  if (architecture === null) return 'another network';
  const name = architecture === DEFAULT_STUDENT ? 'student' : architecture;
  return `a ${name} with ${classes} classes${(width ?? 1) === 1 ? '' : ` and width ${width}`}`;
}

/**
 * Refuses a width of a network that has none.
 *
 * @throws DistillError `ERR_OPTION`.
 */
export function checkWidth({
  architecture,
  width,
}: Pick<CheckedOptions, 'architecture' | 'width'>): void {
  if (width === 1 || architecture === DEFAULT_STUDENT) return;
  throw new DistillError(
    'ERR_OPTION',
    `The \`architecture\` '${architecture}' has no \`width\`; leave it out, or take '${DEFAULT_STUDENT}'.`,
  );
}

/** Refuses a file of logits whose columns are other classes than the class folders. */
export function checkLogits(
  { file, metadata }: TeacherLogits,
  classes: string[],
  root: string,
): void {
  const differing = metadata?.classes.findIndex((name, i) => name !== classes[i]) ?? -1;
  if (differing < 0) return;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `Column ${differing} of the logits in '${file}' is for '${metadata?.classes[differing]}', but class folder ${differing} of '${root}' is '${classes[differing]}'; give the folders that they were written for.`,
  );
}

/** Returns the first field in which the preprocessing that a file says differs from the given one; `null` without a difference. */
export function differingField(
  metadata: ModelMetadata | null,
  preprocessing: Preprocessing,
): (keyof Preprocessing & keyof ModelMetadata) | null {
  if (!metadata) return null;
  const said = { ...CENTER_CROP, ...metadata };
  const names = ['imageSize', ...STEPS, 'mean', 'std'] as const;
  return names.find((name) => !isDeepStrictEqual(said[name], preprocessing[name])) ?? null;
}

/** Shows a field of preprocessing, such as `0.5,0.5,0.5`; `none` where nothing is resized. */
export function shownField(
  preprocessing: ModelMetadata | Preprocessing,
  name: keyof Preprocessing & keyof ModelMetadata,
): string {
  return `${{ ...CENTER_CROP, ...preprocessing }[name] ?? 'none'}`;
}

/** Returns a sentence where the teacher of the logits saw the pictures otherwise than the student is to; `null` where not. */
export function otherPreprocessing(
  { file, metadata }: TeacherLogits,
  preprocessing: Preprocessing,
): string | null {
  const name = differingField(metadata, preprocessing);
  if (!metadata || !name) return null;
  return `The logits in '${file}' are of a teacher that saw pictures with ${name} ${shownField(metadata, name)}, but the student is to see them with ${name} ${shownField(preprocessing, name)}.`;
}

/** Refuses a single class. */
export function checkSeveral(classes: string[], root: string): void {
  if (classes.length >= 2) return;
  throw new DistillError(
    'ERR_DATASET_CLASSES',
    `'${root}' has one class folder, '${classes[0]}'; a classifier needs two or more.`,
  );
}

/**
 * Refuses pictures without a class, which only a teacher's answers can be learnt from.
 *
 * @param why The half sentence that says why, such as `which a teacher is trained by`.
 */
export function checkLabelled(train: LabelledFolder, why: string): void {
  const without = train.samples.find(({ label }) => label < 0);
  if (!without) return;
  throw new DistillError(
    'ERR_DATASET_UNLABELED',
    `'${without.path}' has no class, ${why}; give it one, or leave it out.`,
  );
}

/** Refuses a teacher that has more or fewer classes than there are folders. */
export function checkClasses(
  classes: string[],
  teacherClasses: number,
  teacher: string,
  root: string,
): void {
  checkSeveral(classes, root);
  if (classes.length === teacherClasses) return;
  const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `The teacher '${teacher}' has ${teacherClasses} classes, but '${root}' has ${classes.length} class folders (${names.join(', ')}); give the folders that it was trained on.`,
  );
}
