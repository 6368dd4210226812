import path from 'node:path';
import { native } from './addon.js';
import { checkLabelled, checkSeveral, samplerOf, scheduleOf } from './checks.js';
import { augmentationOf } from './data/augmentation.js';
import { DistillError } from './errors.js';
import type { OutputFile } from './model/output.js';
import { checkOptions } from './options/check.js';
import { type CheckedTeachOptions, type TeachOptions, teachOptions } from './options/teach.js';
import type { TrainingEvents } from './run/events.js';
import type { TeachResult } from './run/reports.js';
import { Run, type TrainingRun } from './run/run.js';
import { sessionTask, type TaskContext } from './run/task.js';
import { keptTraining, RunFolder, secondsOf } from './run-folder/folder.js';
import { warnOfKept } from './training/kept.js';
import { findDataset, warnOfSmallCrop } from './training/prepare.js';
import { fillStore, openSession } from './training/session.js';
import { readInitialTeacher, TEACH_AUGMENTATIONS, trainTeacher } from './training/teacher.js';
import { drawSeed, reportTo, trainingResult } from './training/train.js';

/** The run that `teach()` returns. */
export type TeachRun = TrainingRun<TeachResult>;

/**
 * Trains a DenseNet, or another `architecture`, on a folder of pictures: a teacher for `distill()`.
 *
 * It learns from the labels by cross entropy and AdamW, from fresh weights (those of `torch.manual_seed(seed)` and
 * torchvision's constructor) or from others, such as torchvision's for ImageNet. Whenever validation accuracy
 * improves, or at the same accuracy the loss, it is saved, atomically, as a file that PyTorch loads into torchvision's
 * model and that carries classes, mean, std and image size: `distill()` needs none of these then. All epochs are run.
 *
 * @returns At once, a run: awaitable, an emitter of `dataset`, `prepare`, `initial`, `epoch`, `best` and
 * `warning`, and an async iterable of epoch reports.
 * @throws Nothing itself; the run rejects with a `DistillError`.
 *
 * @example
 * const { best } = await teach({ teacher: 'teacher.pth', dataset: 'photos/', weights: 'densenet121-a639ec97.pth' });
 */
export function teach(options: TeachOptions): TeachRun {
  return new Run(
    sessionTask(() => check(options), work),
    'epoch',
  );
}

/** Checks the options, also against each other: some mean nothing together. */
function check(given: TeachOptions): CheckedTeachOptions {
  const options = checkOptions(teachOptions, given);
  const { optimizer, weightDecay, weights, freezeEpochs } = options;
  if (optimizer === 'adam' && weightDecay) {
    throw new DistillError(
      'ERR_OPTION',
      "The `optimizer` 'adam' has no `weightDecay`; leave it out, or take 'adamw'.",
    );
  }
  if (options.teacher.endsWith('.pt2') && options.architecture?.startsWith('densenet') !== false) {
    throw new DistillError(
      'ERR_OPTION',
      'A `teacher` is written as .pth or .safetensors: no graph of a DenseNet is known that a .pt2 could hold.',
    );
  }
  scheduleOf(options);
  samplerOf(options);
  if (freezeEpochs > 0 && weights === undefined) {
    throw new DistillError(
      'ERR_OPTION',
      '`freezeEpochs` keeps features that are trained already as they are; it needs `weights`.',
    );
  }
  return options;
}

async function work(
  options: CheckedTeachOptions,
  task: TaskContext<TrainingEvents>,
): Promise<TeachResult> {
  const teacher = path.resolve(options.teacher);
  const { weights, monitor, overwrite } = options;
  const output: OutputFile = { option: 'teacher', file: teacher, kind: 'teacher', overwrite };
  const source = weights === undefined ? null : ({ model: 'model', file: weights } as const);
  const drawn = options.seed ?? drawSeed();
  const begun = { call: 'teach', schema: teachOptions, seed: drawn } as const;
  const folder = await RunFolder.open(options, begun, task);
  const seed = folder?.seed ?? drawn;
  const dataset = await findDataset(options, [output], source, task);
  checkSeveral(dataset.classes, dataset.train.root);
  checkLabelled(dataset.train, 'which a teacher is trained by');

  const initial = await readInitialTeacher(options, dataset.classes, task);
  const { preprocessing, architecture } = initial;
  const { augment = TEACH_AUGMENTATIONS } = options;
  const augmentation = augmentationOf({ ...options, augment, preprocessing });
  const { storeSize } = augmentation;
  await warnOfSmallCrop(dataset, preprocessing, options, task);
  const opened = await openSession(options, preprocessing, task);
  // A fault of the file's tensors is reported before the pictures are decoded.
  if (weights !== undefined) await native(opened.native.loadTeacher(weights, options.averaged));
  const { device, precision } = opened;
  await folder?.confirm({ dataset, teacher: initial.sha256, device, precision }, options.threads);
  const contents = { preprocessing, storeSize, views: null, teacher: null };
  const session = await fillStore(opened, dataset, contents, options, folder, task);

  const kept = await keptTraining(folder, teacher, task);
  const trained = await trainTeacher(
    session,
    options,
    { initial, augmentation, seed, file: teacher, kept },
    reportTo(task, teacher),
  );

  const total = secondsOf(folder, task);
  const result = trainingResult(session, trained, { seed, monitor, total });
  warnOfKept(result, { monitor, file: teacher }, task);
  return { ...result, teacher, architecture };
}
