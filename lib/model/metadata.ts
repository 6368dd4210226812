import { z } from 'zod';
import { loadAddon } from '../addon.js';
import { DistillError } from '../errors.js';
import { isUnicode } from '../names.js';
import { preprocessing, storedSteps } from '../options/fields.js';
import { version } from '../package.js';
import { changedSteps, type PixelSteps, type Preprocessing } from './preprocessing.js';

/** The steps of a model's preprocessing in its file; those that are left out are the default ones. */
type StoredSteps = { [Step in keyof PixelSteps]?: Exclude<PixelSteps[Step], null> | undefined };

/** The facts in a student's, a teacher's or a logits' file besides its tensors. */
export interface ModelMetadata extends StoredSteps {
  /** Class names by index. */
  classes: string[];
  /** Means of R, G, B, in 0..1. */
  mean: readonly [number, number, number];
  /** Standard deviations of R, G, B, in 0.0001..1. */
  std: readonly [number, number, number];
  /** Side of the square that it sees, in pixels. */
  imageSize: number;
  /** Options of the run that made it. */
  options?: Record<string, unknown> | undefined;
  /** The teacher of a student: file, architecture and SHA-256. */
  teacher?: Record<string, unknown> | undefined;
  /** The weights that a teacher started from: file, architecture and SHA-256. */
  weights?: Record<string, unknown> | undefined;
  /** The epoch, from 1, and its losses and accuracies. */
  epoch?: number | undefined;
  metrics?: Record<string, number> | undefined;
  /** Versions of node-distill, LibTorch and Node. */
  versions?: Record<string, string> | undefined;
}

/** Returns the entries of a model's metadata that say its preprocessing. */
export function recordedPreprocessing(
  preprocessing: Preprocessing,
): Pick<ModelMetadata, 'mean' | 'std' | 'imageSize'> & StoredSteps {
  const { mean, std, imageSize } = preprocessing;
  return { mean, std, imageSize, ...(changedSteps(preprocessing) as StoredSteps) };
}

/** Returns the `versions` of a file that is made now. */
export function madeWith(): Record<string, string> {
  return { 'node-distill': version, libtorch: loadAddon().libtorch, node: process.versions.node };
}

const metadataSchema = z.looseObject({
  classes: z.array(z.string().refine(isUnicode)).min(1).max(100_000),
  ...preprocessing,
  ...storedSteps,
  options: z.record(z.string(), z.unknown()).optional(),
  teacher: z.record(z.string(), z.unknown()).optional(),
  weights: z.record(z.string(), z.unknown()).optional(),
  epoch: z.int().optional(),
  metrics: z.record(z.string(), z.number()).optional(),
  versions: z.record(z.string(), z.string()).optional(),
});

/**
 * Parses a file's metadata, which may come from anywhere.
 *
 * @throws DistillError `ERR_CHECKPOINT_CORRUPT` where this package did not write it so.
 */
export function parseMetadata(json: string, path: string): ModelMetadata {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    value = undefined;
  }
  const parsed = metadataSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path ?? [];
  const shape: Record<string, z.ZodType> = metadataSchema.shape;
  const expected = shape[String(field[0])]?.description;
  const culprit = `${field.join('.') || 'distill.json'}${expected ? `: expected ${expected}` : ''}`;
  throw new DistillError(
    'ERR_CHECKPOINT_CORRUPT',
    `The metadata in '${path}' is damaged (${culprit}); take the file from its source again.`,
  );
}
