import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { Child } from './child.js';
import { writePictures } from './pictures.js';
import { summarize } from './statistics.js';

/** @import { Plan } from './plan.js' */
/** @import { ResizeReport } from './types.js' */

const WIDTH = 4000;
const HEIGHT = 3000;
const SIDE = 256;
const SIZE = 224;
/** Standard deviations of the noise that is added, in levels: none, and about a camera's. */
const NOISES = [0, 6];

/** The contestants and what each does; those of one program share its process. */
const WAYS = [
  { title: 'node-distill', program: 'node', way: 'ours' },
  { title: 'node-distill, entropy decoding alone', program: 'node', way: 'entropy' },
  { title: 'sharp', program: 'node', way: 'sharp' },
  { title: 'sharp without fastShrinkOnLoad', program: 'node', way: 'sharpSlow' },
  { title: 'Pillow', program: 'python', way: 'pillow' },
  { title: 'Pillow, decoding alone', program: 'python', way: 'decode' },
];

/**
 * Decodes, resizes and crops JPEGs of 12 megapixels, in turn by each contestant, on as many threads: a picture's time,
 * and the most memory of the contestant's process.
 *
 * @param {Plan} plan
 * @param {string} work
 * @param {(note: string) => void} note
 * @returns {Promise<ResizeReport[]>}
 */
export async function runResize(plan, work, note) {
  const count = 3 * plan.threads;
  const sources = await sourcesOf(plan, work, count);
  const reports = [];
  for (const noise of NOISES) {
    note(`making ${count} pictures of 12 megapixels, noise ${noise}`);
    const files = [];
    for (const [i, source] of sources.entries()) {
      const file = path.join(work, `large-${noise}-${i}.jpg`);
      await enlarge(source, file, noise);
      files.push(file);
    }
    note('each contestant decodes, resizes and crops them in turn');
    reports.push(...(await measure(plan, files, noise)));
  }
  return reports;
}

/**
 * @param {Plan} plan
 * @param {string[]} files
 * @param {number} noise
 */
async function measure(plan, files, noise) {
  const ways = WAYS.filter(({ program }) => program === 'node' || plan.python);
  const folder = path.join(import.meta.dirname, 'contestants');
  const children = ways.map(({ program }) =>
    program === 'node'
      ? new Child(process.execPath, [path.join(folder, 'resize.js')], {
          ...process.env,
          UV_THREADPOOL_SIZE: String(plan.threads),
        })
      : new Child(plan.python ?? '', [path.join(folder, 'resize.py')], process.env),
  );
  /** @type {{ seconds: number, peakBytes: number }[][]} */
  const measured = ways.map(() => []);
  for (let round = -1; round < plan.rounds; round++) {
    for (const [i, { way }] of ways.entries()) {
      const parameters = { way, files, threads: plan.threads, side: SIDE, size: SIZE };
      const result = await /** @type {Child} */ (children[i]).ask('run', parameters);
      // What is done for the first time does not count.
      if (round >= 0) measured[i]?.push(/** @type {any} */ (result));
    }
  }
  await Promise.all(children.map((child) => child.end()));
  const ours = measured[0]?.map(({ seconds }) => seconds) ?? [];
  return ways.map(({ title }, i) => ({
    contestant: title,
    noise,
    millisecondsAPicture: summarize(
      (measured[i] ?? []).map(({ seconds }) => (1000 * seconds) / files.length),
    ),
    timesOurs: summarize(
      (measured[i] ?? []).map(({ seconds }, round) => seconds / (ours[round] ?? seconds)),
    ),
    peakBytes: Math.max(...(measured[i] ?? []).map(({ peakBytes }) => peakBytes)),
  }));
}

/**
 * The dataset's first photographs, or painted ones.
 *
 * @param {Plan} plan
 * @param {string} work
 * @param {number} count
 */
async function sourcesOf(plan, work, count) {
  const root = plan.dataset ?? path.join(work, 'small');
  if (!plan.dataset) {
    mkdirSync(root, { recursive: true });
    await writePictures(root, { train: count, val: 0, classes: 2 });
  }
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.jpe?g$/i.test(name))
    .sort()
    .slice(0, count)
    .map((name) => path.join(root, name));
}

/**
 * @param {string} source
 * @param {string} file
 * @param {number} noise
 */
async function enlarge(source, file, noise) {
  const pixels = await sharp(source)
    .resize(WIDTH, HEIGHT, { kernel: 'lanczos3', fit: 'fill' })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer();
  let state = 1;
  for (let i = 0; noise > 0 && i < pixels.length; i++) {
    // The sum of four uniform bytes is nearly normal, with a standard deviation of 147.8.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) >>> 0;
    const sum = (mixed & 255) + ((mixed >>> 8) & 255) + ((mixed >>> 16) & 255) + (mixed >>> 24);
    pixels[i] = Math.min(255, Math.max(0, (pixels[i] ?? 0) + ((sum - 510) * noise) / 147.8));
  }
  await sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
    .jpeg({ quality: 90, chromaSubsampling: '4:2:0' })
    .toFile(file);
}
