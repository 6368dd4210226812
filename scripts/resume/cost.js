// `node scripts/resume/cost.js --dataset FOLDER --teacher FILE`: what keeping a run in a folder costs. The same training with and
// without `runDir`, in turn; of each round the ratio of the time of an epoch, from the end of the first one to the end of the last.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadPackage } from '../bench/product.js';
import { summarize } from '../bench/statistics.js';

const { values } = parseArgs({
  options: {
    dataset: { type: 'string' },
    teacher: { type: 'string' },
    'batch-size': { type: 'string', default: '32' },
    'image-size': { type: 'string', default: '32' },
    epochs: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '7' },
    every: { type: 'string', default: '60' }, // seconds between two states within an epoch
  },
});
const { dataset, teacher } = values;
if (!dataset || !teacher) {
  console.error('cost: expected --dataset FOLDER and --teacher FILE');
  process.exit(2);
}

const { distill } = await loadPackage();
const work = mkdtempSync(path.join(os.tmpdir(), 'cost-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));

const epochs = Number(values.epochs);
/** @type {number[]} */
const ratios = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  const ways = round % 2 === 0 ? [true, false] : [false, true];
  /** @type {Record<string, number>} */
  const seconds = {};
  for (const isKept of ways) seconds[`${isKept}`] = await secondsOfAnEpoch(isKept);
  const { true: kept = Number.NaN, false: plain = Number.NaN } = seconds;
  ratios.push(kept / plain);
  console.log(
    `round ${round}: ${kept.toFixed(3)} s an epoch with a folder, ${plain.toFixed(3)} s without, ratio ${(kept / plain).toFixed(4)}`,
  );
}
const summary = summarize(ratios);
if (summary) {
  const [median, min, max] = [summary.median, summary.min, summary.max].map((x) => x.toFixed(4));
  console.log(`an epoch with a folder takes ${median} times as long (${min} to ${max})`);
}

/** @param {boolean} isKept */
async function secondsOfAnEpoch(isKept) {
  const runDir = path.join(work, 'run');
  rmSync(runDir, { recursive: true, force: true });
  const options = {
    dataset: `${dataset}`,
    teacher: `${teacher}`,
    epochs,
    overwrite: true,
    seed: 1,
    student: path.join(work, 'student.pth'),
    mean: /** @type {const} */ ([0.485, 0.456, 0.406]),
    std: /** @type {const} */ ([0.229, 0.224, 0.225]),
    imageSize: Number(values['image-size']),
    batchSize: Number(values['batch-size']),
    device: 'cpu',
  };
  const keeping = isKept ? { runDir, checkpointEvery: Number(values.every) } : {};
  /** @type {number[]} */
  const ends = [];
  await distill({ ...options, ...keeping })
    .on('epoch', () => ends.push(performance.now()))
    .on('warning', () => {});
  const [first = 0, last = 0] = [ends[0], ends.at(-1)];
  return (last - first) / (ends.length - 1) / 1000;
}
