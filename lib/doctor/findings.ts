import { DistillError, ERRORS, type ErrorCode } from '../errors.js';

/** What one check came to. */
export interface Finding {
  topic: 'machine' | 'dataset' | 'teacher' | 'needs' | 'time';
  /** What was looked at, such as `addon` or `pictures`: stable, for programs. */
  check: string;
  /** `problem`: the run would fail, or fail to do what it is for; `warning`: it would run, but look at this first. */
  status: 'ok' | 'warning' | 'problem';
  /** The code that the run would fail with, where it would. */
  code: ErrorCode | null;
  /** One sentence. */
  message: string;
  /** What mends it; `null` where all is well. */
  remedy: string | null;
  /** Of many, such as the pictures that do not decode: a line each. */
  details: string[];
}

/** How far a check of many pictures is. */
export interface DoctorProgress {
  check: string;
  done: number;
  total: number;
}

/** Lines of details at most; the last says how many more there would be. */
const SHOWN = 20;

/** The findings of one examination, by topic. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #tell: (finding: Finding) => void;

  constructor(tell: (finding: Finding) => void = () => {}) {
    this.#tell = tell;
  }

  about(topic: Finding['topic']): Topic {
    return new Topic((finding) => {
      const whole: Finding = { topic, code: null, remedy: null, details: [], ...finding };
      const { details } = whole;
      if (details.length > SHOWN) {
        whole.details = [...details.slice(0, SHOWN - 1), `and ${details.length - SHOWN + 1} more`];
      }
      this.all.push(whole);
      this.#tell(whole);
    });
  }
}

type Given = Pick<Finding, 'check' | 'status' | 'message'> & Partial<Finding>;

/** Where the checks of one topic say what they find. */
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
   * Does what the run would do: what it would fail with is a problem, and the examination goes on.
   *
   * @returns What `work` comes to, or `null` where it fails.
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

  /** Does a check of the run's own; says whether it passes. */
  async passes(check: string, work: () => unknown, remedy?: string): Promise<boolean> {
    return (await this.attempt(check, async () => ({ done: await work() }), remedy)) !== null;
  }
}

/** An error's message, some of which go on from what a program has printed. */
function sentence(message: string): string {
  const whole = /[.?!]$/.test(message) ? message : `${message}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}
