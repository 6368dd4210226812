// `npm run soak`: many predictions and trainings in one process, which must not hold more and more of the system: threads,
// descriptors and memory are printed as they go on, and whether they stay flat.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { loadAddonModule, loadPackage } from '../bench/product.js';
import { isFlat, measure } from './measure.js';

/** @import { Measure } from './measure.js' */

const { values } = parseArgs({
  options: {
    predictions: { type: 'string', default: '10000' },
    trainings: { type: 'string', default: '1000' },
    reports: { type: 'string', default: '30' }, // of each
  },
});

const folder = mkdtempSync(path.join(os.tmpdir(), 'soak-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const inFolder = (/** @type {string[]} */ ...names) => path.join(folder, ...names);

const { distill, predict } = await loadPackage();
const { loadAddon } = await loadAddonModule();
const { createModel } = loadAddon();
const file = { teacher: inFolder('teacher.pth'), student: inFolder('student.pth') };
await createModel({ path: file.teacher, architecture: 'densenet121', classes: 2, seed: 1 });
const pictures = await writePictures(inFolder('pictures'));

/** @type {{ mean: [number, number, number], std: [number, number, number] }} */
const preprocessing = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
const train = () =>
  distill({
    ...file,
    ...preprocessing,
    dataset: inFolder('pictures'),
    imageSize: 32,
    epochs: 1,
    seed: 1,
  });
await train(); // writes the student

const isPredictionFlat = await soak('predict()', Number(values.predictions), async (i) => {
  const [{ label } = { label: '' }] = await predict({
    student: file.student,
    images: pictures[i % pictures.length] ?? '',
  });
  if (label !== 'a' && label !== 'b') throw new Error(`the label is '${label}'`);
});
const isTrainingFlat = await soak('distill()', Number(values.trainings), async () => {
  const { epochs } = await train();
  if (epochs !== 1) throw new Error(`${epochs} epochs were run`);
});
process.exitCode = isPredictionFlat && isTrainingFlat ? 0 : 1;

/**
 * Does something many times in turn.
 *
 * @param {string} what
 * @param {number} count
 * @param {(i: number) => Promise<void>} once
 * @returns {Promise<boolean>} Whether the process holds no more and more.
 */
async function soak(what, count, once) {
  /** @type {Measure[]} */
  const measures = [];
  console.log(`\n${'done'.padStart(8)}  threads  descriptors  memory (MB)   ${what}`);
  const every = Math.max(1, Math.round(count / Number(values.reports)));
  for (let done = 1; done <= count; done++) {
    await once(done);
    if (done % every !== 0) continue;
    const held = measure();
    measures.push(held);
    const row = [held.threads, held.descriptors, (held.memory / 1e6).toFixed(1)].map(String);
    console.log(
      `${String(done).padStart(8)}  ${row.map((text, i) => text.padStart([7, 11, 11][i] ?? 0)).join('  ')}`,
    );
  }
  const flat = {
    // libvips keeps more or fewer threads for its next picture.
    threads: isFlat(measures, 'threads', 8),
    descriptors: isFlat(measures, 'descriptors', 0),
    memory: isFlat(measures, 'memory', 8e6),
  };
  const verdicts = Object.entries(flat).map(([name, is]) => `${name} ${is ? 'flat' : 'GROWING'}`);
  console.log(`${what} ${count} times: ${verdicts.join(', ')}`);
  return Object.values(flat).every(Boolean);
}

/**
 * Four pictures of each of two classes, to train with and to validate.
 *
 * @param {string} root
 */
async function writePictures(root) {
  const files = [];
  for (const [k, place] of ['train/a', 'train/b', 'val/a', 'val/b'].entries()) {
    mkdirSync(path.join(root, place), { recursive: true });
    for (let i = 0; i < 4; i++) {
      const background = { r: 60 * (k % 2) + 8 * i, g: 90, b: 120 - 60 * (k % 2) };
      const made = path.join(root, place, `${i}.png`);
      await sharp({ create: { width: 32, height: 32, channels: 3, background } }).toFile(made);
      files.push(made);
    }
  }
  return files;
}
