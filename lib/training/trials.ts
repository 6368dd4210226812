import path from 'node:path';
import { scheduleOf } from '../checks.js';
import { DistillError } from '../errors.js';
import { readFile } from '../files.js';
import { madeWith, recordedPreprocessing } from '../model/metadata.js';
import { type Kind, type OutputFile, refuseSource, writeOutput } from '../model/output.js';
import { distillOptions } from '../options/distill.js';
import { recordedOptions } from '../options/option.js';
import type { CommonEvents, TrainingProgress } from '../run/events.js';
import type { EpochReport, RunSetup } from '../run/reports.js';
import type { RunTask } from '../run/run.js';
import { sessionTask, type TaskContext } from '../run/task.js';
import type { Hyperparameters, StudentOptions, StudentSession } from './prepare.js';
import type { Trial } from './seeds.js';
import { recordedStudent, type TrainedStudent, trainStudent } from './student.js';
import { NOBODY, type TrainingListener, type TrainingLog, trainedOf } from './train.js';
import type { TrialsPlace } from './trials-place.js';

// Several trainings of students in one session, as `sweep()` and `compare()` have them.

/** The position of a run of several trials: the trial from 1 (0 while it prepares), and the position in it. */
export interface TrialsProgress extends TrainingProgress {
  trial: number;
  trials: number;
}

/** Events of a run of several trials. */
export interface TrialsEvents extends CommonEvents {
  /** An epoch, with the hyperparameters of its trial. */
  epoch: [EpochReport & Hyperparameters];
}

/** The result of a run of several trials. */
export interface TrialsResult extends RunSetup {
  /** 'completed' where all trials were done; 'stopped' by `stop()`. */
  stopReason: 'completed' | 'stopped';
  seeds: number[];
  /** The options that all trials share. */
  options: Record<string, unknown>;
  /** The teacher that they learn from: file, architecture and SHA-256. */
  teacher: Record<string, unknown>;
  /** The file of the best student, where it was asked for. */
  student: string | null;
  /** Seconds by phase, summed over the trials' epochs; `prepare` is decoding and the teacher, once. */
  seconds: { prepare: number; train: number; validate: number; total: number };
  /** Versions of node-distill, LibTorch and Node. */
  versions: Record<string, string>;
}

/** The checked options of a run of several trials. */
export type CheckedTrialsOptions = StudentOptions & {
  seeds: readonly number[];
  student?: string | undefined;
  out?: string | undefined;
};

/** The means of such a run's work: `counter` is where its progress is read from. */
export interface TrialsContext<Events> extends TaskContext<Events> {
  counter: { trial: number; trials: number };
}

/** Makes the task of a run of several trials, as {@link sessionTask}. */
export function trialsTask<Options extends CheckedTrialsOptions, Result, Events>(
  check: () => Options,
  work: (options: Options, task: TrialsContext<Events>) => Promise<Result>,
): RunTask<Result, Events, TrialsProgress> {
  const counter = { trial: 0, trials: 0 };
  const task = sessionTask<Options, Result, Events>(check, (options, context) =>
    work(options, { ...context, counter }),
  );
  return { ...task, progress: () => ({ ...counter, ...task.progress() }) };
}

/** The files that a run of several trials writes. */
export interface TrialsOutputs {
  student: OutputFile | null;
  out: OutputFile | null;
}

/**
 * Returns the files that a run is to write, none of which may be another one of the run's.
 *
 * @param kind The kind of the file `out`.
 * @throws DistillError `ERR_OPTION`.
 */
export async function trialsOutputs(
  { student, out, initialStudent, overwrite }: CheckedTrialsOptions,
  kind: 'sweep' | 'comparison',
): Promise<TrialsOutputs> {
  const outputOf = (option: string, file: string | undefined, kind: Kind): OutputFile | null =>
    file === undefined ? null : { option, file: path.resolve(file), kind, overwrite };
  const outputs = {
    student: outputOf('student', student, 'student'),
    out: outputOf('out', out, kind),
  };
  if (outputs.out && outputs.out.file === outputs.student?.file) {
    throw new DistillError(
      'ERR_OPTION',
      `\`out\` and \`student\` are the same file '${outputs.out.file}'; name another for one of them.`,
    );
  }
  if (outputs.out && initialStudent !== undefined) {
    await refuseSource('student', initialStudent, 'out', outputs.out.file);
  }
  return outputs;
}

/** Returns the name that trials' students are written under. */
export function nameOf({ student }: TrialsOutputs): string {
  return student?.file ?? 'student.pth';
}

/** Returns the files to be written as a list. */
export function listOutputs({ student, out }: TrialsOutputs): OutputFile[] {
  return [student, out].filter((output) => output !== null);
}

/** A trial that was stopped, with the seconds of its epochs. */
export interface StoppedTrial {
  stopReason: 'stopped';
  seconds: { train: number; validate: number };
}

/**
 * Trains one student among several, unless that has been done before the run was interrupted. A loss that becomes infinite or
 * NaN is a result, too.
 *
 * @param given.agreement As for {@link trainStudent}.
 * @param given.saves True where its best student is needed afterwards.
 */
export async function runTrial(
  session: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
  { agreement, saves, place }: { agreement: boolean; saves: boolean; place: TrialsPlace },
  task: TrialsContext<TrialsEvents>,
): Promise<Trial | StoppedTrial> {
  const number = ++task.counter.trial;
  const known = place.outcomeOf(number);
  if (known) return known;
  const student = saves ? place.temporaryFile(number) : null;
  const given = { student, agreement, kept: await place.training(number) };
  const trial = await trainTrial(session, options, hyperparameters, given, task);
  if (trial.stopReason !== 'stopped') await place.finish(number, trial);
  return trial;
}

async function trainTrial(
  session: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
  given: TrainedStudent,
  task: TrialsContext<TrialsEvents>,
): Promise<Trial | StoppedTrial> {
  const { temperature, alpha, lr, seed } = hyperparameters;
  let log: TrainingLog = { initial: null, epochs: [] };
  const listener: TrainingListener = {
    began(training) {
      log = training;
    },
    epoch(report) {
      task.report('epoch', { ...report, temperature, alpha, lr, seed });
    },
  };
  try {
    const trained = await trainStudent(session, options, hyperparameters, given, listener);
    const { stopReason, seconds } = trained;
    if (stopReason === 'stopped' || stopReason === 'max-seconds') {
      return { stopReason: 'stopped', seconds };
    }
    return { seed, ...trained, stopReason };
  } catch (error) {
    if ((error as DistillError).code !== 'ERR_NOT_FINITE') throw error;
    const best = log.epochs.findLast(({ saved }) => saved) ?? null;
    const last = log.epochs.at(-1) ?? null;
    return { seed, ...trainedOf('not-finite', { best, last, keptBy: NOBODY }, log) };
  }
}

/**
 * Puts together the part of the result that such runs have in common.
 *
 * @param given.trials All trials so far, one that was stopped included.
 * @param given.total The run's seconds so far.
 */
export function trialsResult(
  { setup, teacher, preparation }: StudentSession,
  options: CheckedTrialsOptions,
  given: {
    stopReason: TrialsResult['stopReason'];
    trials: readonly (Trial | StoppedTrial)[];
    outputs: TrialsOutputs;
    total: number;
  },
): TrialsResult {
  const { epochs, width, batchSize, shuffle, sampler, classWeights, monitor, seeds } = options;
  const { architecture, dropRate } = recordedStudent(options);
  const { schedule, warmup } = scheduleOf(options);
  const { mean, std, imageSize, ...steps } = recordedPreprocessing(teacher.preprocessing);
  const sum = (phase: 'train' | 'validate') =>
    given.trials.reduce((total, { seconds }) => total + seconds[phase], 0);
  return {
    stopReason: given.stopReason,
    seeds: [...seeds],
    student: given.outputs.student?.file ?? null,
    options: {
      epochs,
      schedule,
      warmup,
      dropRate,
      batchSize,
      shuffle,
      ...recordedOptions(distillOptions, { architecture, width, classWeights, sampler }),
      monitor,
      imageSize,
      mean,
      std,
      ...steps,
    },
    teacher: teacher.provenance,
    ...setup,
    seconds: {
      prepare: preparation?.seconds ?? 0,
      train: sum('train'),
      validate: sum('validate'),
      total: given.total,
    },
    versions: madeWith(),
  };
}

/** Warns once where trials had a more accurate epoch than the one that counts. */
export function warnOfMoreAccurate(
  { monitor }: CheckedTrialsOptions,
  trials: readonly (Trial | StoppedTrial)[],
  task: TaskContext<CommonEvents>,
): void {
  const affected = trials.filter(
    (trial) =>
      trial.stopReason !== 'stopped' && trial.stopReason !== 'not-finite' && trial.moreAccurate,
  );
  if (monitor !== 'accuracy-and-loss' || affected.length === 0) return;
  const message = `In ${affected.length} of ${trials.length} trainings an epoch was more accurate than the one that counts, whose loss is less; to count the most accurate, set \`monitor\` to 'accuracy'.`;
  task.report('warning', { code: 'WARN_BETTER_EPOCH', message });
}

/** Writes the result as it is now, where a file was asked for. */
export async function saveResult({ out }: TrialsOutputs, result: TrialsResult): Promise<void> {
  if (!out) return;
  await writeOutput(out, new TextEncoder().encode(`${JSON.stringify(result, null, 2)}\n`));
}

/** Copies a trial's student to the file of the best one, where that was asked for. */
export async function keepStudent({ student }: TrialsOutputs, file: string): Promise<void> {
  if (student) await writeOutput(student, await readFile(file, { limit: LARGEST_STUDENT }));
}

/** The limit for a student's file, which this package has just written; far above its size. Bytes. */
const LARGEST_STUDENT = 1e9;
