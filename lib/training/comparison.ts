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
import { type MeanStd, meanStdOf } from './mean-std.js';
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

/** Students that learnt in the same way, and what they came to. */
export interface CompareArm extends SeedSummary {
  temperature: number;
  /** 0 without a teacher. */
  alpha: number;
  lr: number;
}

/** What a comparison came to. Accuracies, losses and agreements are of the validation pictures. */
export interface CompareResult extends TrialsResult {
  withTeacher: CompareArm;
  withoutTeacher: CompareArm;
  /**
   * What the teacher changed, by seed: the best epoch's value with it minus that without it. Positive is better for
   * accuracy, negative for loss. `null` where no seed has both.
   */
  gain: { accuracy: MeanStd; loss: MeanStd } | null;
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
export interface CompareEvents extends TrialsEvents {
  /** A training that is done. */
  trial: [Trial & { withTeacher: boolean }];
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
    return { trials: 2 * seeds.length, val: true, kind: 'comparison' } as const;
  }

  protected begin(options: CheckedCompareOptions, result: TrialsResult): CompareResult {
    const { temperature, alpha, lr } = options;
    const arm = (alpha: number): CompareArm => ({ temperature, alpha, lr, ...summarizeSeeds([]) });
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
        Object.assign(arm, summarizeSeeds([...arm.trials, done]));
        if (isTaught && bestTrialOf(arm.trials) === done) await keepStudent(fileOf(done));
        result.gain = gainOf(withTeacher.trials, withoutTeacher.trials);
        await save();
        run.report('trial', { ...done, withTeacher: isTaught });
      }
    }
    await this.#measure(lesson, fileOf);
    return true;
  }

  async #measure(
    { ground, options, result }: Lesson<CheckedCompareOptions, CompareResult, CompareEvents>,
    fileOf: (run: Trial) => string,
  ): Promise<void> {
    const { threads = 0, teacher } = options;
    const { device, precision } = result;
    const { preprocessing } = ground.teacher;
    const execution = { device, precision, threads };
    const best = bestTrialOf(result.withTeacher.trials);
    result.costs = {
      teacher: teacher === undefined ? null : await costOf(teacher, preprocessing, execution),
      student: best ? await costOf(fileOf(best), preprocessing, execution) : null,
    };
  }
}

function gainOf(taught: Trial[], alone: Trial[]): CompareResult['gain'] {
  const pairs = taught.flatMap((a) => {
    const b = alone.find(({ seed }) => seed === a.seed);
    const isLost = a.stopReason === 'not-finite' || b?.stopReason === 'not-finite';
    const kept = [keptOf(a), b ? keptOf(b) : null] as const;
    return !isLost && kept[0] && kept[1] ? [[kept[0], kept[1]] as const] : [];
  });
  if (pairs.length === 0) return null;
  return {
    accuracy: meanStdOf(pairs.map(([a, b]) => a.valAccuracy - b.valAccuracy)),
    loss: meanStdOf(pairs.map(([a, b]) => a.valLoss - b.valLoss)),
  };
}
