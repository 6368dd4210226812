import { DistillError } from '../errors.js';
import type { Output } from './output.js';

/** A command has ended in good order and said all that there is to say; the exit code is what is left. */
export class Ended extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('ended');
    this.exitCode = exitCode;
  }
}

/** It was ended from outside. Not a failure: nothing is said about it. */
export class Interrupted extends Ended {}

/** 128 and the signal's number, as a shell reports it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof EXIT_CODES;

/**
 * Does work that can be ended early: its signal aborts at Ctrl-C, at SIGTERM, and when nobody reads
 * stdout any more (`distill predict … | head -1`). The abort's reason is an {@link Interrupted}.
 *
 * @param note Tells the user how the work ends.
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
      // Not process.exit(): it would wait for the addon's threads. Nothing is half written, except
      // perhaps a temporary file.
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
  // Whoever has closed the pipe has what they wanted.
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
