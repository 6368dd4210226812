import path from 'node:path';
import { z } from 'zod';
import { readFile, type UnreadableFile } from '../files.js';
import { LineLog } from './line-log.js';

// The trials of a run of several trainings: `trials.jsonl` has a line for each that is done, and `trials/` a folder for each.

/** Bytes of the largest file of trials. */
const LIMIT = 2 ** 30;

/** What is read of a line; whatever else it holds is passed on. */
const doneSchema = z.looseObject({
  trial: z.int().min(1),
  seed: z.int().min(0),
  stopReason: z.enum(['completed', 'early-stop', 'patience', 'not-finite']),
  seconds: z.looseObject({ train: z.number(), validate: z.number() }),
});

/** The trials of a run that are done, by their number from 1. */
export class DoneTrials<Trial extends object> {
  readonly #log: LineLog;
  readonly #done: ReadonlyMap<number, Trial>;

  private constructor(log: LineLog, done: ReadonlyMap<number, Trial>) {
    this.#log = log;
    this.#done = done;
  }

  /**
   * Reads what has been done in a run's folder; a last line that was cut short counts as not written.
   *
   * @throws DistillError `ERR_WRITE`.
   */
  static async open<Trial extends object>(folder: string): Promise<DoneTrials<Trial>> {
    const file = path.join(folder, 'trials.jsonl');
    const text = await readFile(file, { limit: LIMIT }).then(
      (bytes) => bytes.toString('utf8'),
      (_: UnreadableFile) => '',
    );
    const lines = text.split('\n').flatMap((line) => parse(line) ?? []);
    const log = await LineLog.begin(file, lines);
    const done = new Map(lines.map(({ trial, ...rest }) => [trial, rest as unknown as Trial]));
    return new DoneTrials(log, done);
  }

  /** Returns the outcome of a trial that had been done before the run was interrupted. */
  outcomeOf(trial: number): Trial | undefined {
    return this.#done.get(trial);
  }

  /** Adds one; it is on the disk when the promise resolves. */
  add(trial: number, outcome: Trial): Promise<void> {
    return this.#log.append({ trial, ...outcome });
  }

  /** Waits until all is on the disk. */
  finish(): Promise<void> {
    return this.#log.finish();
  }
}

function parse(line: string): z.output<typeof doneSchema> | undefined {
  try {
    const value = JSON.parse(line);
    return doneSchema.safeParse(value).success ? value : undefined;
  } catch {
    return undefined;
  }
}
