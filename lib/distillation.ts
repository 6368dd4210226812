import path from 'node:path';
import { type Augmentation, augmentationOf } from './augmentation.js';
import {
  checkClasses,
  checkClassNames,
  checkInitialStudent,
  checkLogits,
  checkTeacher,
  otherPreprocessing,
  teacherOf,
} from './checks.js';
import { type CheckedOptions, type DistillOptions, distillOptions } from './distill-options.js';
import { DistillError } from './errors.js';
import { inspect } from './inspect.js';
import { TeacherLogits } from './logits-file.js';
import { madeWith, type StudentMetadata } from './metadata.js';
import { modelUse } from './model.js';
import { native } from './native.js';
import { checkOptions } from './options.js';
import { type Dataset, sha256 } from './prepare.js';
import type { DistillResult, DistillRun } from './run.js';
import { type Preprocessing, Training } from './training.js';

/** The course of one distillation. */
export class Distillation extends Training<CheckedOptions, DistillResult> {
  readonly #given: DistillOptions;

  constructor(options: DistillOptions) {
    super();
    this.#given = options;
  }

  protected check(): CheckedOptions {
    return checkOptions(distillOptions, this.#given);
  }

  protected async work(options: CheckedOptions, run: DistillRun): Promise<DistillResult> {
    const source = teacherOf(options);
    refuseOtherPixels(options);
    const student = path.resolve(options.student);
    const output = { option: 'student', file: student };
    const dataset = await this.find(options, run, output, {
      ...{ model: 'teacher', file: source.file },
    });
    const { classes } = dataset;

    const teacher = await readTeacher(source, dataset, options);
    const { use, logits } = teacher;
    const { storeSize, by } = viewsOf(options, use);
    const { session, begun } = await this.open(options, use, dataset);
    if (logits) {
      const message = otherPreprocessing(logits, use);
      if (message) {
        run.report('warning', { code: 'WARN_LOGITS_PREPROCESSING', message, path: source.file });
      }
    } else {
      await native(session.loadTeacher(source.file));
    }
    if (options.initialStudent !== undefined) {
      await checkInitialStudent(options.initialStudent, classes.length);
    }

    const result: DistillResult = { ...begun, student };
    const { device, precision, seed } = result;
    const { mean, std, imageSize } = use;
    const views = by && { count: options.views, by };
    const learning = { ...pick(options, views && storeSize), precision, seed };
    const metadata: StudentMetadata = {
      ...{ classes, mean, std, imageSize, options: learning },
      ...{ teacher: teacher.said, versions: madeWith() },
    };
    await this.learn({
      ...{ session, dataset, options, run, result, file: student },
      pictures: {
        ...{ imageSize, storeSize, views },
        teacher: { sha256: teacher.sha256, logits, mean, std, device, precision },
      },
      train: (onEpoch) =>
        session.train(
          {
            ...learning,
            student,
            initialStudent: options.initialStudent ?? '',
            metadata: JSON.stringify(metadata),
          },
          onEpoch,
        ),
    });
    const { best } = result;
    if (best && !(best.valAccuracy > 0 && best.valLoss < 100)) {
      run.report('warning', {
        code: 'WARN_NO_IMPROVEMENT',
        message: 'no epoch did better than an untrained student; the last one is in the file',
        path: student,
      });
    }
    return result;
  }
}

/** Whose answers are learnt. */
interface Teacher {
  /** Of its file. */
  sha256: string;
  /** Its answers, where it is not to be asked itself. */
  logits: TeacherLogits | null;
  /** What it sees of a picture. */
  use: Preprocessing;
  /** What the student's file says of it. */
  said: Record<string, unknown>;
}

/** Reads what the teacher's file says of itself: its classes must be the dataset's. */
async function readTeacher(
  { file, isLogits }: ReturnType<typeof teacherOf>,
  { classes, train: { root } }: Dataset,
  options: CheckedOptions,
): Promise<Teacher> {
  const name = path.basename(file);
  const given = { ...options, labels: classes };
  if (isLogits) {
    const logits = await TeacherLogits.read(file);
    checkClasses(classes, logits.classes, file, root);
    checkLogits(logits, classes, root);
    const said = { ...logits.metadata?.teacher, logits: name, logitsSha256: await sha256(file) };
    const contents = {
      ...{ path: file, architecture: null, classes: null },
      metadata: logits.metadata,
    };
    return { sha256: said.logitsSha256, logits, use: await modelUse(contents, given), said };
  }
  const contents = await inspect(file);
  const { architecture } = checkTeacher(contents);
  checkClasses(classes, contents.classes ?? 0, file, root);
  checkClassNames(classes, contents, root);
  const said = { file: name, architecture, sha256: await sha256(file) };
  return { sha256: said.sha256, logits: null, use: await modelUse(contents, given), said };
}

/** The logits in a file are those of the pictures as they are. */
function refuseOtherPixels({ teacherLogits, views, augment }: CheckedOptions): void {
  if (teacherLogits === undefined || (views === 1 && !augment?.length)) return;
  throw new DistillError(
    'ERR_OPTION',
    '`views` and `augment` change the pixels that a teacher answers for; give the `teacher` itself instead of `teacherLogits`.',
  );
}

/** How the pictures become views. */
function viewsOf(options: CheckedOptions, { imageSize }: Preprocessing): Augmentation {
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
function pick(options: CheckedOptions, storeSize: number | null) {
  const { epochs, lr, dropRate, temperature, alpha, batchSize, shuffle } = options;
  const { views, augment = ['crop', 'flip'], cropScale } = options;
  return {
    ...{ epochs, lr, dropRate, temperature, alpha, batchSize, shuffle },
    ...(storeSize !== null && { views, augment, storeSize, cropScale }),
  };
}
