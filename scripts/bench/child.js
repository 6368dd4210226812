import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Contestants that have not been asked to end yet: they go when the benchmark goes. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * A process that answers one JSON object a line with one JSON object a line:
 * `{command, ...}` with `{result}` or `{error}`. What it writes to stderr is kept for a failure's reason.
 */
export class Child {
  #process;
  #stderr = '';
  /** @type {{ resolve: (result: unknown) => void, reject: (error: Error) => void } | undefined} */
  #waiting;
  /** @type {Promise<void>} */
  #closed;
  /** @type {string | undefined} */
  #ended;

  /**
   * @param {string} program
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  constructor(program, args, env) {
    this.#process = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    running.add(this.#process);
    this.#process.stdin.on('error', () => {}); // the reason comes with its end
    this.#process.stderr.setEncoding('utf8').on('data', (text) => {
      this.#stderr = (this.#stderr + text).slice(-4000);
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#answer(line));
    this.#closed = new Promise((resolve) => {
      /** @param {string} reason */
      const end = (reason) => {
        running.delete(this.#process);
        this.#ended ??= reason;
        this.#waiting?.reject(new Error(this.#ended));
        this.#waiting = undefined;
        resolve();
      };
      this.#process.on('error', (error) => end(error.message));
      this.#process.on('close', (code, signal) => {
        const last = this.#stderr.trim().split('\n').at(-1);
        end(`its process ended with ${signal ?? code}${last ? `: ${last}` : ''}`);
      });
    });
  }

  /**
   * @template T
   * @param {string} command
   * @param {object} [parameters]
   * @param {number} [seconds] after which its process is ended
   * @returns {Promise<T>}
   */
  ask(command, parameters = {}, seconds = 1800) {
    if (this.#ended) return Promise.reject(new Error(this.#ended));
    if (this.#waiting) throw new Error('a contestant does one thing at a time');
    const timer = setTimeout(() => {
      this.#ended = `it took more than ${seconds} s for '${command}'`;
      this.#process.kill('SIGKILL');
    }, seconds * 1000);
    const answer = new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#process.stdin.write(`${JSON.stringify({ command, ...parameters })}\n`);
    });
    return answer.finally(() => clearTimeout(timer));
  }

  /** Closes its input and waits until it has gone. */
  async end() {
    this.#process.stdin.end();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 10_000);
    await this.#closed;
    clearTimeout(timer);
  }

  /** @param {string} line */
  #answer(line) {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    /** @type {{ result?: unknown, error?: string }} */
    let answer;
    try {
      answer = JSON.parse(line);
    } catch {
      answer = { error: `it answered '${line.slice(0, 100)}'` };
    }
    if (answer.error === undefined) waiting?.resolve(answer.result);
    else waiting?.reject(new Error(answer.error));
  }
}
