import { printable } from './progress.js';

/** A failure that the user can mend: printed as one screen, without a stack. */
export class SetupFailure extends Error {
  /**
   * @param {string} what one sentence: what failed and why
   * @param {object} [more]
   * @param {string[]} [more.details] what was tried or what the tool said, a line each
   * @param {string[]} [more.remedies] commands or hints, a line each; any one of them mends it
   * @param {number} [more.status] exit code: 1 failed, 2 wrong usage
   */
  constructor(what, { details = [], remedies = [], status = 1 } = {}) {
    super(what);
    this.name = 'SetupFailure';
    this.details = details;
    this.remedies = remedies;
    this.status = status;
  }

  /** The whole screen, ready to print. */
  screen() {
    const lines = [`distill setup: ${this.message}`, ...this.details.map((line) => `  ${line}`)];
    if (this.remedies.length > 0) {
      lines.push('To mend it:', ...this.remedies.map((line) => `  ${line}`));
    }
    return lines
      .flatMap((line) => line.split('\n'))
      .map(printable)
      .join('\n');
  }
}

/**
 * One sentence for any error, without its stack.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function sentence(error) {
  if (!(error instanceof Error)) return String(error);
  // fetch() says only "fetch failed"; its cause knows the reason, such as ENOTFOUND.
  if (error.cause instanceof Error) return sentence(error.cause);
  // A refused connection to several addresses is an AggregateError without a message.
  return error.message || /** @type {NodeJS.ErrnoException} */ (error).code || error.name;
}
