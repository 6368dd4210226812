import { realpath } from 'node:fs/promises';
import path from 'node:path';
import type { CheckedOptions } from './distill-options.js';
import { DistillError } from './errors.js';
import { inspect } from './inspect.js';

// What is wrong with a distillation as a whole, found before the long work begins.

/** The two folders of pictures. */
export function datasetFolders({ dataset, train, val }: CheckedOptions): {
  train: string;
  val: string;
} {
  if (dataset !== undefined && train === undefined && val === undefined) {
    return { train: path.join(dataset, 'train'), val: path.join(dataset, 'val') };
  }
  if (dataset === undefined && train !== undefined && val !== undefined) return { train, val };
  throw new DistillError(
    'ERR_OPTION',
    'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`.',
  );
}

/** A student written over the teacher would be the loss of the more valuable of the two. */
export async function refuseToOverwrite(student: string, options: CheckedOptions): Promise<void> {
  const real = await realpath(student).catch(() => null);
  if (real === null || real !== (await realpath(options.teacher).catch(() => null))) return;
  throw new DistillError(
    'ERR_OPTION',
    `\`student\` is the teacher's own file '${options.teacher}'; name another to write to.`,
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

/** The teacher must tell apart as many classes as there are folders. */
export function checkClasses(
  classes: string[],
  known: number,
  teacher: string,
  root: string,
): void {
  if (classes.length < 2) {
    throw new DistillError(
      'ERR_DATASET_CLASSES',
      `'${root}' has one class folder, '${classes[0]}'; a classifier needs two or more.`,
    );
  }
  if (classes.length === known) return;
  const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
  throw new DistillError(
    'ERR_TEACHER_CLASSES',
    `The teacher '${teacher}' tells ${known} classes apart, but '${root}' has ${classes.length} class folders (${names.join(', ')}); give the folders that it was trained on.`,
  );
}
