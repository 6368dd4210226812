// Exports models of torchvision, timm and transformers, one at a time, and compares the logits of their graphs with PyTorch's.
//
// node scripts/survey/index.js [--python PATH] [--new] [NAME …]
//
// NAME: such as torchvision/resnet18, or the beginning of names, such as timm/; all by default. --new: only those without
// a result. What it finds is kept
// in results.json, from which `npm run docs` makes docs/models.md.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Child } from '../bench/child.js';

/** @typedef {import('./types.js').Exported} Exported */
/** @typedef {import('./types.js').ModelResult} ModelResult */
/** @typedef {import('../../lib/native.js').NativeAddon} NativeAddon */
/** @typedef {import('../../lib/native.js').NativeClassifierOptions} NativeClassifierOptions */

const ROOT = path.resolve(import.meta.dirname, '../..');
const RESULTS = path.join(import.meta.dirname, 'results.json');

/** @type {{ loadAddon: () => NativeAddon }} */
const { loadAddon } = await import(new URL('../../dist/addon.js', import.meta.url).href);

const { values, positionals } = parseArgs({
  options: {
    python: { type: 'string', default: path.join(ROOT, '.venv/bin/python') },
    new: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});

const child = new Child(values.python, [path.join(import.meta.dirname, 'models.py')], {
  ...process.env,
  PYTHONPATH: path.join(ROOT, 'test/parity/judge'),
  PYTHONDONTWRITEBYTECODE: '1',
});
/** @type {{ names: string[], missing: string[] }} */
const { names, missing } = await child.ask('names');
for (const name of missing) console.log(`${name}: not installed, its models are skipped`);
const known = values.new ? readResults().map(({ name }) => name) : [];
const wanted = names.filter(
  (name) =>
    !known.includes(name) &&
    (positionals.length === 0 || positionals.some((start) => name.startsWith(start))),
);
for (const name of wanted) {
  const folder = mkdtempSync(path.join(tmpdir(), 'distill-survey-'));
  try {
    /** @type {Exported} */
    const exported = await child.ask('export', { name, folder });
    const result = await compare(name, folder, exported);
    record(result);
    console.log(
      `${name}: ${result.refused ?? `differs by ${result.difference} of ${result.largest}; pictures by ${result.spread}`}`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
await child.end();

/**
 * @param {string} name
 * @param {string} folder
 * @param {Exported} exported
 * @returns {Promise<ModelResult>}
 */
async function compare(name, folder, exported) {
  if ('refused' in exported) return { name, ...exported };
  const { mean, std, ...facts } = exported;
  /** @type {NativeClassifierOptions} */
  const options = {
    model: path.join(folder, 'model.pt2'),
    averaged: false,
    imageSize: exported.imageSize,
    mean,
    std,
    device: 'cpu',
    precision: 'fp32',
    threads: 2,
  };
  const classifier = new (loadAddon().Classifier)(options);
  try {
    await classifier.load();
    const logits = await classifier.logits(readFileSync(path.join(folder, 'pixels')));
    const bytes = new Uint8Array(readFileSync(path.join(folder, 'logits')));
    const right = new Float32Array(bytes.buffer);
    if (right.length !== logits.length) throw new Error(`it gives ${logits.length} logits`);
    const half = right.length / 2;
    return {
      name,
      ...facts,
      difference: largest(logits.map((value, i) => value - (right[i] ?? Number.NaN))),
      largest: largest(right),
      spread: largest(right.slice(half).map((value, i) => value - (right[i] ?? Number.NaN))),
    };
  } catch (error) {
    const refused = /** @type {Error} */ (error).message.replaceAll(folder + path.sep, '');
    return { name, ...facts, refused };
  } finally {
    await classifier.close();
  }
}

/**
 * The largest absolute value; NaN where there is one.
 *
 * @param {Float32Array} numbers
 */
function largest(numbers) {
  return numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** @returns {ModelResult[]} */
function readResults() {
  return JSON.parse(readFileSync(RESULTS, 'utf8'));
}

/**
 * Keeps a model's result, in the place of an earlier one.
 *
 * @param {ModelResult} result
 */
function record(result) {
  const results = readResults().filter(({ name }) => name !== result.name);
  results.push(result);
  results.sort((a, b) => (a.name < b.name ? -1 : 1));
  writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
}
