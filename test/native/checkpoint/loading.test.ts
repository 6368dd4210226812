import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { readAll } from '../../helpers/checkpoint.js';
import { type Dtype, type PthTensor, writePth } from '../../helpers/pth.js';
import { refusalOf } from '../../helpers/results.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pth`);

describe('loading into a model', () => {
  let student: Record<string, PthTensor & { dtype: Dtype }>;
  const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256);

  async function logits(file: string): Promise<number[]> {
    const classifier = new (loadAddon().Classifier)({
      averaged: false,
      model: file,
      imageSize: 16,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    try {
      await native(classifier.load());
      return Array.from(await native(classifier.logits(pixels)));
    } finally {
      await classifier.close();
    }
  }
  const changed = (change: (tensors: Record<string, PthTensor>) => void) => {
    const tensors = structuredClone<Record<string, PthTensor>>(student);
    change(tensors);
    return writePth(newPath(), tensors);
  };

  let expected: number[];
  beforeAll(async () => {
    const file = newPath();
    await native(loadAddon().createModel({ path: file, architecture: 'cnn', classes: 3, seed: 5 }));
    student = (await readAll(file)) as typeof student;
    expected = await logits(file);
  });

  test('converts float64 exactly, float16 and bfloat16 as near as they are', async () => {
    for (const dtype of ['float64', 'float16', 'bfloat16'] as const) {
      const file = await changed((tensors) => {
        for (const tensor of Object.values(tensors)) {
          if (tensor.dtype === 'float32') tensor.dtype = dtype;
        }
      });
      const digits = dtype === 'float64' ? 6 : 2;
      const got = await logits(file);
      expect(got).toEqual(expected.map((value) => expect.closeTo(value, digits)));
    }
  });

  test('takes an absent num_batches_tracked for 0, as PyTorch before 0.4.1 wrote none', async () => {
    const file = await changed((tensors) => {
      for (const name of Object.keys(tensors)) {
        if (name.endsWith('num_batches_tracked')) delete tensors[name];
      }
    });
    expect(await logits(file)).toEqual(expected);
  });

  test('lists what is missing, unexpected and of another shape', async () => {
    const file = await changed((tensors) => {
      delete tensors['features.0.bias'];
      tensors['features.99.weight'] = { shape: [1], data: [1] };
      tensors['features.4.bias'] = { shape: [3], data: [1, 2, 3] };
    });
    const error = await refusalOf(logits(file));
    expect(error.code).toBe('ERR_CHECKPOINT_MISMATCH');
    for (const text of [
      `'${file}'`,
      '1 missing (features.0.bias)',
      '1 unexpected (features.99.weight)',
      '1 of another shape (features.4.bias is (3) instead of (64))',
    ]) {
      expect(error.message).toContain(text);
    }
  });

  test('names ten of many', async () => {
    const file = await changed((tensors) => {
      for (let i = 0; i < 25; ++i) tensors[`extra${i}`] = { shape: [1], data: [1] };
    });
    const { message } = await refusalOf(logits(file));
    expect(message).toContain('25 unexpected (extra0, ');
    expect(message).toContain('extra9 and 15 more)');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e300])('refuses %d', async (value) => {
    const file = await changed((tensors) => {
      const data = [...(Array.from(tensors['features.1.bias']?.data ?? []) as number[])];
      data[5] = value;
      tensors['features.1.bias'] = { shape: [32], data, dtype: 'float64' };
    });
    const error = await refusalOf(logits(file));
    expect(error.code).toBe('ERR_CHECKPOINT_NOT_FINITE');
    expect(error.message).toContain("'features.1.bias'");
    expect(error.message).toContain(`'${file}'`);
  });
});
