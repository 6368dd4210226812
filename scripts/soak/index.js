// `npm run soak`: many predictions, trainings and aborted trainings in one process, which must not hold more and more of the
// system. What it holds is printed as they go on; the exit code is 1 where threads or descriptors are left, or where resident
// memory is more than 2 % above what it was after fifty.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { loadAddonModule, loadErrors, loadPackage } from '../bench/product.js';
import { random } from '../random.js';
import { descriptors, memory, threadsAtMost } from './measure.js';

const { values } = parseArgs({
  options: {
    predictions: { type: 'string', default: '10000' },
    trainings: { type: 'string', default: '1000' },
    aborts: { type: 'string', default: '1000' },
    reports: { type: 'string', default: '20' }, // of each, beside the one after fifty
    seed: { type: 'string', default: '1' }, // of the moments of the aborts
  },
});

/** Of each kind of work, after which everything that is made once is there. */
const SETTLED = 50;

const folder = mkdtempSync(path.join(os.tmpdir(), 'soak-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const inFolder = (/** @type {string[]} */ ...names) => path.join(folder, ...names);

const { distill, predict } = await loadPackage();
const { loadAddon } = await loadAddonModule();
const { DistillError } = await loadErrors();
const { createModel } = loadAddon();
const file = { teacher: inFolder('teacher.pth'), student: inFolder('student.pth') };
await createModel({ path: file.teacher, architecture: 'densenet121', classes: 2, seed: 1 });
const pictures = await writePictures(inFolder('pictures'));

const input = {
  ...file,
  dataset: inFolder('pictures'),
  mean: /** @type {const} */ ([0.5, 0.5, 0.5]),
  std: /** @type {const} */ ([0.25, 0.25, 0.25]),
  imageSize: 32,
  epochs: 1,
  seed: 1,
};
await distill(input); // writes the student

const verdicts = [
  await soak('predict()', Number(values.predictions), async (i) => {
    const image = pictures[i % pictures.length] ?? '';
    const [{ label } = { label: '' }] = await predict({ student: file.student, images: image });
    if (label !== 'a' && label !== 'b') throw new Error(`the label is '${label}'`);
  }),
  await soak('distill()', Number(values.trainings), async (i) => {
    const { epochs } = await distill({ ...input, ...inRunFolder(i) });
    if (epochs !== 1) throw new Error(`${epochs} epochs were run`);
  }),
  await soak('distill(), aborted', Number(values.aborts), abortedRun()),
];
process.exitCode = verdicts.every(Boolean) ? 0 : 1;

/**
 * Every other run has a folder.
 *
 * @param {number} i
 */
function inRunFolder(i) {
  const runDir = inFolder('run');
  rmSync(runDir, { recursive: true, force: true });
  return i % 2 === 0 ? { runDir, checkpointEvery: 0 } : {};
}

/** Returns what begins a training and aborts it at a random moment: before it begins, on its way, or in its second epoch. */
function abortedRun() {
  const draw = random(Number(values.seed));
  let longest = 50; // milliseconds until the second epoch, as far as is known
  return async (/** @type {number} */ i) => {
    const controller = new AbortController();
    const began = performance.now();
    const run = distill({
      ...input,
      ...inRunFolder(i),
      epochs: 1e6,
      signal: controller.signal,
    }).on('epoch', ({ epoch }) => {
      if (epoch === 2) longest = Math.max(longest, performance.now() - began);
    });
    const timer = setTimeout(() => controller.abort(), draw(Math.ceil(longest)));
    try {
      await run;
      throw new Error('a run that was aborted has ended');
    } catch (error) {
      if (!(error instanceof DistillError) || error.code !== 'ERR_ABORTED') throw error;
    } finally {
      clearTimeout(timer);
    }
  };
}

/**
 * Does something many times in turn.
 *
 * @param {string} what
 * @param {number} count
 * @param {(i: number) => Promise<void>} once
 * @returns {Promise<boolean>} Whether the process holds no more in the end than after the first fifty.
 */
async function soak(what, count, once) {
  if (count <= SETTLED) return true;
  console.log(`\n${'done'.padStart(8)}  threads  descriptors  memory (MB)   ${what}`);
  const every = Math.ceil(count / Number(values.reports));
  /** @type {Awaited<ReturnType<typeof held>> | undefined} */
  let settled;
  for (let done = 1; done <= count; done++) {
    await once(done);
    if (done !== SETTLED && done % every !== 0 && done !== count) continue;
    const now = await held(settled?.threads);
    if (done === SETTLED) settled = now;
    const row = [now.threads, now.descriptors, (now.memory / 1e6).toFixed(1)].map(String);
    console.log(
      `${String(done).padStart(8)}  ${row.map((text, i) => text.padStart([7, 11, 11][i] ?? 0)).join('  ')}`,
    );
    if (done < count || !settled) continue;
    const more = now.memory / settled.memory - 1;
    const left = [now.threads - settled.threads, now.descriptors - settled.descriptors];
    console.log(
      `${what} ${count} times: ${left[0]} threads, ${left[1]} descriptors and ${(100 * more).toFixed(2)} % of memory more than after ${SETTLED}`,
    );
    return left.every((number) => number <= 0) && more <= 0.02;
  }
  return true;
}

/**
 * Measures what the process holds once its garbage is collected.
 *
 * @param {number} [most] Threads: those above them have some time to end.
 */
async function held(most = 0) {
  const left = await threadsAtMost(most);
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { threads: left, descriptors: descriptors(), memory: memory() };
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
