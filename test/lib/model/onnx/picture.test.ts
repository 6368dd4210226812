import { expect, test } from 'vitest';
import { expectOperators, stepsOf } from '../../../../lib/model/onnx/picture.js';
import { centerCropOf, type PixelPreprocessing } from '../../../../lib/model/preprocessing.js';

test.each<[Partial<PixelPreprocessing>, number]>([
  [{}, 17],
  [{ resize: 56, interpolation: 'nearest' }, 17],
  [{ resize: 56 }, 18],
  [{ resize: [56, 70], interpolation: 'bicubic' }, 26],
  [{ interpolation: 'lanczos' }, 26],
])('operators do %o with opset %i', (steps, opset) => {
  expect(() => expectOperators({ ...centerCropOf(48), ...steps }, { opset })).not.toThrow();
});

test.each<[Partial<PixelPreprocessing>, number, RegExp]>([
  [{ resize: 56 }, 17, /^Expected `opset` 18 or later .*received 17.*`input: 'uint8'`/],
  [{ resize: 56, interpolation: 'bicubic' }, 17, /^Expected `opset` 18 or later/],
  [{ resize: 56, interpolation: 'box' }, 26, /'box'.*`input: 'uint8'` and resize each picture/],
  [{ resize: 56, interpolation: 'lanczos' }, 26, /'lanczos'.*`input: 'uint8'`/],
])('no operators do %o with opset %i', (steps, opset, message) => {
  expect(() => expectOperators({ ...centerCropOf(48), ...steps }, { opset })).toThrow(
    expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringMatching(message) }),
  );
});

test.each<[Partial<PixelPreprocessing>, string]>([
  [{}, 'takes the 48 x 48 in the middle'],
  [{ resize: 56 }, 'resizes the shorter side to 56 (bilinear), takes the 48 x 48 in the middle'],
  [
    { resize: [48, 40], interpolation: 'bicubic', padding: [4, 0, 4, 0], crop: false },
    'resizes to 48 x 40 (bicubic), adds black on each side (4, 0, 4, 0)',
  ],
])('the steps of %o in words', (steps, words) => {
  expect(stepsOf({ ...centerCropOf(48), ...steps })).toBe(words);
});
