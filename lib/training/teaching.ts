import path from 'node:path';
import { checkClasses, checkTeacher, scheduleOf } from '../checks.js';
import { augmentationOf } from '../data/augmentation.js';
import { DistillError } from '../errors.js';
import { sha256 } from '../files.js';
import { inspect } from '../model/inspect.js';
import { type ModelMetadata, madeWith } from '../model/metadata.js';
import type { Preprocessing } from '../model/preprocessing.js';
import { type NativeTeachConfig, native } from '../native.js';
import { checkOptions } from '../options/check.js';
import { type CheckedTeachOptions, type TeachOptions, teachOptions } from '../options/teach.js';
import { tellKept } from './kept.js';
import type { Reporter, TeachResult, TrainingEvents, TrainingProgress } from './run.js';
import { drawSeed, listenerOf, Training } from './training.js';

/** What torchvision's own weights were trained with, and most others are. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** The course of one teacher's training. */
export class Teaching extends Training<
  CheckedTeachOptions,
  TeachResult,
  TrainingEvents,
  TrainingProgress
> {
  readonly #given: TeachOptions;

  constructor(options: TeachOptions) {
    super();
    this.#given = options;
  }

  progress(): TrainingProgress {
    return this.standing;
  }

  protected check(): CheckedTeachOptions {
    const options = checkOptions(teachOptions, this.#given);
    refuseContradictions(options);
    return options;
  }

  protected async work(
    options: CheckedTeachOptions,
    run: Reporter<TrainingEvents>,
  ): Promise<TeachResult> {
    const teacher = path.resolve(options.teacher);
    const { weights: file } = options;
    const source = file === undefined ? null : ({ model: 'model', file } as const);
    const { overwrite } = options;
    const output = { option: 'teacher', file: teacher, kind: 'teacher', overwrite } as const;
    const dataset = await this.find(options, run, [output], source);
    const { classes, train } = dataset;
    checkClasses(classes, classes.length, teacher, train.root);

    const { architecture, keepHead, preprocessing, said } = await start(options, classes);
    const { mean, std, imageSize } = preprocessing;
    const { augment = ['crop', 'flip'] as const } = options;
    const { storeSize, by } = augmentationOf({ ...options, augment, imageSize });
    const ground = await this.open(options, preprocessing, dataset, run);
    // What is wrong with a file's tensors is told before the pictures are decoded.
    if (file !== undefined) await native(ground.session.loadTeacher(file));

    const { precision } = ground.found;
    const { seed = drawSeed() } = options;
    const { epochs, lr, batchSize, shuffle, optimizer } = options;
    const { labelSmoothing, freezeEpochs, cropScale } = options;
    const weightDecay = options.weightDecay ?? (optimizer === 'adamw' ? 0.01 : 0);
    const learning = {
      ...{ epochs, lr, ...scheduleOf(options), batchSize, shuffle, weightDecay, labelSmoothing },
      ...{ freezeEpochs, seed },
    };
    const metadata: ModelMetadata = {
      ...{ classes, mean, std, imageSize },
      options: { ...learning, optimizer, augment, storeSize, cropScale, precision },
      ...(said && { weights: said }),
      versions: madeWith(),
    };
    const pictures = { preprocessing, storeSize, views: null, teacher: null };
    await this.fill(ground, pictures, options, run);
    const config: NativeTeachConfig = {
      epochs: learning.epochs,
      lr: learning.lr,
      schedule: learning.schedule,
      warmup: learning.warmup,
      optimizer,
      weightDecay,
      loss: 'cross-entropy',
      labelSmoothing,
      batchSize,
      shuffle,
      seed,
      augment: by,
      keep: 'accuracy',
      earlyStop: false,
      freezeEpochs,
      architecture,
      keepHead,
      weights: options.weights ?? '',
      start: (keepHead && options.weights) || '',
      teacher,
      overwrite,
      metadata: JSON.stringify(metadata),
    };
    const trained = await this.train(
      ground,
      options,
      (onEpoch) => ground.session.teach(config, onEpoch),
      listenerOf(run, teacher),
    );
    const result = { ...this.resultOf(ground, trained, seed), teacher, architecture };
    tellKept(run, result, { keep: 'accuracy', file: teacher });
    return result;
  }
}

/** What a teacher starts from. */
async function start(
  options: CheckedTeachOptions,
  classes: string[],
): Promise<{
  architecture: string;
  /** Whether the last layer of the weights tells the dataset's classes apart. */
  keepHead: boolean;
  preprocessing: Preprocessing;
  /** What the teacher's file says of it. */
  said: Record<string, unknown> | null;
}> {
  const { weights, mean, std, imageSize } = options;
  const contents = weights === undefined ? null : await inspect(weights);
  const found = contents && checkTeacher(contents, 'weights').architecture;
  const { architecture = found ?? 'densenet121' } = options;
  if (found !== null && architecture !== found) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected a ${architecture} in '${weights}' (weights), but it holds a ${found}; leave \`architecture\` out to take what is there.`,
    );
  }
  const known = contents?.metadata;
  return {
    architecture,
    keepHead: JSON.stringify(known?.classes) === JSON.stringify(classes),
    preprocessing: {
      imageSize: imageSize ?? known?.imageSize ?? 224,
      mean: mean ?? known?.mean ?? IMAGENET.mean,
      std: std ?? known?.std ?? IMAGENET.std,
    },
    said:
      weights === undefined
        ? null
        : {
            file: path.basename(weights),
            architecture,
            sha256: await sha256(weights, options.signal),
          },
  };
}

/** Options that mean nothing together are a misunderstanding. */
function refuseContradictions(options: CheckedTeachOptions): void {
  const { optimizer, weightDecay, weights, freezeEpochs } = options;
  const refuse = (message: string) => {
    throw new DistillError('ERR_OPTION', message);
  };
  if (optimizer === 'adam' && weightDecay) {
    refuse("The `optimizer` 'adam' has no `weightDecay`; leave it out, or take 'adamw'.");
  }
  scheduleOf(options);
  if (freezeEpochs > 0 && weights === undefined) {
    refuse('`freezeEpochs` lets features rest that are good already; it needs `weights`.');
  }
}
