import path from 'node:path';
import { checkOptions } from '../options/check.js';
import { type CheckedOptions, type DistillOptions, distillOptions } from '../options/distill.js';
import { tellKept } from './kept.js';
import type { DistillResult, Reporter, TrainingEvents, TrainingProgress } from './run.js';
import { StudentTraining } from './student-training.js';
import { drawSeed, listenerOf } from './training.js';

/** The course of one distillation. */
export class Distillation extends StudentTraining<
  CheckedOptions,
  DistillResult,
  TrainingEvents,
  TrainingProgress
> {
  readonly #given: DistillOptions;

  constructor(options: DistillOptions) {
    super();
    this.#given = options;
  }

  progress(): TrainingProgress {
    return this.standing;
  }

  protected check(): CheckedOptions {
    return checkOptions(distillOptions, this.#given);
  }

  protected async work(
    options: CheckedOptions,
    run: Reporter<TrainingEvents>,
  ): Promise<DistillResult> {
    const student = path.resolve(options.student);
    const { overwrite } = options;
    const output = { option: 'student', file: student, kind: 'student', overwrite } as const;
    const ground = await this.prepare(options, run, [output]);
    const { lr, temperature, alpha, seed = drawSeed() } = options;
    const settings = { lr, temperature, alpha, seed };
    const listener = listenerOf(run, student);
    const trained = await this.trainStudent(ground, options, settings, { student }, listener);
    const result = { ...this.resultOf(ground, trained, seed), student };
    tellKept(run, result, { keep: options.keep, file: student });
    return result;
  }
}
