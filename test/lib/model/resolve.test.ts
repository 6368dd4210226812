import { describe, expect, test } from 'vitest';
import type { ModelMetadata } from '../../../lib/model/metadata.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { type GivenPreprocessing, resolvePreprocessing } from '../../../lib/model/resolve.js';
import { mean, std } from '../../helpers/dataset.js';

const metadata = (more: Partial<ModelMetadata> = {}): ModelMetadata => ({
  classes: ['ants', 'bees'],
  mean,
  std,
  imageSize: 192,
  ...more,
});

describe('the steps of a network', () => {
  test('are a centre crop where nobody says more', async () => {
    expect(await resolvePreprocessing({})).toEqual(centerCropOf(224));
    expect(await resolvePreprocessing({}, { metadata: metadata(), recipe: null })).toEqual({
      ...centerCropOf(192),
      mean,
      std,
    });
  });

  test.each<[GivenPreprocessing, Partial<ModelMetadata>, object]>([
    [{ resize: 256 }, {}, { resize: 256, interpolation: 'bilinear', imageSize: 192 }],
    [{}, { resize: 256, interpolation: 'bicubic' }, { resize: 256, interpolation: 'bicubic' }],
    [{ resize: 232 }, { resize: 256, interpolation: 'bicubic' }, { interpolation: 'bicubic' }],
    [{ resize: false }, { resize: 256, interpolation: 'box' }, centerCropOf(192)],
    [{ preprocess: 'torchvision' }, { resize: 300 }, { resize: 256, imageSize: 224 }],
    [{ preprocess: 'torchvision', imageSize: 200 }, {}, { resize: 256, imageSize: 200 }],
    [{ preprocess: 'none' }, { resize: 300 }, { resize: 300, imageSize: 192 }],
    [{ padding: 3 }, {}, { padding: [3, 3, 3, 3] }],
    [{ padding: [1, 2] }, {}, { padding: [1, 2, 1, 2] }],
    [{ padding: [1, 2, 3, 4] }, { padding: [9, 9, 9, 9] }, { padding: [1, 2, 3, 4] }],
    [{ exif: 'apply' }, {}, { exif: 'apply' }],
    [{ exif: 'ignore' }, { exif: 'apply' }, { exif: 'ignore' }],
    [{ resize: [160, 160], crop: false }, {}, { crop: false, imageSize: 160 }],
    [{ resize: [150, 160], padding: [0, 4, 0, 6], crop: false }, {}, { imageSize: 160 }],
    [{}, { resize: [192, 192], crop: false }, { crop: false, resize: [192, 192] }],
    // What a file says of the crop is about its own size.
    [{ resize: 256 }, { resize: [192, 192], crop: false }, { resize: 256, crop: true }],
  ])('of %o and a file with %o', async (given, more, expected) => {
    expect(
      await resolvePreprocessing(given, { metadata: metadata(more), recipe: null }),
    ).toMatchObject(expected);
  });

  test.each<[GivenPreprocessing, RegExp]>([
    [{ interpolation: 'bicubic' }, /^`interpolation` .*nothing is resized; give `resize`/],
    [{ interpolation: 'bicubic', resize: false }, /^`interpolation`/],
    [{ crop: false }, /expected `resize` with height and width, but received none/],
    [{ crop: false, resize: 256 }, /expected `resize` with height and width, but received 256/],
    [{ crop: false, resize: [224, 256] }, /would see 224 x 256 pixels .*sees squares/],
    [{ crop: false, resize: [224, 224], padding: [1, 0] }, /would see 224 x 226/],
    [{ crop: false, resize: [224, 224], imageSize: 192 }, /`imageSize` 224, .*received 192/],
    [{ crop: false, resize: [16, 16] }, /a whole number of pixels in 32\.\.4096, but they give 16/],
  ])('%o are refused', async (given, message) => {
    await expect(resolvePreprocessing(given)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(message),
    });
  });
});
