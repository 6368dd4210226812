import { inspect } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { DistillError } from '../errors.js';
import { isUnicode } from '../names.js';
import { bytes } from './bytes.js';
import { hintFor, isPath, isPicture } from './hints.js';
import { synonymOf } from './synonyms.js';

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

/** A field's description, which a default or optional() around it hides. */
function describe(field: z.core.$ZodType | undefined): string | undefined {
  if (field instanceof z.ZodDefault || field instanceof z.ZodOptional) {
    return describe(field.def.innerType);
  }
  return (field as z.ZodType | undefined)?.description;
}

/** Whatever the caller passed, shown briefly in one line. */
function show(value: unknown): string {
  const shown = inspect(value, { depth: 1, breakLength: Infinity, maxStringLength: 60 });
  const text = shown.replace(/\s+/g, ' '); // long lists are broken all the same
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/**
 * Checks options against a schema, fills in the defaults, and drops those that are undefined.
 *
 * @throws DistillError `ERR_OPTION` that names the first option at fault, what it should be and what
 * it was.
 */
export function checkOptions<Shape extends z.core.$ZodLooseShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  options: unknown,
): z.output<typeof schema> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected an object of options but received ${show(options)}.`,
    );
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;

  const names = Object.keys(schema.shape);
  const { issues } = parsed.error;
  // A name that is not known explains one that is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  if (issue?.code === 'unrecognized_keys') {
    const unknown = issue.keys[0] ?? '';
    const similar = closest(unknown, names);
    const known =
      synonymOf(unknown, names) ?? (distance(unknown, similar) <= 3 ? similar : undefined);
    const hint = known ? `did you mean \`${known}\`?` : `the options are ${names.join(', ')}.`;
    throw new DistillError('ERR_OPTION', `There is no option \`${unknown}\`; ${hint}`);
  }
  const name = String(issue?.path[0] ?? '');
  const field = schema.shape[name];
  const expected = describe(field) ?? 'another value';
  const received = name in given ? show(given[name]) : 'nothing';
  const accepts = (value: unknown) => field !== undefined && z.safeParse(field, value).success;
  const hint = hintFor(given[name], accepts, show);
  throw new DistillError(
    'ERR_OPTION',
    `Expected ${expected} for \`${name}\` but received ${received}${hint ? `; ${hint}` : ''}.`,
  );
}
