// Handwritten digits of MNIST, from the package `mnist`, as folders of pictures.
import { mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import sharp from 'sharp';

/** The side of a digit, in pixels. */
const SIDE = 28;

/**
 * Writes `<part>/<digit>/*.png`. The folder appears when all are in it.
 *
 * @param {string} folder
 * @param {Record<string, number>} parts pictures of each digit, by name; no picture is in two of them
 */
export async function writeDigits(folder, parts) {
  const digits = Array.from({ length: 10 }, (_, digit) => picturesOf(digit));
  const wanted = Object.values(parts).reduce((sum, count) => sum + count);
  const most = Math.min(...digits.map(({ length }) => length));
  if (wanted > most) {
    throw new Error(
      `The package mnist has ${most} pictures of each digit, but ${wanted} are asked for: take fewer.`,
    );
  }
  const unfinished = `${folder}.part`;
  rmSync(unfinished, { recursive: true, force: true });
  for (const [digit, pictures] of digits.entries()) {
    for (const [part, count] of Object.entries(parts)) {
      const place = path.join(unfinished, part, `${digit}`);
      mkdirSync(place, { recursive: true });
      await Promise.all(
        pictures.splice(0, count).map((pixels, i) =>
          sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 1 } })
            .png()
            .toFile(path.join(place, `${i}.png`)),
        ),
      );
    }
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(unfinished, folder);
}

/**
 * The package has a file for each digit: one list of grey values in 0..1, picture after picture.
 *
 * @param {number} digit
 * @returns {Uint8Array[]}
 */
function picturesOf(digit) {
  const file = createRequire(import.meta.url).resolve(`mnist/src/digits/${digit}.json`);
  /** @type {number[]} */
  const values = JSON.parse(readFileSync(file, 'utf8')).data;
  const size = SIDE * SIDE;
  return Array.from({ length: Math.floor(values.length / size) }, (_, i) =>
    Uint8Array.from(values.slice(i * size, (i + 1) * size), (value) => Math.round(value * 255)),
  );
}
