import path from 'node:path';
import {
  checkClasses,
  checkClassNames,
  checkInitialStudent,
  checkLogits,
  checkTeacher,
  otherPreprocessing,
  scheduleOf,
  type TeacherSource,
  teacherOf,
} from '../checks.js';
import { type Augmentation, augmentationOf } from '../data/augmentation.js';
import { TeacherLogits } from '../data/logits-file.js';
import type { Dataset } from '../data/store.js';
import { DistillError } from '../errors.js';
import { sha256 } from '../files.js';
import { GUESSES, isGuess, told } from '../model/guessing.js';
import { inspect } from '../model/inspect.js';
import { type ModelMetadata, madeWith } from '../model/metadata.js';
import type { OutputFile } from '../model/output.js';
import { type Preprocessing, preprocessingOf } from '../model/preprocessing.js';
import { type NativeTrainConfig, native } from '../native.js';
import type { CheckedOptions } from '../options/distill.js';
import { count } from '../words.js';
import type { CommonEvents, Reporter, TrainingProgress } from './run.js';
import { type Ground, type Listener, type Trained, Training } from './training.js';

/** What each of several trainings has to itself. */
export type Settings = Pick<CheckedOptions, 'lr' | 'temperature' | 'alpha'> & { seed: number };

/** The checked options that they share. */
export type SharedOptions = Omit<CheckedOptions, 'student' | keyof Settings>;

/** What the trainings of students stand on. */
export interface StudentGround extends Ground {
  teacher: Teacher;
  /** Pixels a side of the pictures that views are made of; `null` where there are no views. */
  storeSize: number | null;
}

/** The course of students' trainings: the teacher is asked once, whatever their number. */
export abstract class StudentTraining<
  Options extends SharedOptions,
  Result,
  Events extends CommonEvents,
  Progress extends TrainingProgress,
> extends Training<Options, Result, Events, Progress> {
  /**
   * Checks what can be known beforehand, and fills a session's store, unless the run is stopped before.
   *
   * @param outputs The files to be written.
   * @param given.val Whether the teacher answers for the validation pictures as well.
   */
  protected async prepare(
    options: Options,
    run: Reporter<CommonEvents>,
    outputs: readonly OutputFile[],
    { val = false } = {},
  ): Promise<StudentGround> {
    const source = teacherOf(options);
    refuseOtherPixels(options);
    scheduleOf(options);
    const dataset = await this.find(options, run, outputs, { model: 'teacher', file: source.file });

    const teacher = await readTeacher(source, dataset, options);
    const { preprocessing, logits } = teacher;
    const { storeSize, by } = viewsOf(options, preprocessing);
    const ground = await this.open(options, preprocessing, dataset, run);
    if (logits) {
      const message = otherPreprocessing(logits, preprocessing);
      if (message) {
        run.report('warning', { code: 'WARN_LOGITS_PREPROCESSING', message, path: source.file });
      }
    } else {
      await native(ground.session.loadTeacher(source.file));
    }
    if (options.initialStudent !== undefined) {
      await checkInitialStudent(options.initialStudent, dataset.classes.length);
    }

    const { device, precision } = ground.found;
    const pictures = {
      preprocessing,
      storeSize,
      views: by && { count: options.views, by },
      teacher: {
        sha256: teacher.sha256,
        logits,
        device,
        precision,
        ...(val && { val }),
      },
    };
    await this.fill(ground, pictures, options, run);
    if (ground.isFull) await warnOfGuessing(ground, source, run);
    return Object.assign(ground, { teacher, storeSize: by && storeSize });
  }

  /**
   * One student's training.
   *
   * @param given.student The file to write; without it, none is.
   * @param given.agreement Whether epochs tell `valAgreement`: the teacher has answered for the validation pictures.
   */
  protected async trainStudent(
    ground: StudentGround,
    options: Options,
    settings: Settings,
    { student = '', agreement = false }: { student?: string | undefined; agreement?: boolean },
    listener: Listener,
  ): Promise<Trained> {
    const { session, teacher, found } = ground;
    const { mean, std, imageSize } = teacher.preprocessing;
    const learning = {
      ...pick({ ...options, ...settings }, ground.storeSize),
      ...{ precision: found.precision, seed: settings.seed },
    };
    const metadata: ModelMetadata = {
      ...{ classes: found.classes, mean, std, imageSize, options: learning },
      ...{ teacher: teacher.said, versions: madeWith() },
    };
    const config: NativeTrainConfig = {
      epochs: learning.epochs,
      lr: learning.lr,
      schedule: learning.schedule,
      warmup: learning.warmup,
      optimizer: 'adam',
      weightDecay: 0,
      loss: 'distillation',
      temperature: learning.temperature,
      alpha: learning.alpha,
      dropRate: learning.dropRate,
      batchSize: learning.batchSize,
      shuffle: learning.shuffle,
      seed: learning.seed,
      augment: null, // the views are in the store
      keep: learning.keep,
      earlyStop: true,
      agreement,
      initialStudent: options.initialStudent ?? '',
      start: options.initialStudent ?? '',
      student,
      overwrite: options.overwrite,
      metadata: JSON.stringify(metadata),
    };
    return this.train(ground, options, (each) => session.train(config, each), listener);
  }
}

/** Pictures below which an accuracy says too little to warn of. */
const FEW = 30;

/** Warns where the teacher's answers for the training pictures are no better than guesses. */
async function warnOfGuessing(
  { session, found }: Ground,
  { file }: TeacherSource,
  run: Reporter<CommonEvents>,
): Promise<void> {
  const images = found.images.train;
  const { commonest, loss, ...scores } = await native(session.validateTeacher('train'));
  const known = { ...scores, images };
  if (images < FEW || !isGuess(known)) return;
  const result = told(
    known,
    count(images, 'training picture'),
    loss,
    `${found.classes[commonest]}`,
  );
  run.report('warning', {
    code: 'WARN_TEACHER_GUESSES',
    message: `${result}: ${GUESSES}. Look at \`mean\`, \`std\` and \`imageSize\`, which should be those of its training, and at the order of its classes; \`distill doctor\` looks for the cause.`,
    path: file,
  });
}

/** Whose answers are learnt. */
interface Teacher {
  /** Of its file. */
  sha256: string;
  /** Its answers, where it is not to be asked itself. */
  logits: TeacherLogits | null;
  /** What it sees of a picture. */
  preprocessing: Preprocessing;
  /** What the student's file says of it. */
  said: Record<string, unknown>;
}

/** Reads what the teacher's file says of itself: its classes must be the dataset's. */
async function readTeacher(
  { file, isLogits }: TeacherSource,
  { classes, train: { root } }: Dataset,
  options: SharedOptions,
): Promise<Teacher> {
  const name = path.basename(file);
  const given = { ...options, labels: classes };
  if (isLogits) {
    const logits = await TeacherLogits.read(file);
    checkClasses(classes, logits.classes, file, root);
    checkLogits(logits, classes, root);
    const said = {
      ...logits.metadata?.teacher,
      logits: name,
      logitsSha256: await sha256(file, options.signal),
    };
    const contents = {
      ...{ path: file, architecture: null, classes: null },
      metadata: logits.metadata,
    };
    const { preprocessing } = await preprocessingOf(contents, given);
    return { sha256: said.logitsSha256, logits, preprocessing, said };
  }
  const contents = await inspect(file);
  const { architecture } = checkTeacher(contents);
  checkClasses(classes, contents.classes ?? 0, file, root);
  checkClassNames(classes, contents, root);
  const said = { file: name, architecture, sha256: await sha256(file, options.signal) };
  const { preprocessing } = await preprocessingOf(contents, given);
  return { sha256: said.sha256, logits: null, preprocessing, said };
}

/** The logits in a file are those of the pictures as they are. */
export function refuseOtherPixels({
  teacherLogits,
  views,
  augment,
}: Pick<SharedOptions, 'teacherLogits' | 'views' | 'augment'>): void {
  if (teacherLogits === undefined || (views === 1 && !augment?.length)) return;
  throw new DistillError(
    'ERR_OPTION',
    '`views` and `augment` change the pixels that a teacher answers for; give the `teacher` itself instead of `teacherLogits`.',
  );
}

/** How the pictures become views. */
export function viewsOf(
  options: Pick<SharedOptions, 'views' | 'augment' | 'storeSize' | 'cropScale'>,
  { imageSize }: Pick<Preprocessing, 'imageSize'>,
): Augmentation {
  const { views, augment = views > 1 ? (['crop', 'flip'] as const) : [] } = options;
  if (views > 1 && augment.length === 0) {
    throw new DistillError(
      'ERR_OPTION',
      `Without \`augment\` all ${views} \`views\` of a picture would be the same; leave one of them out.`,
    );
  }
  return augmentationOf({ ...options, augment, imageSize });
}

/** The options that a training's outcome depends on. */
function pick(options: SharedOptions & Settings, storeSize: number | null) {
  const { epochs, lr, dropRate, temperature, alpha, batchSize, shuffle } = options;
  const { keep, views, augment = ['crop', 'flip'], cropScale } = options;
  return {
    ...{ epochs, lr, ...scheduleOf(options), dropRate, temperature, alpha, batchSize, shuffle },
    keep,
    ...(storeSize !== null && { views, augment, storeSize, cropScale }),
  };
}
