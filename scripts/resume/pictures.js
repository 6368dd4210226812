import { mkdirSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';

/**
 * Writes a small dataset: noise around a grey that is lighter in one class, and a picture that is in both classes, so that
 * nobody is ever wholly right.
 *
 * @param {string} folder
 */
export async function writePictures(folder) {
  let state = 1;
  for (const [split, count] of /** @type {const} */ ([
    ['train', 24],
    ['val', 8],
  ])) {
    for (const [label, name] of ['dark', 'light'].entries()) {
      const place = path.join(folder, split, name);
      mkdirSync(place, { recursive: true });
      for (let i = 0; i < count; i++) {
        const grey = i === 0 ? 128 : 112 + 32 * label;
        const pixels = Uint8Array.from({ length: 40 * 40 * 3 }, (_, at) => {
          if (i === 0 && at === 0) state = 7;
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          return grey + (state >>> 25) - 64;
        });
        await sharp(pixels, { raw: { width: 40, height: 40, channels: 3 } })
          .png()
          .toFile(path.join(place, `${i}.png`));
      }
    }
  }
}
