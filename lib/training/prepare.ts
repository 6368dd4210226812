import { native } from '../addon.js';
import {
  checkInitialStudent,
  checkLabelled,
  checkWidth,
  datasetFolders,
  otherPreprocessing,
  samplerOf,
  scheduleOf,
  teacherOf,
} from '../checks.js';
import { scanDataset } from '../data/dataset.js';
import { passedOver } from '../data/ignored.js';
import { countSamples } from '../data/samples.js';
import { smallCropOfDataset } from '../data/sizes.js';
import type { Answering, Dataset } from '../data/store.js';
import { checkOutput, type OutputFile } from '../model/output.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { CheckedOptions } from '../options/distill.js';
import type { CommonEvents } from '../run/events.js';
import type { TaskContext } from '../run/task.js';
import type { RunFolder } from '../run-folder/folder.js';
import type { DistillWarning } from '../warnings.js';
import { checkClassWeights } from './class-weights.js';
import { checkNetwork, type StudentNetwork } from './network.js';
import { type CheckedTrainingOptions, fillStore, openSession, type Session } from './session.js';
import { readTeacher, type Teacher, warnOfGuessing } from './teacher-source.js';
import { checkViews, viewsOf } from './views.js';

// The steps of every run before it trains.

/** The options in which students of one run may differ. */
export type Hyperparameters = Pick<CheckedOptions, 'lr' | 'temperature' | 'alpha'> & {
  seed: number;
};

/** The checked options that all trainings of students share. */
export type StudentOptions = Omit<CheckedOptions, 'student' | keyof Hyperparameters>;

/** A session in which students can be trained. */
export interface StudentSession extends Session {
  teacher: Teacher;
  /** The side of the pictures that views are made of, in pixels; `null` where there are no views. */
  storeSize: number | null;
  studentNetwork: StudentNetwork;
}

/**
 * Finds the pictures, once it is sure that the files can be written.
 *
 * @param outputs The files to be written.
 * @param source The model that they are made of, which must not be written over.
 */
export async function findDataset(
  options: CheckedTrainingOptions,
  outputs: readonly OutputFile[],
  source: { model: 'teacher' | 'model'; file: string } | null,
  task: TaskContext<CommonEvents>,
): Promise<Dataset> {
  const folders = datasetFolders(options);
  for (const output of outputs) await checkOutput(output, source);
  const dataset = await scanDataset(folders);
  const { classes, train, val } = dataset;
  checkClassWeights(options.classWeights, classes);
  const { labelled, unlabeled } = countSamples(train);
  const hidden = train.hidden.length + val.hidden.length;
  task.report('dataset', {
    classes,
    train: labelled,
    val: val.samples.length,
    ...(unlabeled > 0 && { unlabeled }),
    ...(hidden > 0 && { hidden }),
  });
  for (const warning of passedOver(train, val)) task.report('warning', warning);
  return dataset;
}

/** Warns where the network sees little of the pictures, and nobody has said how they are resized. */
export async function warnOfSmallCrop(
  dataset: Dataset,
  preprocessing: Preprocessing,
  options: CheckedTrainingOptions,
  task: TaskContext<CommonEvents>,
): Promise<void> {
  const warning = await smallCropOfDataset(dataset, preprocessing, options);
  if (warning) task.report('warning', warning);
}

interface FillOptions {
  /** True where the teacher answers for the validation pictures as well. */
  answersVal: boolean;
  folder: RunFolder | null;
}

/**
 * Prepares the training of students: checks what can be known beforehand, finds the pictures, reads the teacher, and fills
 * a session's store, unless the run is stopped before. The teacher answers once, whatever the number of students.
 *
 * @param options With the weight of the teacher's term, or those of several students.
 * @param given.outputs The files to be written.
 */
export async function prepareStudents(
  options: StudentOptions & { alpha: number | readonly number[] },
  { outputs, ...given }: { outputs: readonly OutputFile[] } & FillOptions,
  task: TaskContext<CommonEvents>,
): Promise<StudentSession> {
  const source = teacherOf(options);
  checkWidth(options);
  checkViews(options);
  scheduleOf(options);
  samplerOf(options);
  const dataset = await findDataset(
    options,
    outputs,
    { model: 'teacher', file: source.file },
    task,
  );
  if ([options.alpha].flat().includes(0)) {
    checkLabelled(dataset.train, 'which students learn by where `alpha` is 0');
  }
  const teacher = await readTeacher(source, dataset, options, task);
  try {
    return await fillWith(teacher, source.file, dataset, options, given, task);
  } finally {
    await teacher.network?.close();
  }
}

/** Fills a session's store with the pictures and the teacher's answers, unless the run is stopped before. */
async function fillWith(
  teacher: Teacher,
  file: string,
  dataset: Dataset,
  options: StudentOptions,
  { answersVal, folder }: FillOptions,
  task: TaskContext<CommonEvents>,
): Promise<StudentSession> {
  const { preprocessing, logits, network } = teacher;
  const { storeSize, by } = viewsOf(options, preprocessing);
  await warnOfSmallCrop(dataset, preprocessing, options, task);
  const studentNetwork = await checkStudent(options, dataset, preprocessing, task);

  const opened = await openSession(options, preprocessing, task);
  if (logits) {
    const message = otherPreprocessing(logits, preprocessing);
    if (message) {
      task.report('warning', { code: 'WARN_LOGITS_PREPROCESSING', message, path: file });
    }
  } else if (!network) {
    await native(opened.native.loadTeacher(file, options.averaged));
  }
  const answering: Answering = {
    sha256: teacher.sha256,
    averaged: teacher.averaged,
    logits,
    network,
    device: opened.device,
    precision: opened.precision,
  };
  await folder?.confirm(
    { dataset, teacher: teacher.sha256, device: opened.device, precision: opened.precision },
    options.threads,
  );
  const session = await fillStore(
    opened,
    dataset,
    {
      preprocessing,
      storeSize,
      views: by && { count: options.views, by },
      teacher: answersVal ? { ...answering, val: true } : answering,
    },
    options,
    folder,
    task,
  );
  if (session.preparation) await warnOfGuessing(session, file, task);
  return { ...session, teacher, storeSize: by && storeSize, studentNetwork };
}

/** Checks the network of the students, and the file that they start from. */
async function checkStudent(
  options: StudentOptions,
  { classes: { length: classes } }: Dataset,
  preprocessing: Preprocessing,
  task: TaskContext<CommonEvents>,
): Promise<StudentNetwork> {
  const { initialStudent, architecture, width } = options;
  const warn = (warning: DistillWarning) => task.report('warning', warning);
  if (initialStudent !== undefined) {
    const expected = { architecture, width, classes };
    const message = await checkInitialStudent(initialStudent, expected, preprocessing);
    if (message) warn({ code: 'WARN_INITIAL_PREPROCESSING', message, path: initialStudent });
  }
  return checkNetwork(options, { classes, preprocessing }, warn);
}
