import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { decodeBatches, decodeCrop } from '../../lib/data/decode.js';
import type { ImageSource } from '../../lib/data/source.js';
import type { DistillError } from '../../lib/errors.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { refusalOf } from './results.js';

export const fixtures = fileURLToPath(new URL('../fixtures/pictures', import.meta.url));

export const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

/** Returns the SHA-256 of a crop, or null if the picture is refused. */
export async function digest(source: ImageSource, size: number): Promise<string | null> {
  try {
    return sha256(await decodeCrop(source, centerCropOf(size)));
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_BAD_IMAGE' });
    return null;
  }
}

/** Returns the error that refuses a picture. */
export async function refusal(source: ImageSource, name?: string): Promise<DistillError> {
  const error = await refusalOf(
    decodeCrop(source, centerCropOf(16), name === undefined ? {} : { name }),
  );
  expect(error.code).toBe('ERR_BAD_IMAGE');
  return error;
}

// Pictures that decodeCrop and Pillow read differently on purpose; each has its own test.
const different = ['lab.tif', '32-bit-unusual-masks.bmp'];

type Expected = Record<string, Record<string, string | null>>;

/** The digests of a folder's pictures by size, as Pillow and torchvision make them. */
export function expectedIn(pictures: string): [string, Record<string, string | null>][] {
  const expected: Expected = JSON.parse(readFileSync(path.join(pictures, 'expected.json'), 'utf8'));
  return Object.entries(expected).filter(([name]) => !different.includes(name));
}

/** Returns the digest of a picture's crop of each size. */
export async function digestsOf(
  file: string,
  sizes: string[],
): Promise<Record<string, string | null>> {
  const digests: Record<string, string | null> = {};
  for (const size of sizes) digests[size] = await digest(file, Number(size));
  return digests;
}

/** The side of the crops that `collect` makes. */
export const SIZE = 24;

/** Decodes pictures of side SIZE, three a batch unless told otherwise. */
export async function collect(
  sources: readonly ImageSource[],
  options: Partial<Parameters<typeof decodeBatches>[1]> = {},
) {
  const batches: { pixels: Uint8Array; indices: number[]; count: number }[] = [];
  for await (const batch of decodeBatches(sources, {
    preprocessing: centerCropOf(SIZE),
    batchSize: 3,
    ...options,
  })) {
    batches.push({ ...batch, indices: [...batch.indices] });
  }
  return batches;
}
