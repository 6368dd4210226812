import { loadAddon } from '../addon.js';
import { abortable } from '../errors.js';
import type { NativeExecution, NativePreprocessing, NativeSession } from '../native.js';
import type { Reporter, TrainingProgress } from './events.js';
import type { RunTask } from './run.js';

/** The means of a run's work, besides its options. */
export interface TaskContext<Events> extends Reporter<Events> {
  /** Aborted by the run's `stop()` and by the caller's signal. */
  readonly stopping: AbortSignal;
  /** Creates the session of the run: stopping the run ends its training, and it is closed when the work is over. */
  createSession(options: NativePreprocessing & NativeExecution): NativeSession;
  /** Has something done when the work is over, however it ends. */
  defer(cleanup: () => void): void;
  /** Returns the seconds since the work began. */
  elapsed(): number;
}

/**
 * Makes the task of a run that trains in one session.
 *
 * @param check Returns the checked options.
 * @param work Does everything from the checked options to the result. It resolves early once the run is stopped; where
 * the caller's signal was aborted, the task then rejects with `ERR_ABORTED` in any case.
 */
export function sessionTask<Options extends { signal?: AbortSignal | undefined }, Result, Events>(
  check: () => Options,
  work: (options: Options, task: TaskContext<Events>) => Promise<Result>,
): RunTask<Result, Events, TrainingProgress> {
  const stopping = new AbortController();
  let session: NativeSession | undefined;
  const cleanups: (() => void)[] = [];

  function stop(): void {
    stopping.abort();
    session?.stop();
  }

  return {
    stop,
    progress: () => session?.progress() ?? { epoch: 0, step: 0, steps: 0 },
    async start(run) {
      const started = performance.now();
      const options = check();
      const { signal } = options;
      const context: TaskContext<Events> = {
        report: (name, payload) => run.report(name, payload),
        stopping: stopping.signal,
        defer: (cleanup) => cleanups.push(cleanup),
        elapsed: () => (performance.now() - started) / 1000,
        createSession(sessionOptions) {
          session = new (loadAddon().Session)(sessionOptions);
          // The run may have been stopped before there was a session.
          if (stopping.signal.aborted) session.stop();
          return session;
        },
      };
      signal?.addEventListener('abort', stop);
      try {
        return await abortable(signal, () => work(options, context));
      } finally {
        signal?.removeEventListener('abort', stop);
        await session?.close();
        for (const cleanup of cleanups) cleanup();
      }
    },
  };
}
