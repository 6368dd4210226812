import type { DistillWarning } from '../warnings.js';
import type { EpochReport, InitialReport } from './reports.js';

/** The number of pictures that are decoded and, for training, answered by the teacher so far. */
export interface PrepareProgress {
  done: number;
  total: number;
}

/** Events of every run, with the arguments of their listeners. */
export interface CommonEvents {
  /**
   * The classes and numbers of pictures found, before anything else is done; `unlabeled` where there are training pictures without a
   * class, `hidden` where hidden files are passed over.
   */
  dataset: [{ classes: string[]; train: number; val: number; unlabeled?: number; hidden?: number }];
  prepare: [PrepareProgress];
  /** Without a listener, warnings go to `process.emitWarning`. */
  warning: [DistillWarning];
}

/** Events of one training. */
export interface TrainingEvents extends CommonEvents {
  /** The scores of the network that it starts from, before the first epoch; not with fresh weights. */
  initial: [InitialReport];
  epoch: [EpochReport];
  /** An epoch whose network has just been saved. */
  best: [EpochReport & { path: string }];
}

/** The position of a training: epoch from 1 (0 before the first), batches done and in all of this epoch. */
export interface TrainingProgress {
  epoch: number;
  step: number;
  steps: number;
}

/** The argument of an event's listeners. */
export type Payload<Events, Name extends keyof Events> = Events[Name] extends [infer First]
  ? First
  : never;

/** Takes the events of a run. */
export interface Reporter<Events> {
  report<Name extends keyof Events>(name: Name, payload: Payload<Events, Name>): void;
}
