// Reads pictures of every kind, whole and cut short, into squares of several sizes: the addons that resample and that decode
// JPEGs. Prints a line for each file.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { loadDecode, loadErrors } from '../bench/product.js';

/** @import { PixelPreprocessing } from '../../lib/model/preprocessing.js' */

const FOLDER = path.resolve(import.meta.dirname, '../../test/fixtures/pictures');

/** @type {PixelPreprocessing} */
const crop = {
  imageSize: 24,
  exif: 'apply',
  resize: null,
  interpolation: 'bilinear',
  padding: [0, 0, 0, 0],
  crop: true,
  cropRounding: 'even',
};
/** @type {PixelPreprocessing[]} */
const WAYS = [
  crop,
  { ...crop, resize: 17, padding: [3, 4, 5, 6] },
  { ...crop, resize: [40, 29], interpolation: 'bicubic' },
  { ...crop, resize: 91, interpolation: 'lanczos', imageSize: 80 },
  { ...crop, resize: [7, 7], interpolation: 'box', crop: false, imageSize: 7 },
  { ...crop, resize: 33, interpolation: 'nearest' },
];

const { decodeCrop } = await loadDecode();
const { DistillError } = await loadErrors();
for (const name of readdirSync(FOLDER).filter((name) => path.extname(name) !== '.json')) {
  const data = readFileSync(path.join(FOLDER, name));
  let answered = 0;
  for (const share of [1, 0.9, 0.5, 0.1]) {
    const file = data.subarray(0, Math.ceil(share * data.length));
    for (const way of WAYS) {
      try {
        await decodeCrop(file, way, { onTruncated: () => {} });
        answered += 1;
      } catch (error) {
        if (!(error instanceof DistillError) || error.code !== 'ERR_BAD_IMAGE') throw error;
      }
    }
  }
  console.log(`ok ${name}: ${answered} answers`);
}
