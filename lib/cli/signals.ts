import { DistillError } from '../errors.js';
import type { Output } from './output.js';

/** Ends a command that has reported everything itself, with an exit code. */
export class Ended extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('ended');
    this.exitCode = exitCode;
  }
}

/** Ends a command that was stopped from outside, which is no failure: nothing is reported. */
export class Interrupted extends Ended {}

/** Exit codes as shells report signals: 128 and the signal's number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;

/**
 * Does work that can be ended early: its signal aborts at Ctrl-C, at SIGTERM, and when nobody reads
 * stdout any more (`distill predict … | head -1`). The abort's reason is an {@link Interrupted}.
 *
 * @param note The line that says how the work ends.
 */
export async function interruptible<T>(
  output: Output,
  note: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let signalled = false;
  const onSignal = (name: Signal) => {
    if (signalled) {
      output.hideBar();
      remove();
      // Not process.exit(), which would wait for the addon's threads. Nothing is half written but, perhaps, a
      // temporary file.
      process.kill(process.pid, name);
      return;
    }
    signalled = true;
    output.alert(`${note} Ctrl-C again ends at once.`);
    controller.abort(new Interrupted(EXIT_CODES[name]));
  };
  const remove = () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    output.onClosed = () => {};
  };

  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // A reader that closes the pipe has read enough.
  output.onClosed = () => controller.abort(new Interrupted(0));
  try {
    return await work(controller.signal);
  } catch (error) {
    const isAborted = error instanceof DistillError && error.code === 'ERR_ABORTED';
    throw isAborted ? controller.signal.reason : error;
  } finally {
    remove();
  }
}
