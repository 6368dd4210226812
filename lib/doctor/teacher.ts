import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  checkClasses,
  checkClassNames,
  checkLogits,
  checkTeacher,
  differingField,
  otherPreprocessing,
  shownField,
  type TeacherSource,
} from '../checks.js';
import { imageName, TeacherLogits } from '../data/logits-file.js';
import { DistillError } from '../errors.js';
import { sha256 } from '../files.js';
import { inspect } from '../model/inspect.js';
import type { ModelMetadata } from '../model/metadata.js';
import { stepsOf } from '../model/onnx/picture.js';
import { isOnnx } from '../model/onnx-teacher/contents.js';
import { readOnnx, sha256OfOnnx } from '../model/onnx-teacher/model.js';
import { OnnxNetwork } from '../model/onnx-teacher/network.js';
import { changedSteps, type Preprocessing, UNNORMALIZED } from '../model/preprocessing.js';
import type { FoundRecipe } from '../model/recipes.js';
import { preprocessingOf, recipeFound, resolvePreprocessing } from '../model/resolve.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import type { Images } from './dataset.js';
import type { Topic } from './findings.js';

/** The teacher whose answers are to be learnt. */
export interface Teacher {
  file: string;
  /** Such as 'densenet121'; `null` of a file of logits. */
  architecture: string | null;
  /** The number of its classes. */
  classes: number;
  /** True where its averaged weights are taken. */
  averaged: boolean;
  /** Its answers, where they come from a file. */
  logits: TeacherLogits | null;
  /** The metadata of its file. */
  metadata: ModelMetadata | null;
  /** The recipe that was found with its file, where that has no metadata. */
  recipe: FoundRecipe | null;
  /** The side of the pictures that it takes, in pixels; `null`, the default, for any. */
  size?: number | null;
  /** The preprocessing of a run; `null` where neither its file nor the options say mean and std. */
  preprocessing: Preprocessing | null;
  sha256: string;
  /** Whether its classes are those of the pictures, by their number and names. */
  classesFit: boolean;
}

/** Checks a teacher's file, without asking the teacher anything. */
export async function examineTeacher(
  { file, isLogits }: TeacherSource,
  images: Images | null,
  options: CheckedDoctorOptions,
  topic: Topic,
): Promise<Teacher | null> {
  const survey = images?.train ?? images?.val;
  const found = await topic.attempt('teacher', () => {
    if (isLogits) return readLogits(file);
    return isOnnx(file)
      ? readOnnxTeacher(file, survey?.classes.length, options)
      : readNetwork(file, options);
  });
  if (!found) return null;
  const { architecture, classes, logits, metadata, sha256: digest, runtime } = found;
  const holds = logits ? 'logits' : runtime ? 'an ONNX model' : `a ${architecture}`;
  const by = runtime ? `, run by ${runtime}` : '';
  topic.ok('teacher', `'${file}' holds ${holds} for ${classes} classes${by}.`);
  const classesFit =
    !survey ||
    (await topic.passes('teacher-classes', () => {
      checkClasses(survey.classes, classes, file, survey.root);
      if (logits) checkLogits(logits, survey.classes, survey.root);
      else checkClassNames(survey.classes, { path: file, metadata }, survey.root);
    }));
  if (logits && images) await checkRows(logits, images, options, topic);
  const preprocessing = await topic.attempt('preprocessing', () =>
    readPreprocessing(file, found, options),
  );
  if (preprocessing) checkPreprocessing(preprocessing, { file, ...found }, options, topic);
  return {
    file,
    ...found,
    preprocessing,
    sha256: digest ?? (await sha256(file, options.signal)),
    classesFit,
  };
}

/** Checks that a teacher's file is there, which is all that can be checked without the addon. */
export async function checkExists(file: string, topic: Topic): Promise<void> {
  await topic.attempt('teacher', async () => {
    if (await stat(file).catch(() => null)) return;
    throw new DistillError('ERR_CHECKPOINT_NOT_FOUND', `There is no file '${file}'.`);
  });
}

type Contents = Pick<
  Teacher,
  'averaged' | 'architecture' | 'classes' | 'logits' | 'metadata' | 'recipe'
> & {
  /** Those of an ONNX model: the SHA-256 of it and its data, the side of its pictures, and the onnxruntime that runs it. */
  sha256?: string;
  size?: number | null;
  runtime?: string;
};

async function readNetwork(
  file: string,
  { averaged }: Pick<CheckedDoctorOptions, 'averaged'>,
): Promise<Contents> {
  const contents = await inspect(file, { averaged });
  const { architecture } = checkTeacher(contents);
  const { classes, metadata, recipe, weights } = contents;
  return {
    averaged: weights.averaged,
    architecture,
    classes: classes ?? 0,
    logits: null,
    metadata,
    recipe,
  };
}

/** Reads an ONNX model, and has it answer for made-up pictures. */
async function readOnnxTeacher(
  file: string,
  classes: number | undefined,
  options: CheckedDoctorOptions,
): Promise<Contents> {
  const { signal, threads = 0 } = options;
  const model = await readOnnx(file, signal);
  const { architecture, metadata, recipe, input } = model;
  // Without mean and std, which are checked later, it answers as well.
  const resolved = { ...UNNORMALIZED, ...(await resolvePreprocessing(options, model)) };
  const network = await OnnxNetwork.open(model, resolved, { threads, classes, signal });
  await network.close();
  return {
    averaged: false,
    architecture,
    classes: network.classes,
    logits: null,
    metadata,
    recipe,
    sha256: await sha256OfOnnx(model, signal),
    size: input.size,
    runtime: network.runtime,
  };
}

async function readLogits(file: string): Promise<Contents> {
  const logits = await TeacherLogits.read(file);
  const { classes, metadata, recipe } = logits;
  return { averaged: false, architecture: null, classes, logits, metadata, recipe };
}

/** Checks that every training picture has an answer, unless it may be passed over. */
async function checkRows(
  logits: TeacherLogits,
  { train }: Images,
  { onBadImage }: CheckedDoctorOptions,
  topic: Topic,
): Promise<void> {
  if (!train || onBadImage === 'skip') return;
  const names = train.samples.map((sample) => imageName('train', train, sample));
  await topic.passes('rows', () => logits.requireAll(names));
}

async function readPreprocessing(
  file: string,
  { architecture, classes, metadata, recipe }: Contents,
  options: CheckedDoctorOptions,
): Promise<Preprocessing> {
  // Any names do, as they are checked elsewhere.
  const labels = new Array<string>(classes).fill('');
  const contents = { path: file, architecture, classes, metadata, recipe };
  const { preprocessing } = await preprocessingOf(contents, { ...options, labels });
  return preprocessing;
}

function checkPreprocessing(
  preprocessing: Preprocessing,
  { file, logits, metadata, recipe }: Pick<Teacher, 'file' | 'logits' | 'metadata' | 'recipe'>,
  options: CheckedDoctorOptions,
  topic: Topic,
): void {
  const name = differingField(metadata, preprocessing);
  if (name && metadata) {
    topic.warn(
      'preprocessing',
      (logits && otherPreprocessing(logits, preprocessing)) ??
        `The teacher '${file}' was trained with ${name} ${shownField(metadata, name)}, but is to see pictures with ${name} ${shownField(preprocessing, name)}.`,
      `Leave \`${name}\` out: then the one in the file is taken.`,
    );
    return;
  }
  const found = recipeFound(options, { metadata, recipe });
  const source = metadata ? 'as its file says' : found ? `as '${found.path}' says` : 'as given';
  const { imageSize, preprocess } = options;
  const isDefault = !metadata && !found && imageSize === undefined && preprocess === undefined;
  topic.ok(
    'preprocessing',
    `The teacher sees ${seenBy(preprocessing)}${isDefault ? ' (the default)' : ''} with mean ${preprocessing.mean.join(',')} and std ${preprocessing.std.join(',')}, ${source}.`,
  );
}

/** Says in words which pixels of a picture a network sees. */
function seenBy(preprocessing: Preprocessing): string {
  if (isDeepStrictEqual(changedSteps(preprocessing), {})) {
    return `the middle ${preprocessing.imageSize} pixels`;
  }
  const { exif } = preprocessing;
  return `a picture that one ${exif === 'apply' ? 'turns by its EXIF, ' : ''}${stepsOf(preprocessing)},`;
}
