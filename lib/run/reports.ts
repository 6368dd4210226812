import type { NativeTraining, StopReason } from '../native.js';

// The values that runs report and resolve to.

/** The figures of one epoch. Losses and accuracies are averages over pictures; accuracies are in 0..1. */
export interface EpochReport {
  /** From 1. */
  epoch: number;
  /** The number of epochs asked for. */
  epochs: number;
  /** The loss in training mode: a student's distillation loss, or a teacher's cross entropy. */
  trainLoss: number;
  trainAccuracy: number;
  /** Plain cross entropy on the validation pictures. */
  valLoss: number;
  valAccuracy: number;
  /** Seconds of the whole epoch: `trainSeconds` and `valSeconds`. */
  seconds: number;
  trainSeconds: number;
  valSeconds: number;
  /** Training pictures a second, validation not counted. */
  imagesPerSecond: number;
  /** True where the network of this epoch is the best so far: it is now in the file, where there is one. */
  saved: boolean;
  /** The share of validation pictures for which teacher and student predict the same class; in `compare()`, and where `monitor` is 'agreement'. */
  valAgreement?: number;
}

/** The scores of a network that a training starts from, where that is trained already: measured before the first epoch. */
export type InitialReport = Pick<
  EpochReport,
  'valLoss' | 'valAccuracy' | 'valSeconds' | 'valAgreement'
>;

/** The rules by which the best epoch is chosen. */
export type Monitor = NativeTraining['monitor'];

/** The pictures and the device of a run. */
export interface RunSetup {
  /** The kept store of prepared pictures, where `cacheDir` was given. */
  store: string | null;
  /** Class names by index. */
  classes: string[];
  /** The numbers of pictures in use. */
  images: { train: number; val: number };
  /** Pictures that were left out as they do not decode (`onBadImage: 'skip'`). */
  skipped: string[];
  /** Such as `cpu` or `cuda:0`. */
  device: string;
  /** The type that convolutions were computed in; 'auto' has become one of these. */
  precision: 'fp32' | 'bf16';
}

/** The result of one training. */
export interface TrainingResult extends RunSetup {
  /**
   * Why it ended: 'completed' after all epochs; 'early-stop' where a student's validation loss fell below 0.0001 or its
   * accuracy rose above 0.9999; 'patience' after so many epochs without a better one; 'max-seconds' when the time was up;
   * 'stopped' by `stop()`.
   */
  stopReason: StopReason;
  /**
   * The epoch whose network is in the file; `null` where none was better than the network that the training started
   * from, and where the run was stopped before the first save.
   */
  best: EpochReport | null;
  /**
   * The scores of the network that the training started from: an `initialStudent`, or `weights` of a teacher of the same
   * classes. The file holds it where no epoch was better. `null` with fresh weights.
   */
  initial: InitialReport | null;
  /**
   * The most accurate epoch (of equals, the one with the least loss), where it is more accurate than the network in the
   * file: its loss had not improved as well. `monitor: 'accuracy'` keeps it.
   */
  moreAccurate: EpochReport | null;
  /** The rule by which the network was kept: the option. */
  monitor: Monitor;
  /**
   * The epoch that each `monitor` would have kept, by its number; 0 is what the training started from. `null` where no epoch
   * was good enough for it, and for 'agreement' where that is not measured.
   */
  keptBy: Record<Monitor, number | null>;
  /** The last epoch that ended. */
  last: EpochReport | null;
  /** The number of epochs run to their end. */
  epochs: number;
  /** The option, or the seed that was drawn: with it the run can be repeated. */
  seed: number;
  /** Seconds by phase; `prepare` is decoding and the teacher, or taking over a kept store. */
  seconds: { prepare: number; train: number; validate: number; total: number };
  /** Pictures a second by phase; `prepare` is 0 where a kept store was taken over. */
  imagesPerSecond: { prepare: number; train: number; validate: number };
}

/** The result of `distill()`. */
export interface DistillResult extends TrainingResult {
  /** The student's file. */
  student: string;
  /** Its network: a name of the option, or the class of the model that was exported. */
  architecture: string;
  /** Its trainable numbers; BatchNorm's statistics are not counted. */
  parameters: number;
}

/** The result of `teach()`. */
export interface TeachResult extends TrainingResult {
  /** The teacher's file. */
  teacher: string;
  /** Such as 'densenet121'. */
  architecture: string;
}
