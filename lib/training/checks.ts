import path from 'node:path';
import type { DatasetFolders } from '../data/layout.js';
import type { TeacherLogits } from '../data/logits-file.js';
import { DistillError } from '../errors.js';
import { type CheckpointContents, inspect } from '../model/inspect.js';
import type { ModelMetadata } from '../model/metadata.js';
import type { Preprocessing } from '../model/use.js';
import type { NativeSchedule } from '../native.js';
import type { CheckedOptions } from '../options/distill.js';

// What is wrong with a training as a whole, found before the long work begins.

/** The two folders of pictures. */
export function datasetFolders({
  dataset,
  train,
  val,
}: Pick<CheckedOptions, 'dataset' | 'train' | 'val'>): DatasetFolders {
  if (dataset !== undefined && train === undefined && val === undefined) {
    return { train: path.join(dataset, 'train'), val: path.join(dataset, 'val'), dataset };
  }
  if (dataset === undefined && train !== undefined && val !== undefined) return { train, val };
  throw new DistillError(
    'ERR_OPTION',
    'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`.',
  );
}

/** How the learning rate goes; `warmup` in epochs. */
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

/** Whose answers are learnt: a teacher's own, or those that it once gave. */
export function teacherOf({
  teacher,
  teacherLogits,
}: Pick<CheckedOptions, 'teacher' | 'teacherLogits'>): {
  file: string;
  isLogits: boolean;
} {
  const file = teacher ?? teacherLogits;
  if (file !== undefined && (teacher === undefined || teacherLogits === undefined)) {
    return { file, isLogits: teacher === undefined };
  }
  throw new DistillError(
    'ERR_OPTION',
    `Expected either \`teacher\`, a DenseNet's file, or \`teacherLogits\`, a file of its answers, but received ${file === undefined ? 'neither' : 'both'}.`,
  );
}

/**
 * A teacher is a DenseNet; so are the weights that one starts from.
 *
 * @param option What the file is given as.
 */
export function checkTeacher(
  { path, architecture, tensors, metadata }: CheckpointContents,
  option = 'teacher',
): { architecture: string } {
  if (architecture?.startsWith('densenet')) return { architecture };
  const refusal = (what: string) =>
    new DistillError('ERR_TEACHER_ARCHITECTURE', `'${path}' holds ${what}.`);
  if (architecture === 'student') {
    const its = metadata?.teacher?.file;
    throw refusal(
      `a student and no DenseNet; give the DenseNet that it learnt from${its ? ` ('${its}')` : ''} as \`${option}\``,
    );
  }
  const has = (name: string) => tensors.some((tensor) => tensor.name === name);
  if (option === 'teacher' && has('logits') && has('paths')) {
    throw refusal("a teacher's logits and no DenseNet; give it as `teacherLogits`");
  }
  const names = tensors.slice(0, 3).map(({ name }) => `'${name}'`);
  throw refusal(
    `${tensors.length} tensors (${names.join(', ')}, …), which are not those of a torchvision DenseNet 121, 161, 169 or 201; give one of these as \`${option}\``,
  );
}

/** Where a teacher's file names its classes, they must be the class folders. */
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

/** Training would refuse it as well, but only after all has been prepared. */
export async function checkInitialStudent(file: string, expected: number): Promise<void> {
  const { architecture, classes } = await inspect(file);
  if (architecture === 'student' && classes === expected) return;
  const found =
    architecture === null ? 'another network' : `a ${architecture} with ${classes} classes`;
  throw new DistillError(
    'ERR_CHECKPOINT_MISMATCH',
    `Expected a student with ${expected} classes in '${file}' (initialStudent), but it holds ${found}.`,
  );
}

/** The columns of a file of logits must be the class folders. */
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

/** In what a file's own preprocessing is another one, if it says any. */
export function differing(
  metadata: ModelMetadata | null,
  options: Preprocessing,
): keyof Preprocessing | null {
  const names = ['imageSize', 'mean', 'std'] as const;
  return names.find((name) => metadata && `${metadata[name]}` !== `${options[name]}`) ?? null;
}

/** What the logits were answered for other than what the student is to see: no error, but seldom meant. */
export function otherPreprocessing(
  { file, metadata }: TeacherLogits,
  options: Preprocessing,
): string | null {
  const name = differing(metadata, options);
  if (!metadata || !name) return null;
  return `The logits in '${file}' are a teacher's that saw pictures with ${name} ${metadata[name]}, and the student is to see them with ${options[name]}.`;
}

/** A classifier tells classes apart. */
export function checkSeveral(classes: string[], root: string): void {
  if (classes.length >= 2) return;
  throw new DistillError(
    'ERR_DATASET_CLASSES',
    `'${root}' has one class folder, '${classes[0]}'; a classifier needs two or more.`,
  );
}

/** The teacher must tell apart as many classes as there are folders. */
export function checkClasses(
  classes: string[],
  known: number,
  teacher: string,
  root: string,
): void {
  checkSeveral(classes, root);
  if (classes.length === known) return;
  const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `The teacher '${teacher}' tells ${known} classes apart, but '${root}' has ${classes.length} class folders (${names.join(', ')}); give the folders that it was trained on.`,
  );
}
