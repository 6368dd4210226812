import path from 'node:path';
import { samplerOf, scheduleOf } from '../checks.js';
import { type ModelMetadata, madeWith, recordedPreprocessing } from '../model/metadata.js';
import type { NativeTrainConfig } from '../native.js';
import { dropRateOf, isExportedProgram } from '../options/architectures.js';
import { distillOptions } from '../options/distill.js';
import { recordedOptions } from '../options/option.js';
import type { KeptTraining } from '../run-folder/folder.js';
import { classWeightsOf } from './class-weights.js';
import type { Hyperparameters, StudentOptions, StudentSession } from './prepare.js';
import { countLabelled } from './session.js';
import { endingOf, runTraining, type Trained, type TrainingListener } from './train.js';
import { VIEW_AUGMENTATIONS } from './views.js';

/** What one training of a student writes and reports. */
export interface TrainedStudent {
  /** The file to write, or `null` to write none. */
  student: string | null;
  /** True where epochs report `valAgreement`: the teacher has answered for the validation pictures. */
  agreement: boolean;
  kept: KeptTraining;
}

/**
 * Trains one student.
 *
 */
export async function trainStudent(
  session: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
  { student, agreement, kept }: TrainedStudent,
  listener: TrainingListener,
): Promise<Trained> {
  const { lr, temperature, alpha, seed } = hyperparameters;
  const { epochs, loss, architecture, width, batchSize, monitor, overwrite } = options;
  const { initialStudent = '' } = options;
  const { schedule, warmup } = scheduleOf(options);
  const config: NativeTrainConfig = {
    epochs,
    lr,
    schedule,
    warmup,
    optimizer: 'adam',
    weightDecay: 0,
    loss,
    temperature,
    alpha,
    classWeights: classWeightsOf(options.classWeights, session.perClass),
    architecture,
    width,
    dropRate: dropRateOf(options),
    batchSize,
    sampler: samplerOf(options),
    seed,
    augment: null, // the views are in the store
    monitor,
    earlyStop: true,
    ...endingOf(options, { file: student, kept }),
    agreement,
    initialStudent,
    start: initialStudent,
    overwrite,
    metadata: JSON.stringify(metadataOf(session, options, hyperparameters)),
  };
  // Nothing learns from pictures without a label where the teacher's term has no weight: epochs leave them out.
  const images = alpha > 0 ? session.setup.images.train : countLabelled(session);
  const shown = { epochs, images, kept };
  return runTraining(session, shown, (onEpoch) => session.native.train(config, onEpoch), listener);
}

/** Options that nothing depends on without views. */
const WITHOUT_VIEWS = {
  views: undefined,
  augment: undefined,
  storeSize: undefined,
  cropScale: undefined,
};

/** Returns a student's network and dropout as its metadata records them; a file by its name. */
export function recordedStudent(
  options: Pick<StudentOptions, 'architecture' | 'dropRate'>,
): Pick<StudentOptions, 'architecture' | 'dropRate'> {
  const { architecture } = options;
  return {
    architecture: isExportedProgram(architecture) ? path.basename(architecture) : architecture,
    dropRate: dropRateOf(options) ?? undefined,
  };
}

function metadataOf(
  { setup, teacher, storeSize }: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
): ModelMetadata {
  const { augment = VIEW_AUGMENTATIONS } = options;
  return {
    classes: setup.classes,
    ...recordedPreprocessing(teacher.preprocessing),
    options: recordedOptions(distillOptions, {
      ...options,
      ...hyperparameters,
      ...scheduleOf(options),
      ...recordedStudent(options),
      ...(storeSize === null ? WITHOUT_VIEWS : { augment, storeSize }),
      precision: setup.precision,
    }),
    teacher: teacher.provenance,
    versions: madeWith(),
  };
}
