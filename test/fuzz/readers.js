// Gives a fuzzer's bytes to what reads files in lib/, for Jazzer.js: each function is one reader. It may answer or refuse with
// an error of its own kind: whatever else it throws is a finding.
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { mendBmp, openBmp } from '../../dist/data/decode/bmp.js';
import { BadImage, centerCrop, MAX_PIXELS } from '../../dist/data/decode/image.js';
import { mendNetpbm, openNetpbm } from '../../dist/data/decode/netpbm.js';
import { TeacherLogits } from '../../dist/data/logits-file.js';
import { DistillError } from '../../dist/errors.js';
import { limited } from './memory-limit.js';

/** @import { OpenedImage } from '../../lib/data/decode/image.js' */

export const bmp = limited((data) => readPicture(data, openBmp, mendBmp));
export const netpbm = limited((data) => readPicture(data, openNetpbm, mendNetpbm));

/**
 * @param {Uint8Array} data
 * @param {(data: Uint8Array) => OpenedImage | null} open
 * @param {(data: Uint8Array, maxPixels: number) => Uint8Array | null} mend
 */
function readPicture(data, open, mend) {
  const read = (/** @type {Uint8Array} */ bytes) => {
    const picture = open(bytes);
    picture?.read(centerCrop(picture.width, picture.height, 16));
  };
  attempt(BadImage, () => read(data));
  attempt(BadImage, () => {
    const mended = mend(data, MAX_PIXELS);
    if (mended) read(mended);
  });
}

const file = path.join(os.tmpdir(), 'logits.safetensors');

export const logits = limited(async (data) => {
  writeFileSync(file, data);
  try {
    await TeacherLogits.read(file);
  } catch (error) {
    if (!(error instanceof DistillError) || error.code === 'ERR_INTERNAL') throw error;
  }
});

/**
 * Does what may refuse its input by an error of a kind.
 *
 * @param {new (...args: never[]) => Error} kind
 * @param {() => void} work
 */
function attempt(kind, work) {
  try {
    work();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
  }
}
