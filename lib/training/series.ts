import { closeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { scheduleOf } from '../checks.js';
import { DistillError } from '../errors.js';
import { readFile } from '../files.js';
import { madeWith } from '../model/metadata.js';
import { type Kind, type OutputFile, refuseSource, writeOutput } from '../model/output.js';
import { loadAddon, native } from '../native.js';
import { byMerit, keptOf, meritOf, moreAccurate } from './kept.js';
import { type MeanStd, meanStdOf } from './mean-std.js';
import type {
  CommonEvents,
  EpochReport,
  InitialReport,
  Reporter,
  RunSetup,
  TrainingProgress,
} from './run.js';
import {
  type Settings,
  type SharedOptions,
  type StudentGround,
  StudentTraining,
} from './student-training.js';
import type { Listener } from './training.js';

/** Where a run of several trainings stands: the trial from 1 (0 while it prepares), and where that one stands. */
export interface TrialsProgress extends TrainingProgress {
  trial: number;
  trials: number;
}

/** Events of a run of several trainings. */
export interface TrialsEvents extends CommonEvents {
  /** An epoch, and which training it is of. */
  epoch: [EpochReport & Settings];
}

/** One training among several. */
export interface Trial {
  seed: number;
  /** Why it ended, as in a distillation's result; 'not-finite': its loss was no longer a finite number. */
  stopReason: 'completed' | 'early-stop' | 'not-finite';
  /** The epoch whose student `distill()` would have kept, by the same `keep`; `null` where there is none. */
  best: EpochReport | null;
  /** The student that it started from, where one was given; it counts where no epoch was better. */
  initial: InitialReport | null;
  /** The most accurate epoch, where it is more accurate than the student that counts. */
  moreAccurate: EpochReport | null;
  /** The last epoch that ended. */
  last: EpochReport | null;
  /** Epochs run to their end. */
  epochs: number;
  seconds: { train: number; validate: number };
}

/** What a run of several trainings came to. */
export interface TrialsResult extends RunSetup {
  /** Whether all trainings were done, or `stop()` was called. */
  stopReason: 'completed' | 'stopped';
  seeds: number[];
  /** What all trainings shared. */
  options: Record<string, unknown>;
  /** Whose answers were learnt: file, architecture and SHA-256. */
  teacher: Record<string, unknown>;
  /** The file of the best student, where it was asked for. */
  student: string | null;
  /** Seconds by phase, summed over the trainings' epochs; `prepare` is decoding and the teacher, once. */
  seconds: { prepare: number; train: number; validate: number; total: number };
  /** Of node-distill, LibTorch and Node. */
  versions: Record<string, string>;
}

/** Means and spreads over seeds, on the validation pictures. */
export interface Scores {
  /** The share of pictures whose class is right, 0..1. */
  accuracy: MeanStd;
  /** Plain cross entropy. */
  loss: MeanStd;
  /** The share of pictures for which student and teacher say the same class; where it was asked for. */
  agreement?: MeanStd;
}

/** What trainings that differ in their seed came to. */
export interface SeedSummary {
  /** By seed. */
  trials: Trial[];
  /** Of the trials' best epochs; trials that left the finite numbers do not count. `null` where none counts. */
  best: Scores | null;
  /** Of the trials' last epochs. */
  last: Scores | null;
  /** Runs that left the finite numbers. */
  notFinite: number;
}

export function summarizeSeeds(trials: Trial[]): SeedSummary {
  const finite = trials.filter(({ stopReason }) => stopReason !== 'not-finite');
  const scores = (epochs: (EpochReport | InitialReport | null)[]): Scores | null => {
    const reports = epochs.filter((report) => report !== null);
    if (reports.length === 0) return null;
    const agreements = reports.flatMap(({ valAgreement = [] }) => valAgreement);
    return {
      accuracy: meanStdOf(reports.map(({ valAccuracy }) => valAccuracy)),
      loss: meanStdOf(reports.map(({ valLoss }) => valLoss)),
      ...(agreements.length > 0 && { agreement: meanStdOf(agreements) }),
    };
  };
  return {
    trials,
    best: scores(finite.map(keptOf)),
    last: scores(finite.map(({ last }) => last)),
    notFinite: trials.length - finite.length,
  };
}

/** The run whose best epoch is the best; those that left the finite numbers do not count. */
export function bestTrialOf(trials: readonly Trial[]): Trial | undefined {
  const merits = trials.flatMap((run) => {
    const kept = keptOf(run);
    return kept && run.stopReason !== 'not-finite' ? { run, ...meritOf(kept) } : [];
  });
  return merits.sort(byMerit)[0]?.run;
}

/** The checked options of a series. */
type CheckedOptions = SharedOptions & {
  seeds: readonly number[];
  student?: string | undefined;
  out?: string | undefined;
};

/** A series whose trainings can begin. */
export interface Lesson<Options, Result, Events> {
  ground: StudentGround;
  options: Options;
  run: Reporter<Events>;
  /** Is filled in as the trainings go. */
  result: Result;
  /** For files that nobody asked for: gone afterwards. */
  folder: string;
  /** Makes a file of that folder the student that is kept, where one was asked for. */
  keepStudent: (file: string) => Promise<void>;
  /** Writes the result as it is now, where a file was asked for. */
  save: () => Promise<void>;
}

/** The course of several trainings on one store. */
export abstract class Series<
  Options extends CheckedOptions,
  Result extends TrialsResult,
  Events extends TrialsEvents,
> extends StudentTraining<Options, Result, Events, TrialsProgress> {
  #trial = 0;
  #trials = 0;
  /** Trainings of which a more accurate epoch was passed over. */
  #moreAccurate = 0;

  /** How many trainings there are to be, whether the teacher answers for the validation pictures as well, and what `out` is. */
  protected abstract plan(options: Options): {
    trials: number;
    val: boolean;
    kind: 'sweep' | 'comparison';
  };
  /** The result of nothing yet. */
  protected abstract begin(options: Options, result: TrialsResult): Result;
  /** Does the trainings, and tells whether all were done. */
  protected abstract trainAll(lesson: Lesson<Options, Result, Events>): Promise<boolean>;

  progress(): TrialsProgress {
    return { trial: this.#trial, trials: this.#trials, ...this.standing };
  }

  protected async work(options: Options, run: Reporter<Events>): Promise<Result> {
    const { trials, val, kind } = this.plan(options);
    this.#trials = trials;
    const outputOf = (option: 'student' | 'out', kind: Kind): OutputFile | null => {
      const file = options[option];
      return file === undefined
        ? null
        : { option, file: path.resolve(file), kind, overwrite: options.overwrite };
    };
    const student = outputOf('student', 'student');
    const out = outputOf('out', kind);
    await refuseSameFile({ ...options, student: student?.file, out: out?.file });
    const outputs = [student, out].filter((output) => output !== null);
    const ground = await this.prepare(options, run, outputs, { val });

    const { epochs, dropRate, batchSize, shuffle, keep, seeds } = options;
    const seconds = { prepare: ground.seconds, train: 0, validate: 0, total: 0 };
    const result = this.begin(options, {
      ...{ stopReason: 'stopped', seeds: [...seeds], student: student?.file ?? null },
      options: {
        ...{ epochs, ...scheduleOf(options), dropRate, batchSize, shuffle, keep },
        ...ground.teacher.preprocessing,
      },
      teacher: ground.teacher.said,
      ...ground.found,
      ...{ seconds, versions: madeWith() },
    });
    const save = async () => {
      seconds.total = this.elapsed;
      if (out) await writeOutput(out, encode(result));
    };
    const keepStudent = async (file: string) => {
      if (student) await writeOutput(student, await readFile(file, { limit: LARGEST_STUDENT }));
    };
    const isDone =
      ground.isFull &&
      (await withTemporaryFolder((folder) =>
        this.trainAll({ ground, options, run, result, folder, keepStudent, save }),
      ));
    if (options.keep === 'both') this.#tellPassedOver(run);
    if (isDone) {
      result.stopReason = 'completed';
      await save();
    } else {
      seconds.total = this.elapsed;
    }
    return result;
  }

  #tellPassedOver(run: Reporter<CommonEvents>): void {
    if (this.#moreAccurate === 0) return;
    const message = `In ${this.#moreAccurate} of ${this.#trial} trainings an epoch was more accurate than the one that counts, whose loss is less; to count the most accurate, set \`keep\` to 'accuracy'.`;
    run.report('warning', { code: 'WARN_BETTER_EPOCH', message });
  }

  /**
   * One training. That its loss leaves the finite numbers is a result, too.
   *
   * @param given As for `trainStudent`.
   * @returns `null` where it was stopped.
   */
  protected async attempt(
    { ground, options, run, result }: Lesson<Options, Result, TrialsEvents>,
    settings: Settings,
    given: { student?: string | undefined; agreement?: boolean },
  ): Promise<Trial | null> {
    this.#trial += 1;
    const { temperature, alpha, lr, seed } = settings;
    const reports: EpochReport[] = [];
    let initial: InitialReport | null = null;
    const listener: Listener = {
      initial(report) {
        initial = report;
        result.seconds.validate += report.valSeconds;
      },
      epoch(report) {
        reports.push(report);
        result.seconds.train += report.trainSeconds;
        result.seconds.validate += report.valSeconds;
        run.report('epoch', { ...report, temperature, alpha, lr, seed });
      },
    };
    try {
      const trained = await this.trainStudent(ground, options, settings, given, listener);
      const { stopReason, ...rest } = trained;
      if (stopReason === 'stopped') return null;
      if (rest.moreAccurate) this.#moreAccurate += 1;
      return { seed, stopReason, ...rest };
    } catch (error) {
      if ((error as DistillError).code !== 'ERR_NOT_FINITE') throw error;
      const sum = (seconds: (report: EpochReport) => number) =>
        reports.reduce((total, report) => total + seconds(report), 0);
      const best = reports.findLast(({ saved }) => saved) ?? null;
      return {
        ...{ seed, stopReason: 'not-finite', epochs: reports.length },
        best,
        initial,
        moreAccurate: moreAccurate(reports, keptOf({ best, initial })),
        last: reports.at(-1) ?? null,
        seconds: { train: sum((r) => r.trainSeconds), validate: sum((r) => r.valSeconds) },
      };
    }
  }
}

/** No file may be written over another of the run's. */
async function refuseSameFile({
  student,
  out,
  initialStudent,
}: {
  [option in 'student' | 'out' | 'initialStudent']?: string | undefined;
}): Promise<void> {
  if (out === undefined) return;
  if (out === student) {
    throw new DistillError(
      'ERR_OPTION',
      `\`out\` and \`student\` are the same file '${out}'; name another for one of them.`,
    );
  }
  if (initialStudent !== undefined) await refuseSource('student', initialStudent, 'out', out);
}

/** Gives `work` a folder of its own among the system's temporary ones, which is gone afterwards. */
async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await native(loadAddon().makeTemporaryFolder(os.tmpdir()));
  try {
    return await work(folder.path);
  } finally {
    await rm(folder.path, { recursive: true, force: true });
    closeSync(folder.lock);
  }
}

/** Far above a student's file, which this package has just written. Bytes. */
const LARGEST_STUDENT = 1e9;

function encode(result: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(result, null, 2)}\n`);
}
