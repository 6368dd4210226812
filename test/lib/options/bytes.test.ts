import { describe, expect, test } from 'vitest';
import { distill } from '../../../lib/index.js';
import { bytes } from '../../../lib/options/bytes.js';
import { distillOptions as distillSchema } from '../../../lib/options/distill.js';
import { calls } from '../../helpers/options.js';
import { refusalOf } from '../../helpers/results.js';

describe('a size in bytes', () => {
  test.each<[string, number | string]>([
    ['1024', 1024],
    ['1.5e9', 1.5e9],
    ['2GB', 2e9],
    ['2g', 2e9],
    ['512MiB', 2 ** 29],
    ['1.5 KiB', 1536],
    ['10b', 10],
    ['1.2.3MB', '1.2.3MB'],
    ['2 apples', '2 apples'],
    ['', ''],
  ])('%j is %j', (text, value) => {
    expect(bytes(text)).toBe(value);
  });

  test('is taken by `cacheMemory` as by --cache-memory', async () => {
    const given = { ...calls.distill.valid, cacheMemory: '512MiB' };
    expect((await refusalOf(distill(given))).code).not.toBe('ERR_OPTION');
    expect(distillSchema.parse(given).cacheMemory).toBe(2 ** 29);
  });
});
