import path from 'node:path';
import { type CheckedOptions, type DistillOptions, distillOptions } from '../options/distill.js';
import { checkOptions } from '../options/fields.js';
import type { DistillResult, Reporter, TrainingEvents, TrainingProgress } from './run.js';
import { StudentTraining } from './student-training.js';
import { drawSeed, tellEpoch } from './training.js';

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
    const ground = await this.prepare(options, run, { student });
    const { lr, temperature, alpha, seed = drawSeed() } = options;
    const settings = { lr, temperature, alpha, seed };
    const trained = await this.trainStudent(ground, options, settings, { student }, (report) =>
      tellEpoch(run, report, student),
    );
    const { best } = trained;
    if (best && !(best.valAccuracy > 0 && best.valLoss < 100)) {
      run.report('warning', {
        code: 'WARN_NO_IMPROVEMENT',
        message: 'no epoch did better than an untrained student; the last one is in the file',
        path: student,
      });
    }
    return { ...this.resultOf(ground, trained, seed), student };
  }
}
