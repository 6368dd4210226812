import path from 'node:path';
import type { OutputFile } from './model/output.js';
import { checkOptions } from './options/check.js';
import { type CheckedOptions, type DistillOptions, distillOptions } from './options/distill.js';
import type { TrainingEvents } from './run/events.js';
import type { DistillResult } from './run/reports.js';
import { Run, type TrainingRun } from './run/run.js';
import { sessionTask, type TaskContext } from './run/task.js';
import { keptTraining, RunFolder, secondsOf } from './run-folder/folder.js';
import { warnOfKept } from './training/kept.js';
import { type Hyperparameters, prepareStudents } from './training/prepare.js';
import { trainStudent } from './training/student.js';
import { drawSeed, reportTo, trainingResult } from './training/train.js';

/** The run that `distill()` returns. */
export type DistillRun = TrainingRun<DistillResult>;

/**
 * Distils a trained network into a small CNN (430,000 parameters), or another student, on a folder of pictures.
 *
 * The teacher answers for every training picture once; from then on only the student runs. It learns
 * from `alpha · T² · KL(teacher ‖ student) + (1 - alpha) · CE(labels, student)` (Hinton, Vinyals and
 * Dean 2015) by Adam. Whenever validation accuracy *and* loss both improve it is saved, atomically, as
 * a `.pth` that PyTorch loads (or safetensors) and that carries classes, mean, std and image size.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `initial`, `epoch`, `best` and
 * `warning`, and an async iterable of epoch reports.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const result = await distill({ teacher, student, dataset, mean, std })
 *   .on('epoch', ({ epoch, valAccuracy }) => console.log(epoch, valAccuracy));
 */
export function distill(options: DistillOptions): DistillRun {
  return new Run(
    sessionTask(() => checkOptions(distillOptions, options), work),
    'epoch',
  );
}

async function work(
  options: CheckedOptions,
  task: TaskContext<TrainingEvents>,
): Promise<DistillResult> {
  const student = path.resolve(options.student);
  const { lr, temperature, alpha, monitor, overwrite } = options;
  const output: OutputFile = { option: 'student', file: student, kind: 'student', overwrite };
  const agreement = monitor === 'agreement';
  const drawn = options.seed ?? drawSeed();
  const begun = { call: 'distill', schema: distillOptions, seed: drawn } as const;
  const folder = await RunFolder.open(options, begun, task);
  const seed = folder?.seed ?? drawn;
  const session = await prepareStudents(
    options,
    { outputs: [output], answersVal: agreement, folder },
    task,
  );

  const hyperparameters: Hyperparameters = { lr, temperature, alpha, seed };
  const kept = await keptTraining(folder, student, task);
  const trained = await trainStudent(
    session,
    options,
    hyperparameters,
    { student, agreement, kept },
    reportTo(task, student),
  );

  const total = secondsOf(folder, task);
  const result = trainingResult(session, trained, { seed, monitor, total });
  warnOfKept(result, { monitor, file: student }, task);
  return { ...result, student, ...session.studentNetwork };
}
