import { DistillError, ERRORS, type ErrorCode } from '../errors.js';
import type { Finding } from '../options/doctor.js';

/** Lines of details at most; the last says how many more there would be. */
const MAX_DETAILS = 20;

/** The findings of one examination, by topic. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #onFinding: (finding: Finding) => void;

  constructor(onFinding: (finding: Finding) => void = () => {}) {
    this.#onFinding = onFinding;
  }

  about(topic: Finding['topic']): Topic {
    return new Topic((finding) => {
      const whole: Finding = { topic, code: null, remedy: null, details: [], ...finding };
      const { details } = whole;
      if (details.length > MAX_DETAILS) {
        whole.details = [
          ...details.slice(0, MAX_DETAILS - 1),
          `and ${details.length - MAX_DETAILS + 1} more`,
        ];
      }
      this.all.push(whole);
      this.#onFinding(whole);
    });
  }
}

type Given = Pick<Finding, 'check' | 'status' | 'message'> & Partial<Finding>;

/** Collects the findings of one topic's checks. */
export class Topic {
  readonly #add: (finding: Given) => void;

  constructor(add: (finding: Given) => void) {
    this.#add = add;
  }

  ok(check: string, message: string, details: string[] = []): void {
    this.#add({ check, status: 'ok', message, details });
  }

  warn(check: string, message: string, remedy: string, details: string[] = []): void {
    this.#add({ check, status: 'warning', message, remedy, details });
  }

  problem(
    check: string,
    code: ErrorCode,
    message: string,
    { remedy = ERRORS[code].remedy, details = [] }: { remedy?: string; details?: string[] } = {},
  ): void {
    this.#add({ check, status: 'problem', code, message, remedy, details });
  }

  /**
   * Does a part of the run's work. An error of it becomes a problem, and the examination goes on.
   *
   * @returns The result of `work`, or `null` where it fails.
   */
  async attempt<T>(check: string, work: () => T | Promise<T>, remedy?: string): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DistillError)) throw error;
      const message = sentence(error.message);
      this.problem(check, error.code, message, remedy === undefined ? {} : { remedy });
      return null;
    }
  }

  /** Makes one of the run's own checks, and tells whether it passes. */
  async passes(check: string, work: () => unknown, remedy?: string): Promise<boolean> {
    return (await this.attempt(check, async () => ({ done: await work() }), remedy)) !== null;
  }
}

/** Returns an error's message as a sentence; some begin small, as they go on from a program's name. */
function sentence(message: string): string {
  const whole = /[.?!]$/.test(message) ? message : `${message}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}
