import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';

/** @import { Picture } from './types.js' */

const WIDTH = 500;
const HEIGHT = 375;

/**
 * Writes JPEGs of a photograph's size whose colours and stripes depend on the class, with noise that
 * compresses about as badly as foliage. The same arguments give the same pictures.
 *
 * @param {string} root gets `train/<class>/` and `val/<class>/`
 * @param {{ train: number, val: number, classes: number }} counts
 */
export async function writePictures(root, { train, val, classes }) {
  for (const [split, count] of Object.entries({ train, val })) {
    for (let i = 0; i < count; i++) {
      const label = i % classes;
      const folder = path.join(root, split, `class${label}`);
      mkdirSync(folder, { recursive: true });
      const seed = (split === 'val' ? 1_000_000 : 0) + i + 1;
      await sharp(paint(label, seed), { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
        .jpeg({ quality: 90 })
        .toFile(path.join(folder, `${String(i).padStart(5, '0')}.jpg`));
    }
  }
}

/**
 * @param {number} label
 * @param {number} seed
 */
function paint(label, seed) {
  const random = generator(seed);
  const pixels = new Uint8Array(WIDTH * HEIGHT * 3);
  const angle = label * 1.1 + random() * 0.8;
  const [fx, fy] = [Math.cos(angle) / (6 + 20 * random()), Math.sin(angle) / (6 + 20 * random())];
  const base = [0, 1, 2].map((channel) => 110 + 40 * Math.sin(label + channel * 2) + 60 * random());
  for (let y = 0, at = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const wave = 40 * Math.sin(x * fx + y * fy) + 25 * Math.sin((x + 2 * y) / 37);
      const grain = 50 * (random() - 0.5);
      for (let channel = 0; channel < 3; channel++, at++) {
        pixels[at] = Math.min(255, Math.max(0, (base[channel] ?? 0) + wave + grain));
      }
    }
  }
  return pixels;
}

/**
 * A folder of links to some of a dataset's pictures, so that every contestant reads the same ones.
 *
 * One more validation picture stands in a second class. No student is ever wholly right then, which
 * would end a training early.
 *
 * @param {string} root where the links go
 * @param {string[]} classes
 * @param {{ train: Picture[], val: Picture[] }} pictures
 * @param {{ train: number, val: number }} limits pictures at most, of all classes alike
 */
export function linkPictures(root, classes, { train, val }, limits) {
  const contrary = val[0];
  const splits = { train: some(train, limits.train), val: some(val, limits.val) };
  if (contrary) {
    splits.val.push({ path: contrary.path, label: (contrary.label + 1) % classes.length });
  }
  for (const [split, pictures] of Object.entries(splits)) {
    for (const [i, picture] of pictures.entries()) {
      const folder = path.join(root, split, classes[picture.label] ?? '');
      mkdirSync(folder, { recursive: true });
      const name = `${String(i).padStart(6, '0')}${path.extname(picture.path)}`;
      symlinkSync(path.resolve(picture.path), path.join(folder, name));
    }
  }
}

/**
 * @param {Picture[]} pictures
 * @param {number} count
 * @returns {Picture[]}
 */
function some(pictures, count) {
  if (pictures.length <= count) return [...pictures];
  return Array.from(
    { length: count },
    (_, i) => /** @type {Picture} */ (pictures[Math.floor((i * pictures.length) / count)]),
  );
}

/**
 * The same new order for everybody: in a folder's own, each class would be learnt by itself.
 *
 * @template T
 * @param {readonly T[]} items
 * @returns {T[]}
 */
export function shuffled(items) {
  const random = generator(7);
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/**
 * Mulberry32.
 *
 * @param {number} seed
 * @returns {() => number} in [0, 1)
 */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
