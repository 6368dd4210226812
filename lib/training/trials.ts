import { closeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadAddon, native } from '../addon.js';
import { scheduleOf } from '../checks.js';
import { DistillError } from '../errors.js';
import { readFile } from '../files.js';
import { madeWith, recordedPreprocessing } from '../model/metadata.js';
import { type Kind, type OutputFile, refuseSource, writeOutput } from '../model/output.js';
import { distillOptions } from '../options/distill.js';
import { recordedOptions } from '../options/option.js';
import type { CommonEvents, TrainingProgress } from '../run/events.js';
import type { EpochReport, InitialReport, RunSetup } from '../run/reports.js';
import type { RunTask } from '../run/run.js';
import { sessionTask, type TaskContext } from '../run/task.js';
import type { Hyperparameters, StudentOptions, StudentSession } from './prepare.js';
import type { Trial } from './seeds.js';
import { recordedStudent, trainStudent } from './student.js';
import { type TrainingListener, trainedOf } from './train.js';

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
 * Trains one student among several. A loss that becomes infinite or NaN is a result, too.
 *
 * @param given As for {@link trainStudent}.
 */
export async function runTrial(
  session: StudentSession,
  options: StudentOptions,
  hyperparameters: Hyperparameters,
  given: { student: string | null; agreement: boolean },
  task: TrialsContext<TrialsEvents>,
): Promise<Trial | StoppedTrial> {
  task.counter.trial += 1;
  const { temperature, alpha, lr, seed } = hyperparameters;
  const epochs: EpochReport[] = [];
  let initial: InitialReport | null = null;
  const listener: TrainingListener = {
    initial(report) {
      initial = report;
    },
    epoch(report) {
      epochs.push(report);
      task.report('epoch', { ...report, temperature, alpha, lr, seed });
    },
  };
  try {
    const trained = await trainStudent(session, options, hyperparameters, given, listener);
    const { stopReason, seconds } = trained;
    return stopReason === 'stopped' ? { stopReason, seconds } : { seed, ...trained, stopReason };
  } catch (error) {
    if ((error as DistillError).code !== 'ERR_NOT_FINITE') throw error;
    const best = epochs.findLast(({ saved }) => saved) ?? null;
    const last = epochs.at(-1) ?? null;
    return { seed, ...trainedOf('not-finite', { best, last }, { initial, epochs }) };
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
  const { epochs, width, batchSize, shuffle, sampler, classWeights, keep, seeds } = options;
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
      keep,
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
  { keep }: CheckedTrialsOptions,
  trials: readonly (Trial | StoppedTrial)[],
  task: TaskContext<CommonEvents>,
): void {
  const affected = trials.filter(
    (trial) =>
      trial.stopReason !== 'stopped' && trial.stopReason !== 'not-finite' && trial.moreAccurate,
  );
  if (keep !== 'both' || affected.length === 0) return;
  const message = `In ${affected.length} of ${trials.length} trainings an epoch was more accurate than the one that counts, whose loss is less; to count the most accurate, set \`keep\` to 'accuracy'.`;
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

/** Gives `work` a folder of its own among the system's temporary ones, which is removed afterwards. */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await native(loadAddon().makeTemporaryFolder(os.tmpdir()));
  try {
    return await work(folder.path);
  } finally {
    // What cannot be removed is a leftover: the next run removes it, and this one's result or error is what counts.
    await rm(folder.path, { recursive: true, force: true }).catch(() => {});
    closeSync(folder.lock);
  }
}
