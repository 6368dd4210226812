import { scheduleOf } from '../checks.js';
import { type ModelMetadata, madeWith } from '../model/metadata.js';
import type { NativeTrainConfig } from '../native.js';
import type { Hyperparameters, StudentOptions, StudentSession } from './prepare.js';
import { runTraining, type Trained, type TrainingListener } from './train.js';
import { VIEW_AUGMENTATIONS } from './views.js';

/**
 * Trains one student.
 *
 * @param given.student The file to write, or `null` to write none.
 * @param given.agreement Whether epochs report `valAgreement`: the teacher has answered for the validation pictures.
 */
export async function trainStudent(
  session: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
  { student, agreement }: { student: string | null; agreement: boolean },
  listener: TrainingListener,
): Promise<Trained> {
  const { lr, temperature, alpha, seed } = hyperparameters;
  const { epochs, dropRate, batchSize, shuffle, keep, overwrite } = options;
  const { initialStudent = '' } = options;
  const { schedule, warmup } = scheduleOf(options);
  const config: NativeTrainConfig = {
    epochs,
    lr,
    schedule,
    warmup,
    optimizer: 'adam',
    weightDecay: 0,
    loss: 'distillation',
    temperature,
    alpha,
    dropRate,
    batchSize,
    shuffle,
    seed,
    augment: null, // the views are in the store
    keep,
    earlyStop: true,
    agreement,
    initialStudent,
    start: initialStudent,
    student: student ?? '',
    overwrite,
    metadata: JSON.stringify(metadataOf(session, options, hyperparameters)),
  };
  return runTraining(session, epochs, (onEpoch) => session.native.train(config, onEpoch), listener);
}

function metadataOf(
  { setup, teacher, storeSize }: StudentSession,
  options: StudentOptions,
  { lr, temperature, alpha, seed }: Hyperparameters,
): ModelMetadata {
  const { epochs, dropRate, batchSize, shuffle, keep } = options;
  const { views, augment = VIEW_AUGMENTATIONS, cropScale } = options;
  const { schedule, warmup } = scheduleOf(options);
  const { imageSize, mean, std } = teacher.preprocessing;
  return {
    classes: setup.classes,
    mean,
    std,
    imageSize,
    options: {
      epochs,
      lr,
      schedule,
      warmup,
      dropRate,
      temperature,
      alpha,
      batchSize,
      shuffle,
      keep,
      ...(storeSize === null ? {} : { views, augment, storeSize, cropScale }),
      precision: setup.precision,
      seed,
    },
    teacher: teacher.provenance,
    versions: madeWith(),
  };
}
