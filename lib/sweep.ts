import { checkOptions } from './options/check.js';
import { type CheckedSweepOptions, type SweepOptions, sweepOptions } from './options/sweep.js';
import { Run } from './run/run.js';
import { RunFolder, secondsOf } from './run-folder/folder.js';
import { byScore } from './training/kept.js';
import { prepareStudents } from './training/prepare.js';
import { bestTrialOf, type SeedSummary, summarizeSeeds, type Trial } from './training/seeds.js';
import {
  keepStudent,
  listOutputs,
  nameOf,
  runTrial,
  type StoppedTrial,
  saveResult,
  type TrialsContext,
  type TrialsEvents,
  type TrialsProgress,
  type TrialsResult,
  trialsOutputs,
  trialsResult,
  trialsTask,
  warnOfMoreAccurate,
} from './training/trials.js';
import { type TrialsPlace, withTrialsPlace } from './training/trials-place.js';

/** A point of the grid, with the outcome of its trials. */
export interface SweepPoint extends SeedSummary {
  temperature: number;
  alpha: number;
  lr: number;
}

/** The result of `sweep()`. */
export interface SweepResult extends TrialsResult {
  /** The points that were done, in the grid's order: by temperature, then alpha, then lr. */
  points: SweepPoint[];
  /**
   * The point whose best epochs are the most accurate on average, and of equals the one with the least loss. A point
   * with a trial whose loss became infinite or NaN does not count. `null` where none does.
   */
  best: SweepPoint | null;
}

/** Events of `sweep()`. */
export interface SweepEvents extends TrialsEvents {
  /** A point whose trials are done. */
  point: [SweepPoint];
}

/** The run that `sweep()` returns. */
export type SweepRun = Run<SweepResult, SweepEvents, 'point', TrialsProgress>;

/**
 * Distils with every combination of some temperatures, alphas and learning rates: pictures are decoded and the teacher
 * is asked once for all of them. A trial whose loss becomes infinite or NaN is reported as such, and the others go on.
 *
 * A point's scores are means and standard deviations (divided by n - 1) over its seeds, of accuracy (the share of
 * validation pictures whose class is right) and loss (their plain cross entropy): at the best epoch, whose student
 * `distill()` would have kept, and at the last.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `point` and `warning`, and an async
 * iterable of points.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { best } = await sweep({ teacher, dataset, mean, std, temperature: [2, 4], alpha: [0.5, 0.7, 0.9] })
 *   .on('point', ({ temperature, alpha, best }) => console.log(temperature, alpha, best?.accuracy.mean));
 */
export function sweep(options: SweepOptions): SweepRun {
  return new Run(
    trialsTask(() => checkOptions(sweepOptions, options), work),
    'point',
  );
}

async function work(
  options: CheckedSweepOptions,
  task: TrialsContext<SweepEvents>,
): Promise<SweepResult> {
  const grid = gridOf(options);
  task.counter.trials = grid.length * options.seeds.length;
  const outputs = await trialsOutputs(options, 'sweep');
  const agreement = options.monitor === 'agreement';
  const folder = await RunFolder.open(
    options,
    { call: 'sweep', schema: sweepOptions, seed: 0 },
    task,
  );
  const session = await prepareStudents(
    options,
    { outputs: listOutputs(outputs), answersVal: agreement, folder },
    task,
  );

  const points: SweepPoint[] = [];
  const trials: (Trial | StoppedTrial)[] = [];
  const resultOf = (stopReason: SweepResult['stopReason']): SweepResult => ({
    ...trialsResult(session, options, {
      stopReason,
      trials,
      outputs,
      total: secondsOf(folder, task),
    }),
    best: bestPointOf(points),
    points,
  });

  /** Trains a student for each seed; `null` where the run was stopped. */
  async function trainPoint(point: GridPoint, place: TrialsPlace) {
    const done: Trial[] = [];
    for (const seed of options.seeds) {
      const given = { agreement, saves: outputs.student !== null, place };
      const trial = await runTrial(session, options, { ...point, seed }, given, task);
      trials.push(trial);
      if (trial.stopReason === 'stopped') return null;
      done.push(trial);
    }
    return done;
  }

  async function trainAll(place: TrialsPlace): Promise<'completed' | 'stopped'> {
    for (const one of grid) {
      const done = await trainPoint(one, place);
      if (!done) return 'stopped';
      const point: SweepPoint = { ...one, ...summarizeSeeds(done) };
      points.push(point);
      const best = bestPointOf(points) === point ? bestTrialOf(done) : undefined;
      if (best) await keepStudent(outputs, place.fileOf(best));
      await saveResult(outputs, resultOf('stopped'));
      task.report('point', point);
    }
    return 'completed';
  }

  const stopReason = session.preparation
    ? await withTrialsPlace(folder, nameOf(outputs), task, trainAll)
    : 'stopped';
  warnOfMoreAccurate(options, trials, task);
  const result = resultOf(stopReason);
  if (stopReason === 'completed') await saveResult(outputs, result);
  return result;
}

type GridPoint = Pick<SweepPoint, 'temperature' | 'alpha' | 'lr'>;

function gridOf({ temperature, alpha, lr }: CheckedSweepOptions): GridPoint[] {
  return temperature.flatMap((temperature) =>
    alpha.flatMap((alpha) => lr.map((lr) => ({ temperature, alpha, lr }))),
  );
}

/** Orders points from the best one on; those with a loss that became infinite or NaN come last. */
export function ranked(points: readonly SweepPoint[]): SweepPoint[] {
  const scoreOf = ({ best, notFinite }: SweepPoint) =>
    best && notFinite === 0
      ? { accuracy: best.accuracy.mean, loss: best.loss.mean }
      : { accuracy: Number.NEGATIVE_INFINITY, loss: 0 };
  return points.toSorted((a, b) => byScore(scoreOf(a), scoreOf(b)));
}

function bestPointOf(points: readonly SweepPoint[]): SweepPoint | null {
  return ranked(points).find(({ notFinite }) => notFinite === 0) ?? null;
}
