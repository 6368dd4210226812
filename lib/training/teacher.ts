import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { checkTeacher, samplerOf, scheduleOf } from '../checks.js';
import type { Augmentation } from '../data/augmentation.js';
import { DistillError } from '../errors.js';
import { sha256 } from '../files.js';
import { inspect } from '../model/inspect.js';
import { type ModelMetadata, madeWith, recordedPreprocessing } from '../model/metadata.js';
import type { Preprocessing } from '../model/preprocessing.js';
import { resolvePreprocessing } from '../model/resolve.js';
import type { NativeTeachConfig } from '../native.js';
import { recordedOptions } from '../options/option.js';
import { ADAMW_WEIGHT_DECAY, type CheckedTeachOptions, teachOptions } from '../options/teach.js';
import type { CommonEvents } from '../run/events.js';
import type { TaskContext } from '../run/task.js';
import type { KeptTraining } from '../run-folder/folder.js';
import { classWeightsOf } from './class-weights.js';
import type { Session } from './session.js';
import { reportRecipe } from './teacher-source.js';
import { endingOf, runTraining, type Trained, type TrainingListener } from './train.js';

/** The preprocessing of torchvision's own weights, and of most others. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** The network that a teacher's training starts from. */
export interface InitialTeacher {
  architecture: string;
  /** The file of its weights; `null` for fresh ones. */
  weights: string | null;
  /** True where the last layer of the weights is for the dataset's classes: it is kept then. */
  keepHead: boolean;
  preprocessing: Preprocessing;
  /** The SHA-256 of the file of its weights; `null` for fresh ones. */
  sha256: string | null;
  /** The entry `weights` of the teacher's metadata; `null` for fresh ones. */
  provenance: Record<string, unknown> | null;
}

/**
 * Reads the weights that a teacher's training starts from, where there are any.
 *
 * @throws DistillError `ERR_OPTION` where they are of another architecture, `ERR_TEACHER_ARCHITECTURE`, `ERR_CHECKPOINT_…`.
 */
export async function readInitialTeacher(
  options: CheckedTeachOptions,
  classes: readonly string[],
  task: TaskContext<CommonEvents>,
): Promise<InitialTeacher> {
  const { weights, signal } = options;
  if (weights === undefined) {
    return {
      architecture: options.architecture ?? 'densenet121',
      weights: null,
      keepHead: false,
      preprocessing: { ...IMAGENET, ...(await resolvePreprocessing(options)) },
      sha256: null,
      provenance: null,
    };
  }
  const contents = await inspect(weights, { averaged: options.averaged });
  const { metadata } = contents;
  const { architecture } = checkTeacher(contents, 'weights');
  const expected = options.architecture ?? architecture;
  if (architecture !== expected) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected a ${expected} in '${weights}' (weights), but it holds a ${architecture}; leave \`architecture\` out to take what is there.`,
    );
  }
  const preprocessing = await resolvePreprocessing(options, contents);
  reportRecipe(options, contents, task);
  const digest = await sha256(weights, signal);
  return {
    architecture,
    weights,
    keepHead: isDeepStrictEqual(metadata?.classes, classes),
    preprocessing: { ...IMAGENET, ...preprocessing },
    sha256: digest,
    provenance: { file: path.basename(weights), architecture, sha256: digest },
  };
}

/** Trains a teacher on the session's store, and keeps the best in `file`. */
export async function trainTeacher(
  session: Session,
  options: CheckedTeachOptions,
  given: {
    initial: InitialTeacher;
    augmentation: Augmentation;
    seed: number;
    file: string;
    kept: KeptTraining;
  },
  listener: TrainingListener,
): Promise<Trained> {
  const { initial, augmentation, seed } = given;
  const { epochs, lr, optimizer, batchSize, overwrite } = options;
  const { labelSmoothing, freezeEpochs } = options;
  const { schedule, warmup } = scheduleOf(options);
  const weights = initial.weights ?? '';
  const config: NativeTeachConfig = {
    epochs,
    lr,
    schedule,
    warmup,
    optimizer,
    weightDecay: weightDecayOf(options),
    loss: 'cross-entropy',
    labelSmoothing,
    classWeights: classWeightsOf(options.classWeights, session.perClass),
    batchSize,
    sampler: samplerOf(options),
    seed,
    augment: augmentation.by,
    monitor: options.monitor,
    earlyStop: false,
    ...endingOf(options, given),
    freezeEpochs,
    architecture: initial.architecture,
    keepHead: initial.keepHead,
    weights,
    averaged: options.averaged,
    start: initial.keepHead ? weights : '',
    overwrite,
    metadata: JSON.stringify(metadataOf(session, options, given)),
  };
  const shown = { epochs, images: session.setup.images.train, kept: given.kept };
  return runTraining(session, shown, (onEpoch) => session.native.teach(config, onEpoch), listener);
}

/** The augmentations of a teacher's training where none are named. */
export const TEACH_AUGMENTATIONS = ['crop', 'flip'] as const;

function metadataOf(
  { setup }: Session,
  options: CheckedTeachOptions,
  {
    initial,
    augmentation,
    seed,
  }: { initial: InitialTeacher; augmentation: Augmentation; seed: number },
): ModelMetadata {
  const { augment = TEACH_AUGMENTATIONS } = options;
  return {
    classes: setup.classes,
    ...recordedPreprocessing(initial.preprocessing),
    options: recordedOptions(teachOptions, {
      ...options,
      ...scheduleOf(options),
      augment,
      weightDecay: weightDecayOf(options),
      seed,
      storeSize: augmentation.storeSize,
      precision: setup.precision,
    }),
    ...(initial.provenance && { weights: initial.provenance }),
    versions: madeWith(),
  };
}

/** Returns AdamW's weight decay; 0 for Adam. */
function weightDecayOf({ optimizer, weightDecay }: CheckedTeachOptions): number {
  return weightDecay ?? (optimizer === 'adamw' ? ADAMW_WEIGHT_DECAY : 0);
}
