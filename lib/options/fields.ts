import { z } from 'zod';
import { isUnicode } from '../names.js';
import { bytes } from './bytes.js';
import { isPath, isPicture } from './hints.js';

// Each option's description completes the sentence "Expected … for `name`".

const path = z.string().min(1).refine(isPath).describe('a path');

/** A number between two that make sense: none so small or so large that it is lost in float32. */
export const between = (low: number, high: number) =>
  z.number().min(low).max(high).describe(`a number in ${low}..${high}`);

const whole = (low: number, high: number) =>
  z.int().min(low).max(high).describe(`a whole number in ${low}..${high}`);

/** Epochs at most: with the steps of each they can still be counted. */
const MANY = 1e9;

/** Fields that several calls share. */
export const fields = {
  path,
  /** A picture, whose name need not be UTF-8. */
  picture: z.string().min(1).refine(isPicture).describe('a path'),
  count: whole(1, MANY),
  countOrNone: whole(0, MANY),
  batchSize: whole(1, 4096),
  labels: z
    .union([
      path,
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
  // A schedule goes down to a 250,000th of it, which float32 holds.
  lr: between(1e-30, 1),
  // Logits are divided by it, and float32 holds them.
  temperature: between(0.01, 1000),
  alpha: between(0, 1),
  seed: z.int().min(0).describe('a whole number in 0..2^53-1'),
  overwrite: z.boolean().describe('true or false').default(false),
  schedule: z
    .enum(['one-cycle', 'cosine', 'constant'])
    .describe("'one-cycle', 'cosine' or 'constant'"),
};

/** An option that is called. */
export const callback = <T extends (...given: never[]) => void>() =>
  z.custom<T>((value) => typeof value === 'function').describe('a function');

const triple = (channel: z.ZodNumber) => z.tuple([channel, channel, channel]).readonly();

/** Options that say how a picture becomes a network's input. */
export const preprocessing = {
  mean: triple(z.number().min(0).max(1)).describe('three numbers in 0..1 (R, G, B)'),
  // A fortieth of a step of uint8: what it divides stays below 10,000, finite in float32 and bfloat16.
  std: triple(between(1e-4, 1)).describe('three numbers in 0.0001..1 (R, G, B)'),
  imageSize: z.int().min(32).max(4096).describe('a whole number of pixels in 32..4096'),
};

/** Options that say where and how the work is done. */
export const execution = {
  device: z
    .string()
    .regex(/^(auto|cpu|cuda(:\d{1,2})?)$/)
    .describe("'auto', 'cpu', 'cuda' or 'cuda:N'"),
  precision: z.enum(['fp32', 'bf16', 'auto']).describe("'fp32', 'bf16' or 'auto'"),
  threads: whole(1, 1024),
  onBadImage: z.enum(['error', 'skip']).describe("'error' or 'skip'"),
  maxPixels: z.int().min(1).describe('a whole number of pixels of at least 1'),
  signal: z.instanceof(AbortSignal).describe('an AbortSignal'),
};

/** What may be done to training pictures. */
export const AUGMENTATIONS = ['crop', 'resized-crop', 'flip'] as const;

/** Options that every training has. */
export const training = {
  dataset: fields.path.optional(),
  train: fields.path.optional(),
  val: fields.path.optional(),
  imageSize: preprocessing.imageSize.optional(),
  warmup: between(0, MANY).optional(),
  augment: z
    .array(z.enum(AUGMENTATIONS))
    .refine((names) => !(names.includes('crop') && names.includes('resized-crop')))
    .readonly()
    .describe("a list of 'crop' or 'resized-crop', and 'flip'")
    .optional(),
  storeSize: preprocessing.imageSize.optional(),
  // A thousandth of 32 x 32 pixels is one.
  cropScale: between(0.001, 1).default(0.08),
  seed: fields.seed.optional(),
  device: execution.device.default('auto'),
  precision: execution.precision.default('fp32'),
  threads: execution.threads.optional(),
  signal: execution.signal.optional(),
  overwrite: fields.overwrite,
  shuffle: z.boolean().describe('true or false').default(true),
  onBadImage: execution.onBadImage.default('error'),
  maxPixels: execution.maxPixels.optional(),
  cacheMemory: z
    .preprocess((size) => (typeof size === 'string' ? bytes(size) : size), z.number().min(0))
    .describe("a number of bytes, or a size such as '2GB' or '512MiB',")
    .optional(),
  cacheDir: fields.path.optional(),
};
