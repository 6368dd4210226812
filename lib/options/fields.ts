import { z } from 'zod';
import { isUnicode } from '../names.js';
import type { DistillWarning } from '../warnings.js';
import { bytes } from './bytes.js';
import { isPath, isPicture } from './hints.js';
import { option } from './option.js';

// Each field's description completes the sentence "Expected … for `name`".

const path = z.string().min(1).refine(isPath).describe('a path');
const file = option(path, { placeholder: 'file', path: true });
const folder = option(path, { placeholder: 'folder', path: true });

/** A number between two limits, chosen so that none is lost in float32. */
export const between = (low: number, high: number) =>
  z.number().min(low).max(high).describe(`a number in ${low}..${high}`);

/** A whole number between two limits. */
export const whole = (low: number, high: number) =>
  z.int().min(low).max(high).describe(`a whole number in ${low}..${high}`);

/** A number of pixels between two limits. */
export const pixels = (low: number, high: number) =>
  z.int().min(low).max(high).describe(`a whole number of pixels in ${low}..${high}`);

/** A number in [0, 1): a share that leaves something. */
export const partialShare = z.number().min(0).lt(1).describe('a number in [0, 1)');

/** One of several words. */
export const choice = <const Values extends readonly [string, ...string[]]>(...values: Values) =>
  z.enum(values).describe(alternatives(values.map((value) => `'${value}'`)));

/** True or false. */
export const yesOrNo = z.boolean().describe('true or false');

/** Returns words as a choice: `a, b or c`. */
export function alternatives(words: readonly string[]): string {
  return [words.slice(0, -1).join(', '), words.at(-1)].filter(Boolean).join(' or ');
}

/** A function that is called with news. */
export const callback = <T extends (...given: never[]) => void>() =>
  z.custom<T>((value) => typeof value === 'function').describe('a function');

/** Functions that several calls tell their news. */
export const reports = {
  onWarning: option(callback<(warning: DistillWarning) => void>().optional(), {
    synonyms: 'warning onWarn',
  }),
};

/** The most epochs: with the steps of each they can still be counted. */
const MOST_EPOCHS = 1e9;

/** Fields that several calls share. */
export const fields = {
  file,
  folder,
  /** A picture's file, whose name need not be UTF-8. */
  picture: z.string().min(1).refine(isPicture).describe('a path'),
  count: whole(1, MOST_EPOCHS),
  countOrNone: whole(0, MOST_EPOCHS),
  epochs: option(whole(1, MOST_EPOCHS), {
    help: 'passes over the training pictures, at most',
    synonyms: 'epoch numEpochs nEpochs maxEpochs',
    resume: 'told',
    recorded: 'always',
  }),
  batchSize: option(whole(1, 4096), {
    help: 'pictures per training step',
    synonyms: 'batch bs trainBatchSize perDeviceTrainBatchSize miniBatchSize',
    recorded: 'always',
  }),
  labels: option(
    z
      .union([
        file,
        z
          .array(
            z
              .string()
              .regex(/^[^\0]*$/)
              .refine(isUnicode),
          )
          .min(1)
          .readonly(),
      ])
      .describe('a path or a list of names'),
    {
      help: 'class names: a file with lines of index and name',
      placeholder: 'file',
      shown: "from the student's file",
      synonyms: 'label classes classNames labelNames labelsFile labelsPath names',
    },
  ),
  // A schedule goes down to a 250,000th of it, which float32 holds.
  lr: option(between(1e-30, 1), {
    help: "Adam's learning rate, or the largest of a schedule",
    placeholder: 'rate',
    synonyms: 'learningRate rate maxLr',
    recorded: 'always',
  }),
  // Logits are divided by it, and float32 holds them.
  temperature: option(between(0.01, 1000), {
    help: "softens both models' answers; greater is softer",
    placeholder: 't',
    synonyms: 'T temp tau softmaxTemperature kdTemperature',
    recorded: 'always',
  }),
  alpha: option(between(0, 1), {
    help: "weight of the teacher's term of the loss; the labels' term weighs 1 - alpha",
    placeholder: 'a',
    synonyms: 'lambda softWeight distillWeight distillationWeight kdWeight kdAlpha',
    recorded: 'always',
  }),
  seed: option(z.int().min(0).describe('a whole number in 0..2^53-1'), {
    help: 'makes the run repeatable',
    shown: 'drawn, and reported',
    synonyms: 'randomSeed manualSeed randomState',
    recorded: 'always',
  }),
  /** A file to write. */
  output: option(file, {
    help: 'the file to write',
    flag: '-o, --output',
    synonyms: 'out outFile outputFile outputPath file path target',
  }),
  overwrite: option(yesOrNo.default(false), {
    help: 'replace files that are there, whatever they are',
    flag: '--force',
    synonyms: 'force replace clobber yes',
    resume: 'apart',
  }),
  schedule: option(choice('one-cycle', 'cosine', 'constant'), {
    help: 'how the learning rate changes',
    placeholder: 'name',
    synonyms: 'scheduler lrScheduler lrSchedule policy',
    recorded: 'always',
  }),
};

const triple = (channel: z.ZodNumber) => z.tuple([channel, channel, channel]).readonly();

/** Options that say how a picture becomes a network's input. */
export const preprocessing = {
  mean: option(triple(z.number().min(0).max(1)).describe('three numbers in 0..1 (R, G, B)'), {
    help: 'means of red, green and blue, in 0..1',
    synonyms: 'means normMean imageMean',
  }),
  // A fortieth of a step of uint8: what it divides stays below 10,000, finite in float32 and bfloat16.
  std: option(triple(between(1e-4, 1)).describe('three numbers in 0.0001..1 (R, G, B)'), {
    help: 'standard deviations of red, green and blue',
    synonyms: 'stds stdev stddev standardDeviation normStd imageStd',
  }),
  imageSize: option(pixels(32, 4096), {
    help: 'side of the square centre crop, in pixels',
    placeholder: 'pixels',
    synonyms: 'size imgSize inputSize cropSize resolution pixels',
  }),
};

/** The filters that pictures are resized with, by Pillow's names. */
export const INTERPOLATIONS = ['bilinear', 'bicubic', 'lanczos', 'box', 'nearest'] as const;

const side = pixels(1, 65_536);
const both = (side: z.ZodNumber) => z.tuple([side, side]).readonly();
const margin = pixels(0, 4096);

/** Options that say how a picture becomes the square that a network sees. */
export const pixelSteps = {
  preprocess: option(z.string().min(1).refine(isPath).describe('a word or a path').optional(), {
    help: "how pictures are prepared: torchvision (resize 256, ImageNet's mean and std), none, or a file of timm, Hugging Face or torchvision",
    placeholder: 'recipe',
    shown: 'a file beside the model, if any',
    synonyms: 'recipe preprocessor preprocessing processor transforms dataConfig',
    path: (value) => !['torchvision', 'none'].includes(value),
  }),
  resize: option(
    z
      .union([side, both(side), z.literal(false)])
      .describe('a number of pixels in 1..65536, [height, width], or false')
      .optional(),
    {
      help: 'resize the shorter side to so many pixels before the crop, or to height and width: 256, or 224,224; or none',
      placeholder: 'pixels',
      synonyms: 'resizeSize shortestEdge shorterSide scaleSize resizeTo',
    },
  ),
  interpolation: option(choice(...INTERPOLATIONS).optional(), {
    help: 'the filter of resizing',
    placeholder: 'name',
    synonyms: 'resample resampling filter interpolationMode kernel',
  }),
  padding: option(
    z
      .union([margin, both(margin), z.tuple([margin, margin, margin, margin]).readonly()])
      .describe(
        'a number of pixels in 0..4096, two (across, down), or four (left, top, right, bottom)',
      )
      .optional(),
    {
      help: 'black pixels around a picture, after resizing and before the crop',
      placeholder: 'pixels',
      synonyms: 'pad border margin',
    },
  ),
  crop: option(yesOrNo.optional(), {
    help: 'take the resized picture whole: `resize` gives height and width',
    flag: '--no-crop',
    synonyms: 'centerCrop doCenterCrop cropping',
  }),
  exif: option(choice('ignore', 'apply').optional(), {
    help: 'turn pictures upright by their EXIF orientation, or not',
    placeholder: 'what',
    synonyms: 'exifTranspose autoOrient orientation rotate',
  }),
};

/** The same steps as a model's file holds them; it leaves out those that are the default ones. */
export const storedSteps = {
  exif: pixelSteps.exif,
  resize: z
    .union([side, both(side)])
    .describe('a number of pixels, or height and width')
    .optional(),
  interpolation: pixelSteps.interpolation,
  padding: z
    .tuple([margin, margin, margin, margin])
    .readonly()
    .describe('four numbers of pixels')
    .optional(),
  crop: pixelSteps.crop,
  cropRounding: choice('even', 'down').optional(),
};

/** Options that say where and how the work is done. */
export const execution = {
  device: option(
    z
      .string()
      .regex(/^(auto|cpu|cuda(:\d{1,2})?)$/)
      .describe("'auto', 'cpu', 'cuda' or 'cuda:N'")
      .default('auto'),
    {
      help: 'where to compute: auto, cpu, cuda or cuda:N',
      placeholder: 'name',
      synonyms: 'gpu cuda accelerator',
      resume: 'told',
    },
  ),
  precision: option(choice('fp32', 'bf16', 'auto').default('fp32'), {
    help: 'what convolutions compute in; auto is bf16 where that is faster',
    placeholder: 'type',
    synonyms: 'dtype amp bf16 fp16 half mixedPrecision',
    recorded: 'always',
  }),
  threads: option(whole(1, 1024).optional(), {
    help: 'threads that share the work',
    shown: 'one per processor',
    synonyms: 'numThreads nThreads numWorkers workers jobs cpus',
    resume: 'told',
  }),
  onBadImage: option(choice('error', 'skip', 'truncate').default('error'), {
    help: 'end at a picture that does not decode, skip it with a warning, or take what there is of it',
    placeholder: 'what',
    synonyms: 'badImage onError skipBad skipBadImages ignoreErrors loadTruncatedImages truncated',
  }),
  maxPixels: option(z.int().min(1).describe('a whole number of pixels of at least 1').optional(), {
    help: 'the largest picture that is read, in pixels',
    shown: '178956970, or half of it where decoding takes much memory',
    synonyms: 'maxImagePixels pixelLimit limitInputPixels',
  }),
  signal: option(z.instanceof(AbortSignal).describe('an AbortSignal').optional(), {
    synonyms: 'abortSignal abort controller',
    resume: 'apart',
  }),
};

/** Options that say which pictures there are. */
export const dataset = {
  dataset: option(folder.optional(), {
    help: 'folder with train/ and val/, each with a folder of pictures per class, a manifest (.csv, .jsonl) or archives (.tar, .zip)',
    synonyms: 'data dataDir dataRoot dataPath datasetPath datasetDir root folder dir images',
  }),
  train: option(folder.optional(), {
    help: "the training pictures' folder, instead of `dataset`",
    synonyms: 'trainDir trainPath trainFolder training trainDataset',
  }),
  val: option(folder.optional(), {
    help: "the validation pictures' folder, instead of `dataset`",
    synonyms:
      'valDir valPath valFolder valid validation validate test testDir valDataset evalDataset',
  }),
  valSplit: option(z.number().gt(0).lt(1).describe('a number between 0 and 1').optional(), {
    help: 'share of each class to validate with, where no pictures are set aside for that',
    placeholder: 'share',
    shown: 'there is a val/',
    synonyms: 'validationSplit valFraction valRatio testSize splitRatio valPct',
    recorded: 'always',
  }),
  splitSeed: option(z.int().min(0).describe('a whole number in 0..2^53-1').default(0), {
    help: 'which pictures `valSplit` takes',
    recorded: 'changed',
  }),
};

/** Pictures that the teacher's answers alone are learnt from. */
export const unlabeled = option(folder.optional(), {
  help: "pictures without a class, which are learnt from by the teacher's answers alone",
  placeholder: 'folder',
  synonyms: 'unlabelled unlabeledDir unlabelledDir extra unsupervised',
});

/** Chooses between the weights of a file that holds averages beside them. */
export const averaged = option(yesOrNo.default(false), {
  synonyms: 'ema useEma swa useSwa averagedWeights',
  recorded: 'changed',
});

/** Changes to training pictures. */
export const AUGMENTATIONS = ['crop', 'resized-crop', 'flip'] as const;

/** Options that every training has. */
export const training = {
  ...dataset,
  imageSize: preprocessing.imageSize.optional(),
  warmup: option(between(0, MOST_EPOCHS).optional(), {
    help: 'epochs in which the learning rate of the cosine schedule grows',
    placeholder: 'epochs',
    shown: '1 for cosine',
    synonyms: 'warmupEpochs warmUp',
    recorded: 'always',
  }),
  // Of any two weights, and their sums over a batch, float32 holds the ratio.
  classWeights: option(
    z
      .union([z.literal('balanced'), z.array(z.number().min(1e-9).max(1e9)).min(1).readonly()])
      .describe("'balanced' or a list of numbers in 1e-9..1e9, one for each class,")
      .optional(),
    {
      help: "weights of the classes in the labels' term: balanced, or one for each class: 1,2.5",
      placeholder: 'list',
      shown: 'all weigh the same',
      synonyms: 'classWeight weight lossWeights balanceClasses',
      recorded: 'changed',
    },
  ),
  shuffle: option(yesOrNo.default(true), {
    help: 'show the pictures in the same order in every epoch',
    recorded: 'always',
  }),
  sampler: option(choice('shuffle', 'balanced').default('shuffle'), {
    help: 'each picture once in an epoch, or classes equally often',
    placeholder: 'name',
    synonyms: 'sampling oversample oversampling weightedSampler weightedRandomSampler',
    recorded: 'changed',
  }),
  augment: option(
    z
      .array(z.enum(AUGMENTATIONS))
      .refine((names) => !(names.includes('crop') && names.includes('resized-crop')))
      .readonly()
      .describe("a list of 'crop' or 'resized-crop', and 'flip'")
      .optional(),
    {
      help: 'changes to training pictures: crop or resized-crop, and flip; or none',
      placeholder: 'names',
      synonyms: 'augmentation augmentations transform transforms',
      recorded: 'always',
    },
  ),
  storeSize: option(pixels(32, 4096).optional(), {
    help: 'side of the square that crops are taken from, in pixels',
    placeholder: 'pixels',
    shown: 'with a crop, a quarter more than `imageSize`',
    recorded: 'always',
  }),
  // A thousandth of 32 x 32 pixels is one.
  cropScale: option(between(0.001, 1).default(0.08), {
    help: "the smallest resized crop, as a share of the picture's area",
    placeholder: 'share',
    recorded: 'always',
  }),
  precision: execution.precision,
  seed: fields.seed.optional(),
  device: execution.device,
  threads: execution.threads,
  onBadImage: execution.onBadImage,
  maxPixels: execution.maxPixels,
  cacheMemory: option(
    z
      .union([z.number().min(0), z.string().transform(bytes).pipe(z.number().min(0))])
      .describe("a number of bytes, or a size such as '2GB' or '512MiB',")
      .optional(),
    {
      help: 'memory for prepared pictures, such as 2GB or 512MiB; beyond it they are in a file',
      placeholder: 'size',
      shown: 'half of what is free',
      synonyms: 'memory maxMemory memoryLimit ram',
      resume: 'free',
    },
  ),
  cacheDir: option(folder.optional(), {
    help: 'keep the prepared pictures there for the next run',
    shown: 'they are not kept',
    synonyms: 'cache cacheFolder cachePath',
    resume: 'free',
  }),
  monitor: option(
    choice('accuracy-and-loss', 'accuracy', 'loss', 'agreement').default('accuracy-and-loss'),
    {
      help: 'what an epoch must improve for its network to be kept',
      placeholder: 'what',
      synonyms: 'keep metric monitorMetric saveBest bestMetric metricForBestModel',
      recorded: 'always',
    },
  ),
  patience: option(whole(1, MOST_EPOCHS).optional(), {
    help: 'end the training after so many epochs without a better one',
    placeholder: 'epochs',
    shown: 'it goes on',
    synonyms: 'earlyStopping earlyStoppingPatience esPatience',
    resume: 'free',
  }),
  minDelta: option(between(0, 100).default(0), {
    help: 'what an epoch must be better by, to count for `patience`',
    synonyms: 'minimumDelta earlyStoppingMinDelta threshold tolerance',
    resume: 'free',
  }),
  maxSeconds: option(between(1, 1e9).optional(), {
    help: 'end the training when the run has taken so many seconds',
    placeholder: 'seconds',
    shown: 'it goes on',
    synonyms: 'maxTime timeLimit timeout maxDuration',
    resume: 'free',
  }),
  runDir: option(folder.optional(), {
    help: 'keep the run in this folder: its options, epochs, state, best and last network; such as runs/<time>-<student>',
    shown: 'it is not kept',
    synonyms: 'logDir workDir outputDir experimentDir project saveDir checkpointDir runFolder',
    resume: 'apart',
  }),
  resume: option(yesOrNo.default(false), {
    help: 'go on with the run in `runDir` where it was interrupted',
    synonyms: 'resumeFrom autoResume continue resumeTraining',
    resume: 'apart',
  }),
  checkpointEvery: option(between(0, 1e6).default(60), {
    help: "seconds between two states of a training in `runDir`, besides each epoch's",
    placeholder: 'seconds',
    synonyms: 'checkpointInterval saveEvery savePeriod saveInterval',
    resume: 'free',
  }),
  overwrite: fields.overwrite,
  signal: execution.signal,
};
