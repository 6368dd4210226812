import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { mendBmp } from '../../../lib/data/decode/bmp.js';
import { MAX_PIXELS } from '../../../lib/data/decode/image.js';
import { mendNetpbm } from '../../../lib/data/decode/netpbm.js';
import { fixture } from '../../helpers/pictures.js';

/** A bitmap with another number in its header. */
function bmp(...numbers: [at: number, number: number][]): Buffer {
  const data = readFileSync(fixture('rgb.bmp'));
  for (const [at, number] of numbers) data.writeUInt32LE(number, at);
  return data;
}

test('a header alone is not mended: it could ask for any memory', () => {
  const start = 10;
  const [width, height] = [18, 22];
  expect(mendBmp(bmp([width, 13_000], [height, 13_000]), MAX_PIXELS)).toBeNull();
  expect(mendBmp(bmp([start, 2 ** 31]), MAX_PIXELS)).toBeNull();
  expect(mendNetpbm(Buffer.from('P6 13000 13000 255\n'), MAX_PIXELS)).toBeNull();
});

test('rows that are missing become zeros', () => {
  const whole = bmp();
  const mended = mendBmp(whole.subarray(0, -100), MAX_PIXELS);
  expect(mended?.length).toBe(whole.length);
  expect(mended?.subarray(-100).every((byte) => byte === 0)).toBe(true);
});
