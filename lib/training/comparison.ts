import os from 'node:os';
import path from 'node:path';
import { costOf, type ModelCost } from '../model/cost.js';
import { native } from '../native.js';
import { checkOptions } from '../options/check.js';
import {
  type CheckedCompareOptions,
  type CompareOptions,
  compareOptions,
} from '../options/compare.js';
import { keptOf } from './kept.js';
import {
  bestRunOf,
  type Lesson,
  Series,
  type SeriesEvents,
  type SeriesResult,
  type Standing,
  type StudentRun,
  standingOf,
} from './series.js';
import { type Spread, spreadOf } from './spread.js';

/** Students that learnt in the same way, and what they came to. */
export interface CompareArm extends Standing {
  temperature: number;
  /** 0 without a teacher. */
  alpha: number;
  lr: number;
}

/** What a comparison came to. Accuracies, losses and agreements are of the validation pictures. */
export interface CompareResult extends SeriesResult {
  withTeacher: CompareArm;
  withoutTeacher: CompareArm;
  /**
   * What the teacher changed, by seed: the best epoch's value with it minus that without it. Positive is better for
   * accuracy, negative for loss. `null` where no seed has both.
   */
  gain: { accuracy: Spread; loss: Spread } | null;
  /** The teacher's own; `null` where the run was stopped before it had answered. */
  teacherScores: { accuracy: number; loss: number } | null;
  /**
   * What the teacher and its best student take to keep and to ask. `null` for a teacher that is given by its logits, and
   * where the run was stopped before.
   */
  costs: { teacher: ModelCost | null; student: ModelCost | null };
  /** What it was measured on. */
  machine: { cpu: string; cores: number };
}

/** Events of `compare()`. */
export interface CompareEvents extends SeriesEvents {
  /** A training that is done. */
  training: [StudentRun & { withTeacher: boolean }];
}

/** The course of one comparison. */
export class Comparison extends Series<CheckedCompareOptions, CompareResult, CompareEvents> {
  readonly #given: CompareOptions;

  constructor(options: CompareOptions) {
    super();
    this.#given = options;
  }

  protected check(): CheckedCompareOptions {
    return checkOptions(compareOptions, this.#given);
  }

  protected plan({ seeds }: CheckedCompareOptions) {
    return { trainings: 2 * seeds.length, val: true, kind: 'comparison' } as const;
  }

  protected begin(options: CheckedCompareOptions, result: SeriesResult): CompareResult {
    const { temperature, alpha, lr } = options;
    const arm = (alpha: number): CompareArm => ({ temperature, alpha, lr, ...standingOf([]) });
    return {
      ...result,
      ...{ withTeacher: arm(alpha), withoutTeacher: arm(0), gain: null, teacherScores: null },
      costs: { teacher: null, student: null },
      machine: { cpu: os.cpus()[0]?.model ?? 'unknown', cores: os.availableParallelism() },
    };
  }

  protected async trainAll(
    lesson: Lesson<CheckedCompareOptions, CompareResult, CompareEvents>,
  ): Promise<boolean> {
    const { ground, options, run, result, folder, keepStudent, save } = lesson;
    const { student, withTeacher, withoutTeacher } = result;
    const { loss, accuracy } = await native(ground.session.validateTeacher('val'));
    result.teacherScores = { loss, accuracy };
    const fileOf = ({ seed }: { seed: number }) =>
      path.join(folder, `${seed}-${path.basename(student ?? 'student.pth')}`);
    for (const seed of options.seeds) {
      for (const arm of [withTeacher, withoutTeacher]) {
        const { temperature, alpha, lr } = arm;
        const isTaught = arm === withTeacher;
        const done = await this.attempt(
          lesson,
          { temperature, alpha, lr, seed },
          { agreement: true, ...(isTaught && { student: fileOf({ seed }) }) },
        );
        if (!done) return false;
        Object.assign(arm, standingOf([...arm.runs, done]));
        if (isTaught && bestRunOf(arm.runs) === done) await keepStudent(fileOf(done));
        result.gain = gainOf(withTeacher.runs, withoutTeacher.runs);
        await save();
        run.report('training', { ...done, withTeacher: isTaught });
      }
    }
    await this.#measure(lesson, fileOf);
    return true;
  }

  async #measure(
    { ground, options, result }: Lesson<CheckedCompareOptions, CompareResult, CompareEvents>,
    fileOf: (run: StudentRun) => string,
  ): Promise<void> {
    const { threads = 0, teacher } = options;
    const { device, precision } = result;
    const use = { ...ground.teacher.use, threads, device, precision };
    const best = bestRunOf(result.withTeacher.runs);
    result.costs = {
      teacher: teacher === undefined ? null : await costOf(teacher, use),
      student: best ? await costOf(fileOf(best), use) : null,
    };
  }
}

function gainOf(taught: StudentRun[], alone: StudentRun[]): CompareResult['gain'] {
  const pairs = taught.flatMap((a) => {
    const b = alone.find(({ seed }) => seed === a.seed);
    const isLost = a.reason === 'not-finite' || b?.reason === 'not-finite';
    const kept = [keptOf(a), b ? keptOf(b) : null] as const;
    return !isLost && kept[0] && kept[1] ? [[kept[0], kept[1]] as const] : [];
  });
  if (pairs.length === 0) return null;
  return {
    accuracy: spreadOf(pairs.map(([a, b]) => a.valAccuracy - b.valAccuracy)),
    loss: spreadOf(pairs.map(([a, b]) => a.valLoss - b.valLoss)),
  };
}
