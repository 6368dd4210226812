import { z } from 'zod';
import { DistillError } from '../errors.js';
import { isUnicode } from '../names.js';
import { loadAddon } from '../native.js';
import { preprocessing } from '../options/fields.js';
import { version } from '../package.js';

/** What a student's or a teacher's file says of itself, besides its weights. */
export interface ModelMetadata {
  /** Class names by index. */
  classes: string[];
  /** R, G, B, of values in 0..1. */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
  /** Pixels a side of the centre crop. */
  imageSize: number;
  /** Options of the run that made it. */
  options?: Record<string, unknown> | undefined;
  /** Whose answers it learnt. */
  teacher?: Record<string, unknown> | undefined;
  /** What a teacher started from. */
  weights?: Record<string, unknown> | undefined;
  /** The epoch, from 1, and its losses and accuracies. */
  epoch?: number | undefined;
  metrics?: Record<string, number> | undefined;
  /** Of node-distill, LibTorch and Node. */
  versions?: Record<string, string> | undefined;
}

/** What makes a file now: its `versions`. */
export function madeWith(): Record<string, string> {
  return { 'node-distill': version, libtorch: loadAddon().libtorch, node: process.versions.node };
}

const metadataSchema = z.looseObject({
  classes: z.array(z.string().refine(isUnicode)).min(1).max(100_000),
  ...preprocessing,
  options: z.record(z.string(), z.unknown()).optional(),
  teacher: z.record(z.string(), z.unknown()).optional(),
  weights: z.record(z.string(), z.unknown()).optional(),
  epoch: z.int().optional(),
  metrics: z.record(z.string(), z.number()).optional(),
  versions: z.record(z.string(), z.string()).optional(),
});

/**
 * Reads the metadata of a file; it comes from outside and is checked as such.
 *
 * @throws DistillError `ERR_CHECKPOINT_CORRUPT` where it is not what this package writes.
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
