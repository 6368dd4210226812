// Decodes, resizes and crops pictures by this package or by sharp; asked by ../pictures-resize.js.
import sharp from 'sharp';
import { decodeCrop } from '../../../dist/data/decode.js';
import { CENTER_CROP } from '../../../dist/model/preprocessing.js';
import { memory, resetPeak, serve } from './serve.js';

/** @typedef {{ way: keyof typeof WAYS, files: string[], threads: number, side: number, size: number }} Run */

/**
 * @param {string} file
 * @param {Run} run
 * @param {boolean} fastShrinkOnLoad
 */
async function bySharp(file, { side, size }, fastShrinkOnLoad) {
  const width = Math.trunc((side * 4000) / 3000);
  const left = Math.round((width - size) / 2);
  const top = (side - size) / 2;
  await sharp(file)
    .resize(width, side, { fit: 'fill', fastShrinkOnLoad })
    .extract({ left, top, width: size, height: size })
    .raw()
    .toBuffer();
}

const WAYS = {
  /** @param {string} file @param {Run} run */
  ours: (file, { side, size }) =>
    decodeCrop(file, { ...CENTER_CROP, resize: side, imageSize: size }),
  /** @param {string} file */
  entropy: (file) => decodeCrop(file, { ...CENTER_CROP, imageSize: 16 }),
  /** @param {string} file @param {Run} run */
  sharp: (file, run) => bySharp(file, run, true),
  /** @param {string} file @param {Run} run */
  sharpSlow: (file, run) => bySharp(file, run, false),
};

await serve({
  /** @param {Run} run */
  run: async (run) => {
    resetPeak();
    const start = performance.now();
    const waiting = [...run.files];
    // One more than there are threads, so that none of these waits.
    const workers = Array.from({ length: run.threads + 1 }, async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        await WAYS[run.way](file, run);
      }
    });
    await Promise.all(workers);
    return { seconds: (performance.now() - start) / 1000, peakBytes: memory().peakBytes };
  },
});
