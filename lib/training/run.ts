import { EventEmitter } from 'node:events';
import type { PrepareProgress } from '../data/prepare.js';
import { type DistillWarning, emitWarning } from '../warnings.js';

/** What one epoch came to. Losses and accuracies are averages over pictures; accuracies are in 0..1. */
export interface EpochReport {
  /** From 1. */
  epoch: number;
  /** Epochs asked for. */
  epochs: number;
  /** What the network learns by, in training mode: the distillation loss, or a teacher's cross entropy. */
  trainLoss: number;
  trainAccuracy: number;
  /** Plain cross entropy on the validation pictures. */
  valLoss: number;
  valAccuracy: number;
  /** Of the whole epoch: `trainSeconds` and `valSeconds`. */
  seconds: number;
  trainSeconds: number;
  valSeconds: number;
  /** Training pictures a second, validation not counted. */
  imagesPerSecond: number;
  /** Whether the network of this epoch is the best so far: it is now in the file, where there is one. */
  saved: boolean;
  /** The share of validation pictures for which teacher and student say the same class; in `compare()` alone. */
  valAgreement?: number;
}

/** What a training starts from, where that is good already: judged before the first epoch, as an epoch's network is. */
export type InitialReport = Pick<
  EpochReport,
  'valLoss' | 'valAccuracy' | 'valSeconds' | 'valAgreement'
>;

/** What a run found, and works with. */
export interface RunSetup {
  /** The kept store of prepared pictures, where `cacheDir` was given. */
  store: string | null;
  /** Class names by index. */
  classes: string[];
  /** Pictures in use. */
  images: { train: number; val: number };
  /** Pictures that did not decode and were passed over (`onBadImage: 'skip'`). */
  skipped: string[];
  /** What it ran on, such as `cpu` or `cuda:0`. */
  device: string;
  /** What its convolutions computed in; 'auto' has become one of these. */
  precision: 'fp32' | 'bf16';
}

/** What a training came to. */
export interface TrainingResult extends RunSetup {
  /**
   * The epoch whose network is in the file; `null` where none was better than what the training started from, and where
   * the run was stopped before.
   */
  best: EpochReport | null;
  /**
   * What the training started from: an `initialStudent`, or `weights` of a teacher of the same classes. The file holds
   * it where no epoch was better. `null` of fresh weights.
   */
  initial: InitialReport | null;
  /**
   * The most accurate epoch (of equals, the one with the least loss), where it is more accurate than the network in the
   * file: its loss had not improved as well. `keep: 'accuracy'` keeps it.
   */
  moreAccurate: EpochReport | null;
  /** The last epoch that ended. */
  last: EpochReport | null;
  /** Epochs run to their end. */
  epochs: number;
  /**
   * Why it ended: all epochs were run; a student's validation loss fell below 0.0001 or its accuracy rose
   * above 0.9999; or `stop()` was called.
   */
  stopReason: 'completed' | 'early-stop' | 'stopped';
  /** What makes the run repeatable: the option, or the seed that was drawn. */
  seed: number;
  /** Seconds by phase; `prepare` is decoding and the teacher, or taking over a kept store. */
  seconds: { prepare: number; train: number; validate: number; total: number };
  /** Pictures a second by phase; `prepare` is 0 where a kept store was taken over. */
  imagesPerSecond: { prepare: number; train: number; validate: number };
}

/** What a distillation came to. */
export interface DistillResult extends TrainingResult {
  /** The student's file. */
  student: string;
}

/** What the training of a teacher came to. */
export interface TeachResult extends TrainingResult {
  /** The teacher's file. */
  teacher: string;
  /** Such as 'densenet121'. */
  architecture: string;
}

/** Events of every run, and what their listeners receive. */
export interface CommonEvents {
  /** How many and which pictures were found, before anything else is done. */
  dataset: [{ classes: string[]; train: number; val: number }];
  prepare: [PrepareProgress];
  /** Without a listener, warnings go to `process.emitWarning`. */
  warning: [DistillWarning];
}

/** Events of one training. */
export interface TrainingEvents extends CommonEvents {
  /** What it starts from, before the first epoch; not of fresh weights. */
  initial: [InitialReport];
  epoch: [EpochReport];
  /** An epoch whose network has just been saved. */
  best: [EpochReport & { path: string }];
}

/** What a run does, told apart from how it is watched. */
export interface Course<Result, Events, Progress> {
  /** Does the work and reports through the run's events. */
  start(run: Reporter<Events>): Promise<Result>;
  /** Makes `start` resolve after the current batch. */
  stop(): void;
  /** Where the work stands. */
  progress(): Progress;
}

/** What a course tells its run. */
export interface Reporter<Events> {
  report<Name extends keyof Events>(name: Name, payload: Payload<Events, Name>): void;
}

type Payload<Events, Name extends keyof Events> = Events[Name] extends [infer First]
  ? First
  : never;

/** Where a training stands: epoch from 1 (0 before the first), batches done and in all of this epoch. */
export interface TrainingProgress {
  epoch: number;
  step: number;
  steps: number;
}

/**
 * Work that is under way: awaitable for its result, an emitter of events, and an async iterable of
 * what one of the events tells, such as epoch reports.
 *
 * An exception in a listener stops the run, which then rejects with it. What has been saved stays.
 */
export class Run<
    Result,
    Events extends Record<keyof Events, [unknown]>,
    Iterated extends keyof Events,
    Progress,
  >
  extends EventEmitter<Events>
  implements PromiseLike<Result>, AsyncIterable<Payload<Events, Iterated>>, Reporter<Events>
{
  readonly #course: Course<Result, Events, Progress>;
  readonly #iterated: Iterated;
  readonly #result: Promise<Result>;
  readonly #reports: Payload<Events, Iterated>[] = [];
  #ended = false;
  /** Iterators that have seen every report so far. */
  #waiting: (() => void)[] = [];
  #listenerFailure: { error: unknown } | undefined;

  /** @internal Made by `distill()` and its like. */
  constructor(course: Course<Result, Events, Progress>, iterated: Iterated) {
    super();
    this.#course = course;
    this.#iterated = iterated;
    this.#result = this.#follow();
  }

  /** Ends the run after its current batch. It then resolves, with the reason 'stopped'. */
  stop(): void {
    this.#course.stop();
  }

  /** Where the work stands; the epoch is 0 while the run prepares. */
  get progress(): Progress {
    return this.#course.progress();
  }

  /** All reports from the first, also those before the iteration began. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Payload<Events, Iterated>, void, undefined> {
    // Who iterates learns of a failure here; the result's promise need not be awaited as well.
    this.#result.catch(() => {});
    for (let i = 0; ; i++) {
      while (i >= this.#reports.length) {
        if (this.#ended) {
          await this.#result;
          return;
        }
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      yield this.#reports[i] as Payload<Events, Iterated>;
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is awaited for its result.
  then<T = Result, E = never>(
    onFulfilled?: ((result: Result) => T | PromiseLike<T>) | null,
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    return this.#result.then(onFulfilled, onRejected);
  }

  catch<E = never>(
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<Result | E> {
    return this.#result.catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Result> {
    return this.#result.finally(onFinally);
  }

  /** @internal Tells listeners and iterators. */
  report<Name extends keyof Events>(name: Name, payload: Payload<Events, Name>): void {
    if ((name as keyof Events) === this.#iterated) {
      this.#reports.push(payload as unknown as Payload<Events, Iterated>);
      this.#wakeIterators();
    }
    if (name === 'warning' && (this as EventEmitter).listenerCount('warning') === 0) {
      emitWarning(payload as DistillWarning);
      return;
    }
    try {
      // The mapped type of the arguments is beyond what the compiler resolves for a generic name.
      (this as EventEmitter).emit(name as string, payload);
    } catch (error) {
      this.#listenerFailure ??= { error };
      this.stop();
    }
  }

  async #follow(): Promise<Result> {
    try {
      // Begins when the caller has had its turn to attach listeners.
      await Promise.resolve();
      const result = await this.#course.start(this);
      if (this.#listenerFailure) throw this.#listenerFailure.error;
      return result;
    } finally {
      this.#ended = true;
      this.#wakeIterators();
    }
  }

  #wakeIterators(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A run of one training. */
export type TrainingRun<Result extends TrainingResult> = Run<
  Result,
  TrainingEvents,
  'epoch',
  TrainingProgress
>;
/** What `distill()` returns. */
export type DistillRun = TrainingRun<DistillResult>;
/** What `teach()` returns. */
export type TeachRun = TrainingRun<TeachResult>;
