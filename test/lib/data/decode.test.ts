import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeCrop } from '../../../lib/data/decode.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { digest, digestsOf, expectedIn, fixtures, refusal } from '../../helpers/decode.js';
import { fixture } from '../../helpers/pictures.js';

describe('every kind of picture has the values that Pillow reads', () => {
  test.each(expectedIn(fixtures))('%s', async (name, expected) => {
    expect(await digestsOf(fixture(name), Object.keys(expected))).toEqual(expected);
  });

  test('bytes are read as their file is', async () => {
    const data = readFileSync(fixture('rgb-420.jpg'));
    expect(await digest(data, 24)).toBe(await digest(fixture('rgb-420.jpg'), 24));
    const inside = Buffer.concat([Buffer.alloc(3), data]).subarray(3);
    expect(await digest(inside, 24)).toBe(await digest(data, 24));
  });

  test('channels of a BMP in any byte order are read, which Pillow refuses', async () => {
    const plain = await decodeCrop(fixture('32-bit.bmp'), centerCropOf(32));
    const mixed = await decodeCrop(fixture('32-bit-unusual-masks.bmp'), centerCropOf(32));
    const [r, g, b] = [0, 1, 2].map((c) => plain.filter((_, i) => i % 3 === c));
    const [first, second, third] = [0, 1, 2].map((c) => mixed.filter((_, i) => i % 3 === c));
    expect([first, second, third]).toEqual([g, b, r]);
  });

  test('TIFF in L*a*b* is refused, which Pillow reads', async () => {
    expect((await refusal(fixture('lab.tif'))).message).toContain('lab.tif');
  });
});

test('decodes into a given array, and writes all of it', async () => {
  const into = new Uint8Array(32 * 32 * 3).fill(7);
  const crop = await decodeCrop(fixture('rgb.png'), centerCropOf(32), { into });
  expect(crop).toBe(into);
  expect(crop).toEqual(await decodeCrop(fixture('rgb.png'), centerCropOf(32)));
  expect(crop.subarray(0, 32 * 3)).toEqual(new Uint8Array(32 * 3)); // a row of padding
});

test('an array of another size is not written', async () => {
  const into = new Uint8Array(100);
  await expect(decodeCrop(fixture('rgb.png'), centerCropOf(32), { into })).rejects.toThrow(
    'expected 3072 bytes to decode into, received 100',
  );
  expect(into).toEqual(new Uint8Array(100));
});
