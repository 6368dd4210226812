import os from 'node:os';
import { native } from './addon.js';
import { costOf, type ModelCost } from './model/cost.js';
import type { NativeExecution } from './native.js';
import { checkOptions } from './options/check.js';
import {
  type CheckedCompareOptions,
  type CompareOptions,
  compareOptions,
} from './options/compare.js';
import { Run } from './run/run.js';
import { RunFolder, secondsOf } from './run-folder/folder.js';
import { keptOf } from './training/kept.js';
import { type MeanStd, meanStdOf } from './training/mean-std.js';
import { prepareStudents, type StudentSession } from './training/prepare.js';
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

/** Students that learnt in the same way, with the outcome of their trials. */
export interface CompareArm extends SeedSummary {
  temperature: number;
  /** 0 without a teacher. */
  alpha: number;
  lr: number;
}

/** The result of `compare()`. Accuracies, losses and agreements are of the validation pictures. */
export interface CompareResult extends TrialsResult {
  withTeacher: CompareArm;
  withoutTeacher: CompareArm;
  /**
   * The difference that the teacher makes, by seed: the best epoch's value with it minus that without it. Positive is
   * better for accuracy, negative for loss. `null` where no seed has both.
   */
  gain: { accuracy: MeanStd; loss: MeanStd } | null;
  /** The teacher's own scores; `null` where the run was stopped before it had answered. */
  teacherScores: { accuracy: number; loss: number } | null;
  /**
   * Parameters, bytes and latency of the teacher and its best student. `null` for a teacher that is given by its logits,
   * and where the run was stopped before.
   */
  costs: { teacher: ModelCost | null; student: ModelCost | null };
  /** The machine that the latencies were measured on. */
  machine: { cpu: string; cores: number };
}

/** Events of `compare()`. */
export interface CompareEvents extends TrialsEvents {
  /** A trial that is done. */
  trial: [Trial & { withTeacher: boolean }];
}

/** The run that `compare()` returns. */
export type CompareRun = Run<CompareResult, CompareEvents, 'trial', TrialsProgress>;

/**
 * Shows whether the teacher helps: trains the same student with it and without it (alpha 0, from the labels alone), with
 * several seeds, on the same prepared pictures. Students of one seed start from the same weights and see the pictures
 * in the same order.
 *
 * All is measured on the validation pictures. Accuracy is the share of pictures whose class is right, loss their plain
 * cross entropy, agreement the share for which student and teacher predict the same class, right or wrong: at the best
 * epoch, whose student `distill()` would have kept, and at the last; means and standard deviations (divided by n - 1)
 * over seeds. The cost of a model is its parameters, the bytes of its file, and its latency: the median of
 * 31 predictions of a single picture from its pixels, on this machine.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `epoch`, `trial` and `warning`, and an
 * async iterable of trials.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { gain } = await compare({ teacher, dataset, mean, std, epochs: 15 });
 * console.log(`the teacher adds ${gain?.accuracy.mean} of accuracy`);
 */
export function compare(options: CompareOptions): CompareRun {
  return new Run(
    trialsTask(() => checkOptions(compareOptions, options), work),
    'trial',
  );
}

async function work(
  options: CheckedCompareOptions,
  task: TrialsContext<CompareEvents>,
): Promise<CompareResult> {
  const { seeds, temperature, alpha, lr } = options;
  task.counter.trials = 2 * seeds.length;
  const outputs = await trialsOutputs(options, 'comparison');
  const begun = { call: 'compare', schema: compareOptions, seed: 0 } as const;
  const folder = await RunFolder.open(options, begun, task);
  const session = await prepareStudents(
    options,
    { outputs: listOutputs(outputs), answersVal: true, folder },
    task,
  );
  const teacherScores = session.preparation && (await scoresOfTeacher(session));

  const trials: (Trial | StoppedTrial)[] = [];
  const taught: Trial[] = [];
  const alone: Trial[] = [];
  const resultOf = (
    stopReason: CompareResult['stopReason'],
    costs: CompareResult['costs'],
  ): CompareResult => ({
    ...trialsResult(session, options, {
      stopReason,
      trials,
      outputs,
      total: secondsOf(folder, task),
    }),
    withTeacher: { temperature, alpha, lr, ...summarizeSeeds([...taught]) },
    withoutTeacher: { temperature, alpha: 0, lr, ...summarizeSeeds([...alone]) },
    gain: gainOf(taught, alone),
    teacherScores,
    costs,
    machine: { cpu: os.cpus()[0]?.model ?? 'unknown', cores: os.availableParallelism() },
  });

  /** Trains a student with the teacher and one without it for each seed; returns their costs, `null` where it was stopped. */
  async function trainAll(place: TrialsPlace): Promise<CompareResult['costs'] | null> {
    for (const seed of seeds) {
      for (const withTeacher of [true, false]) {
        const trial = await runTrial(
          session,
          // At alpha 0, 'distillation' is the loss of the labels alone; another loss may not be.
          withTeacher ? options : { ...options, loss: 'distillation' },
          { temperature, alpha: withTeacher ? alpha : 0, lr, seed },
          { agreement: true, saves: withTeacher, place },
          task,
        );
        trials.push(trial);
        if (trial.stopReason === 'stopped') return null;
        (withTeacher ? taught : alone).push(trial);
        if (bestTrialOf(taught) === trial) await keepStudent(outputs, place.fileOf(trial));
        await saveResult(outputs, resultOf('stopped', NO_COSTS));
        task.report('trial', { ...trial, withTeacher });
      }
    }
    const best = bestTrialOf(taught);
    return measureCosts(session, options, best ? place.fileOf(best) : null);
  }

  const costs =
    session.preparation && (await withTrialsPlace(folder, nameOf(outputs), task, trainAll));
  warnOfMoreAccurate(options, trials, task);
  const result = resultOf(costs ? 'completed' : 'stopped', costs ?? NO_COSTS);
  if (costs) await saveResult(outputs, result);
  return result;
}

const NO_COSTS: CompareResult['costs'] = { teacher: null, student: null };

async function scoresOfTeacher(
  session: StudentSession,
): Promise<NonNullable<CompareResult['teacherScores']>> {
  const { loss, accuracy } = await native(session.native.validateTeacher('val'));
  return { loss, accuracy };
}

/** @param student The best student's file, if there is one. */
async function measureCosts(
  { setup, teacher }: StudentSession,
  options: CheckedCompareOptions,
  student: string | null,
): Promise<CompareResult['costs']> {
  const { device, precision } = setup;
  const { preprocessing } = teacher;
  const execution: NativeExecution = { device, precision, threads: options.threads ?? 0 };
  return {
    teacher:
      options.teacher === undefined
        ? null
        : await costOf(options.teacher, preprocessing, execution),
    student: student === null ? null : await costOf(student, preprocessing, execution),
  };
}

function gainOf(taught: readonly Trial[], alone: readonly Trial[]): CompareResult['gain'] {
  const pairs = taught.flatMap((a) => {
    const b = alone.find(({ seed }) => seed === a.seed);
    if (!b || a.stopReason === 'not-finite' || b.stopReason === 'not-finite') return [];
    const kept = { a: keptOf(a), b: keptOf(b) };
    return kept.a && kept.b ? [{ a: kept.a, b: kept.b }] : [];
  });
  if (pairs.length === 0) return null;
  return {
    accuracy: meanStdOf(pairs.map(({ a, b }) => a.valAccuracy - b.valAccuracy)),
    loss: meanStdOf(pairs.map(({ a, b }) => a.valLoss - b.valLoss)),
  };
}
