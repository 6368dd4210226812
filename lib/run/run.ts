import { EventEmitter } from 'node:events';
import { type DistillWarning, emitWarning } from '../warnings.js';
import type { Payload, Reporter, TrainingEvents, TrainingProgress } from './events.js';
import type { TrainingResult } from './reports.js';

/** The work of a run, apart from how it is watched. */
export interface RunTask<Result, Events, Progress> {
  /** Does the work and reports through the run's events. */
  start(run: Reporter<Events>): Promise<Result>;
  /** Makes `start` resolve after the current batch. */
  stop(): void;
  /** Returns the position of the work. */
  progress(): Progress;
}

/**
 * Work that is under way: awaitable for its result, an emitter of events, and an async iterable of the reports of one of
 * the events, such as epoch reports.
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
  readonly #task: RunTask<Result, Events, Progress>;
  readonly #iterated: Iterated;
  readonly #result: Promise<Result>;
  readonly #reports: Payload<Events, Iterated>[] = [];
  #ended = false;
  /** Wake the iterators that have seen every report so far. */
  #waiting: (() => void)[] = [];
  #listenerFailure: { error: unknown } | undefined;

  /**
   * @internal Called by `distill()` and its like.
   * @param iterated The event whose reports an iteration yields.
   */
  constructor(task: RunTask<Result, Events, Progress>, iterated: Iterated) {
    super();
    this.#task = task;
    this.#iterated = iterated;
    this.#result = this.#follow();
  }

  /** Ends the run after its current batch. It then resolves, with the stop reason 'stopped'. */
  stop(): void {
    this.#task.stop();
  }

  /** The position of the work; the epoch is 0 while the run prepares. */
  get progress(): Progress {
    return this.#task.progress();
  }

  /** Yields all reports from the first, also those before the iteration began. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Payload<Events, Iterated>, void, undefined> {
    // An iteration throws a failure itself; the result's promise need not be awaited as well.
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

  /** @internal Passes an event to listeners and iterators. */
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
      const result = await this.#task.start(this);
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
