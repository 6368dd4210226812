import { expect } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { type DistillError, inspect } from '../../lib/index.js';
import type { PthTensor } from './pth.js';
import { refusalOf } from './results.js';

export const readTensor = (file: string, name: string) =>
  native(loadAddon().readTensor(file, name));

/** Every tensor of a file: shape, dtype and values. */
export async function readAll(file: string) {
  const { tensors } = await inspect(file);
  const entries = tensors.map(async ({ name, shape, dtype }) => {
    const read = await readTensor(file, name);
    expect(read.shape).toEqual(shape);
    return [name, { shape, dtype, data: Array.from(read.data) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The refusal of a file, which must name the file. */
export async function refusedFile(file: string): Promise<DistillError> {
  const error = await refusalOf(inspect(file));
  expect(error.message).toContain(`'${file}'`);
  return error;
}

export const small: Record<string, PthTensor> = {
  'layer.weight': { shape: [2, 3], data: [1, -2, 3.5, 0, 0.25, -6] },
  'layer.bias': { shape: [2], data: [7, 8] },
  'norm.num_batches_tracked': { shape: [], data: [9], dtype: 'int64' },
};
export const smallContents = {
  'layer.weight': { shape: [2, 3], dtype: 'float32', data: [1, -2, 3.5, 0, 0.25, -6] },
  'layer.bias': { shape: [2], dtype: 'float32', data: [7, 8] },
  'norm.num_batches_tracked': { shape: [], dtype: 'int64', data: [9] },
};
