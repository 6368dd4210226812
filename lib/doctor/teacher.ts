import { stat } from 'node:fs/promises';
import {
  checkClasses,
  checkClassNames,
  checkLogits,
  checkTeacher,
  differingField,
  otherPreprocessing,
  type TeacherSource,
} from '../checks.js';
import { relativePath } from '../data/dataset.js';
import { pictureName, TeacherLogits } from '../data/logits-file.js';
import { DistillError } from '../errors.js';
import { sha256 } from '../files.js';
import { inspect } from '../model/inspect.js';
import type { ModelMetadata } from '../model/metadata.js';
import { type Preprocessing, preprocessingOf } from '../model/preprocessing.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import type { Pictures } from './dataset.js';
import type { Topic } from './findings.js';

/** Whose answers are to be learnt. */
export interface Teacher {
  file: string;
  /** Such as 'densenet121'; `null` of a file of logits. */
  architecture: string | null;
  /** Classes that it tells apart. */
  classes: number;
  /** Its answers, where it is not to be asked itself. */
  logits: TeacherLogits | null;
  /** What its file says of it. */
  metadata: ModelMetadata | null;
  /** What it is to see of a picture; `null` where nobody says mean and std. */
  preprocessing: Preprocessing | null;
  sha256: string;
  /** Whether its classes are those of the pictures, as far as can be told from their number and names. */
  fits: boolean;
}

/** Looks at a teacher's file, without asking it anything. */
export async function examineTeacher(
  { file, isLogits }: TeacherSource,
  pictures: Pictures | null,
  options: CheckedDoctorOptions,
  topic: Topic,
): Promise<Teacher | null> {
  const read = isLogits ? readLogits : readNetwork;
  const found = await topic.attempt('teacher', () => read(file));
  if (!found) return null;
  const { architecture, classes, logits, metadata } = found;
  topic.ok(
    'teacher',
    `'${file}' holds ${logits ? 'logits' : `a ${architecture}`} for ${classes} classes.`,
  );
  const survey = pictures?.train ?? pictures?.val;
  const fits =
    !survey ||
    (await topic.passes('teacher-classes', () => {
      checkClasses(survey.classes, classes, file, survey.root);
      if (logits) checkLogits(logits, survey.classes, survey.root);
      else checkClassNames(survey.classes, { path: file, metadata }, survey.root);
    }));
  if (logits && pictures) await checkRows(logits, pictures, options, topic);
  const preprocessing = await topic.attempt('preprocessing', () =>
    readPreprocessing(file, found, options),
  );
  if (preprocessing) checkPreprocessing(preprocessing, { file, ...found }, options, topic);
  return { file, ...found, preprocessing, sha256: await sha256(file, options.signal), fits };
}

/** What can be told of a teacher's file without the addon: whether it is there. */
export async function checkThere(file: string, topic: Topic): Promise<void> {
  await topic.attempt('teacher', async () => {
    if (await stat(file).catch(() => null)) return;
    throw new DistillError('ERR_CHECKPOINT_NOT_FOUND', `There is no file '${file}'.`);
  });
}

type Read = Pick<Teacher, 'architecture' | 'classes' | 'logits' | 'metadata'>;

async function readNetwork(file: string): Promise<Read> {
  const contents = await inspect(file);
  const { architecture } = checkTeacher(contents);
  const { classes, metadata } = contents;
  return { architecture, classes: classes ?? 0, logits: null, metadata };
}

async function readLogits(file: string): Promise<Read> {
  const logits = await TeacherLogits.read(file);
  const { classes, metadata } = logits;
  return { architecture: null, classes, logits, metadata };
}

/** Every training picture needs an answer, unless it may be passed over. */
async function checkRows(
  logits: TeacherLogits,
  { train }: Pictures,
  { onBadImage }: CheckedDoctorOptions,
  topic: Topic,
): Promise<void> {
  if (!train || onBadImage === 'skip') return;
  const names = train.samples.map((sample) => pictureName('train', relativePath(train, sample)));
  await topic.passes('rows', () => logits.demand(names));
}

async function readPreprocessing(
  file: string,
  { architecture, classes, metadata }: Read,
  options: CheckedDoctorOptions,
): Promise<Preprocessing> {
  // Whether the names are the right ones is another question.
  const labels = new Array<string>(classes).fill('');
  const contents = { path: file, architecture, classes, metadata };
  const { preprocessing } = await preprocessingOf(contents, { ...options, labels });
  return preprocessing;
}

function checkPreprocessing(
  preprocessing: Preprocessing,
  { file, logits, metadata }: Pick<Teacher, 'file' | 'logits' | 'metadata'>,
  options: CheckedDoctorOptions,
  topic: Topic,
): void {
  const name = differingField(metadata, preprocessing);
  if (name && metadata) {
    topic.warn(
      'preprocessing',
      (logits && otherPreprocessing(logits, preprocessing)) ??
        `The teacher '${file}' was trained with ${name} ${metadata[name]}, and is to see pictures with ${preprocessing[name]}.`,
      `Leave \`${name}\` out; then the file's own is taken.`,
    );
    return;
  }
  const source = metadata ? 'as its file says' : 'as given';
  const isDefault = !metadata && options.imageSize === undefined;
  topic.ok(
    'preprocessing',
    `The teacher sees the middle ${preprocessing.imageSize} pixels${isDefault ? ' (the default)' : ''} with mean ${preprocessing.mean.join(',')} and std ${preprocessing.std.join(',')}, ${source}.`,
  );
}
