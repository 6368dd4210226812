// Loads mutated exported programs one by one, and says for each what came of it: `begin SEED`, then a line of JSON.
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { mutation } from './mutate.js';

const {
  addon: addonUrl,
  operators: operatorsFile,
  bases,
  folder,
  first,
  count,
} = JSON.parse(/** @type {string} */ (process.argv[2]));
const { loadAddon } = await import(addonUrl);
const addon = loadAddon();
const operators = JSON.parse(readFileSync(operatorsFile, 'utf8'));
const execution = { device: 'cpu', precision: 'fp32', threads: 1 };
const numbers = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };

/** @param {string} model @param {number} imageSize @returns {Promise<string[]>} */
async function answers(model, imageSize) {
  const pixels = Uint8Array.from({ length: 2 * imageSize ** 2 * 3 }, (_, i) => (i * 7919) % 251);
  await addon.inspect(model, false);
  const classifier = new addon.Classifier({
    model,
    averaged: false,
    imageSize,
    ...numbers,
    ...execution,
  });
  try {
    await classifier.load();
    const logits = [await classifier.logits(pixels), await classifier.logits(pixels)];
    return logits.map((each) => Array.from(each).join(' '));
  } finally {
    await classifier.close();
  }
}

/** @param {string} model @param {number} imageSize */
async function teach(model, imageSize) {
  const session = new addon.Session({ imageSize, ...numbers, ...execution });
  try {
    await session.open();
    await session.loadTeacher(model, false);
  } finally {
    await session.close();
  }
}

/** @param {any} error */
const told = (error) => ({ code: error.code ?? 'none', message: String(error.message) });

const wholes = await Promise.all(
  bases.map(async (/** @type {any} */ { file, imageSize }) => ({
    bytes: readFileSync(file),
    imageSize,
    answer: (await answers(file, imageSize))[0],
  })),
);
const file = path.join(folder, `${process.pid}.pt2`);
for (let seed = first; seed < first + count; seed++) {
  writeSync(1, `begin ${seed}\n`);
  const { bytes, imageSize, answer } = wholes[seed % wholes.length];
  const { kind, bytes: mutated } = mutation(bytes, operators, seed);
  writeFileSync(file, mutated);
  const outcome = await answers(file, imageSize).then(
    ([one, other]) => ({
      code: 'answer',
      message: '',
      isSame: one === other,
      isRight: kind !== 'bytes' || one === answer,
    }),
    told,
  );
  const teacher = seed % 4 ? null : await teach(file, imageSize).then(() => null, told);
  const peak = process.resourceUsage().maxRSS / 1024; // MiB
  writeSync(1, `${JSON.stringify({ seed, kind, outcome, teacher, peak })}\n`);
}
