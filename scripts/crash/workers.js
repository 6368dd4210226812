import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */
/** @typedef {import('./worker.js').Ended} Ended */

/**
 * The end of a run: it ended by itself, was killed as it was to be, did neither in time, or died of something else.
 *
 * @typedef {({ fate: 'ended' } & Ended) | { fate: 'killed' | 'stuck' } | { fate: 'died', of: string }} Outcome
 */

/** Processes that run a program's `main()`, one at a time; the next one starts while this one works. */
export class Workers {
  #start;
  /** @type {ChildProcess | undefined} */
  #current;
  /** @type {Promise<ChildProcess>} */
  #next;

  /**
   * @param {string} program The module whose `main()` is run.
   * @param {{ cwd: string, env: NodeJS.ProcessEnv }} options
   */
  constructor(program, options) {
    const script = path.join(import.meta.dirname, 'worker.js');
    this.#start = async () => {
      const child = fork(script, [program], {
        ...options,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const failure = once(child, 'exit').then(() => {
        throw new Error(`${program} cannot be run`);
      });
      await Promise.race([once(child, 'message'), failure]);
      return child;
    };
    this.#next = this.#start();
  }

  /**
   * Runs a command.
   *
   * @param {string[]} args
   * @param {{ limit?: number, killedAfter?: number | undefined }} [options] Milliseconds after which it is stuck, and after which
   * it is killed. Default: never.
   * @returns {Promise<Outcome>}
   */
  async run(args, { limit = 2 ** 31 - 1, killedAfter = limit } = {}) {
    if (!this.#current) {
      this.#current = await this.#next;
      this.#next = this.#start();
    }
    const child = this.#current;
    return new Promise((resolve) => {
      let wasKilled = false;
      const timer = setTimeout(
        () => {
          wasKilled = child.kill('SIGKILL');
        },
        Math.min(killedAfter, limit),
      );
      const settle = (/** @type {Outcome} */ outcome) => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (outcome.fate !== 'ended') this.#current = undefined;
        resolve(outcome);
      };
      child.once('message', (ended) => {
        if (!wasKilled) settle({ fate: 'ended', .../** @type {Ended} */ (ended) });
      });
      child.once('exit', (code, signal) => {
        if (signal !== 'SIGKILL') settle({ fate: 'died', of: signal ?? `exit code ${code}` });
        else settle({ fate: wasKilled && killedAfter >= limit ? 'stuck' : 'killed' });
      });
      child.send(args);
    });
  }

  async close() {
    for (const child of [this.#current, await this.#next]) child?.kill('SIGKILL');
  }
}
