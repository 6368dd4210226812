import path from 'node:path';
import { native } from '../addon.js';
import {
  checkClasses,
  checkClassNames,
  checkLogits,
  checkTeacher,
  type TeacherSource,
} from '../checks.js';
import { TeacherLogits } from '../data/logits-file.js';
import type { Dataset } from '../data/store.js';
import { sha256 } from '../files.js';
import { describeAccuracy, GUESSES, isGuess } from '../model/guessing.js';
import { inspect } from '../model/inspect.js';
import { isOnnx } from '../model/onnx-teacher/contents.js';
import { readOnnx, sha256OfOnnx } from '../model/onnx-teacher/model.js';
import { OnnxNetwork } from '../model/onnx-teacher/network.js';
import type { Preprocessing } from '../model/preprocessing.js';
import {
  type Described,
  type GivenPreprocessing,
  preprocessingOf,
  recipeFound,
} from '../model/resolve.js';
import type { CheckedOptions } from '../options/distill.js';
import type { CommonEvents } from '../run/events.js';
import type { TaskContext } from '../run/task.js';
import { count } from '../words.js';
import { countLabelled, type Session } from './session.js';

/** The teacher that students learn from, or the file of its logits. */
export interface Teacher {
  /** The SHA-256 of the file. */
  sha256: string;
  /** True where its averaged weights are taken. */
  averaged: boolean;
  /** Its answers, where it is not asked itself. */
  logits: TeacherLogits | null;
  /** The teacher, where it is an ONNX model: it holds a thread until it is closed. */
  network: OnnxNetwork | null;
  preprocessing: Preprocessing;
  /** The entry `teacher` of a student's metadata: file, architecture and SHA-256. */
  provenance: Record<string, unknown>;
}

/** Options that say how a teacher's file is read. */
type TeacherOptions = GivenPreprocessing & Pick<CheckedOptions, 'averaged' | 'signal' | 'threads'>;

/**
 * Reads a teacher's file, whose classes must be the dataset's.
 *
 * @throws DistillError `ERR_TEACHER_ARCHITECTURE`, `ERR_TEACHER_CLASSES`, `ERR_TEACHER_LOGITS`, `ERR_NO_METADATA` and
 * `ERR_CHECKPOINT_…`; of an ONNX model also `ERR_ONNX` and `ERR_ONNX_RUNTIME`.
 */
export async function readTeacher(
  { file, isLogits }: TeacherSource,
  dataset: Dataset,
  options: TeacherOptions,
  task: TaskContext<CommonEvents>,
): Promise<Teacher> {
  const read = isLogits ? readLogits : isOnnx(file) ? readOnnxTeacher : readNetwork;
  return read(file, dataset, options, task);
}

async function readNetwork(
  file: string,
  { classes, train: { root } }: Dataset,
  options: TeacherOptions,
  task: TaskContext<CommonEvents>,
): Promise<Teacher> {
  const contents = await inspect(file, { averaged: options.averaged });
  const { architecture } = checkTeacher(contents);
  checkClasses(classes, contents.classes ?? 0, file, root);
  checkClassNames(classes, contents, root);
  const digest = await sha256(file, options.signal);
  const { preprocessing } = await preprocessingOf(contents, { ...options, labels: classes });
  reportRecipe(options, contents, task);
  return {
    sha256: digest,
    averaged: contents.weights.averaged,
    logits: null,
    network: null,
    preprocessing,
    provenance: { file: path.basename(file), architecture, sha256: digest },
  };
}

async function readOnnxTeacher(
  file: string,
  { classes, train: { root } }: Dataset,
  options: TeacherOptions,
  task: TaskContext<CommonEvents>,
): Promise<Teacher> {
  const { signal, threads = 0 } = options;
  const model = await readOnnx(file, signal);
  const { architecture, metadata, recipe } = model;
  checkClasses(classes, model.classes ?? classes.length, file, root);
  checkClassNames(classes, model, root);
  const digest = await sha256OfOnnx(model, signal);
  const contents = { path: file, architecture: null, classes: null, metadata, recipe };
  const { preprocessing } = await preprocessingOf(contents, { ...options, labels: classes });
  reportRecipe(options, model, task);
  const given = { threads, classes: classes.length, signal };
  const network = await OnnxNetwork.open(model, preprocessing, given);
  try {
    checkClasses(classes, network.classes, file, root);
  } catch (error) {
    await network.close();
    throw error;
  }
  return {
    sha256: digest,
    averaged: false,
    logits: null,
    network,
    preprocessing,
    provenance: { file: path.basename(file), architecture, sha256: digest },
  };
}

async function readLogits(
  file: string,
  { classes, train: { root } }: Dataset,
  options: TeacherOptions,
  task: TaskContext<CommonEvents>,
): Promise<Teacher> {
  const logits = await TeacherLogits.read(file);
  checkClasses(classes, logits.classes, file, root);
  checkLogits(logits, classes, root);
  const { metadata, recipe } = logits;
  const digest = await sha256(file, options.signal);
  const contents = { path: file, architecture: null, classes: null, metadata, recipe };
  const { preprocessing } = await preprocessingOf(contents, { ...options, labels: classes });
  reportRecipe(options, contents, task);
  return {
    sha256: digest,
    averaged: false,
    logits,
    network: null,
    preprocessing,
    provenance: { ...metadata?.teacher, logits: path.basename(file), logitsSha256: digest },
  };
}

/** Warns where pictures are prepared as a recipe says that was found with the model. */
export function reportRecipe(
  options: GivenPreprocessing,
  model: Described,
  task: TaskContext<CommonEvents>,
): void {
  const warning = recipeFound(options, model);
  if (warning) task.report('warning', warning);
}

/**
 * Warns where the teacher's answers for the labelled training pictures are no better than guesses.
 *
 * @param file The teacher's.
 */
export async function warnOfGuessing(
  session: Session,
  file: string,
  task: TaskContext<CommonEvents>,
): Promise<void> {
  const { classes, images } = session.setup;
  const labelled = countLabelled(session);
  const { accuracy, share, commonest, loss } = await native(
    session.native.validateTeacher('train'),
  );
  const measured = { accuracy, share, images: labelled };
  if (!isGuess(measured)) return;
  const noun = labelled < images.train ? 'labelled training picture' : 'training picture';
  const which = count(labelled, noun);
  const description = describeAccuracy(measured, which, loss, `${classes[commonest]}`);
  task.report('warning', {
    code: 'WARN_TEACHER_GUESSES',
    message: `${description}: ${GUESSES}. Look at \`mean\`, \`std\` and \`imageSize\`, which should be those of its training, and at the order of its classes; \`distill doctor\` looks for the cause.`,
    path: file,
  });
}
