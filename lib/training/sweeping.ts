import path from 'node:path';
import { checkOptions } from '../options/check.js';
import { type CheckedSweepOptions, type SweepOptions, sweepOptions } from '../options/sweep.js';
import { byMerit } from './kept.js';
import {
  bestTrialOf,
  type Lesson,
  type SeedSummary,
  Series,
  summarizeSeeds,
  type Trial,
  type TrialsEvents,
  type TrialsResult,
} from './series.js';

/** A point of the grid, and what its trainings came to. */
export interface SweepPoint extends SeedSummary {
  temperature: number;
  alpha: number;
  lr: number;
}

/** What a sweep came to. */
export interface SweepResult extends TrialsResult {
  /** The points that were done, in the grid's order: by temperature, then alpha, then lr. */
  points: SweepPoint[];
  /**
   * The point whose best epochs are the most accurate on average, and of equals the one with the least loss. A point
   * with a run that left the finite numbers does not count. `null` where none does.
   */
  best: SweepPoint | null;
}

/** Events of `sweep()`. */
export interface SweepEvents extends TrialsEvents {
  /** A point whose trainings are done. */
  point: [SweepPoint];
}

/** The course of one sweep. */
export class Sweeping extends Series<CheckedSweepOptions, SweepResult, SweepEvents> {
  readonly #given: SweepOptions;

  constructor(options: SweepOptions) {
    super();
    this.#given = options;
  }

  protected check(): CheckedSweepOptions {
    return checkOptions(sweepOptions, this.#given);
  }

  protected plan(options: CheckedSweepOptions) {
    return {
      trials: gridOf(options).length * options.seeds.length,
      val: false,
      kind: 'sweep',
    } as const;
  }

  protected begin(_: CheckedSweepOptions, result: TrialsResult): SweepResult {
    return { ...result, best: null, points: [] };
  }

  protected async trainAll(
    lesson: Lesson<CheckedSweepOptions, SweepResult, SweepEvents>,
  ): Promise<boolean> {
    const { options, run, result, folder, keepStudent, save } = lesson;
    const { student } = result;
    const fileOf = (seed: number) => path.join(folder, `${seed}-${path.basename(student ?? '')}`);
    for (const point of gridOf(options)) {
      const trials: Trial[] = [];
      for (const seed of options.seeds) {
        const given = student === null ? {} : { student: fileOf(seed) };
        const done = await this.attempt(lesson, { ...point, seed }, given);
        if (!done) return false;
        trials.push(done);
      }
      const reached = { ...point, ...summarizeSeeds(trials) };
      result.points.push(reached);
      result.best = bestPointOf(result.points);
      const bestTrial = result.best === reached ? bestTrialOf(trials) : undefined;
      if (bestTrial) await keepStudent(fileOf(bestTrial.seed));
      await save();
      run.report('point', reached);
    }
    return true;
  }
}

function gridOf({ temperature, alpha, lr }: CheckedSweepOptions) {
  return temperature.flatMap((temperature) =>
    alpha.flatMap((alpha) => lr.map((lr) => ({ temperature, alpha, lr }))),
  );
}

/** Points from the best one on; those that left the finite numbers come last. */
export function ranked(points: readonly SweepPoint[]): SweepPoint[] {
  const meritOf = ({ best, notFinite }: SweepPoint) =>
    best && notFinite === 0
      ? { accuracy: best.accuracy.mean, loss: best.loss.mean }
      : { accuracy: Number.NEGATIVE_INFINITY, loss: 0 };
  return points.toSorted((a, b) => byMerit(meritOf(a), meritOf(b)));
}

function bestPointOf(points: readonly SweepPoint[]): SweepPoint | null {
  return ranked(points).find(({ notFinite }) => notFinite === 0) ?? null;
}
