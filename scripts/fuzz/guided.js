// A worker that fuzzes a reader of lib/, guided by the branches that V8 counts: libFuzzer's way, for JavaScript. (Jazzer.js
// is libFuzzer itself, but its binaries need a C library that Debian 12 does not have.)
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import inspector from 'node:inspector';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { mutate } from './mutate.js';
import { ROOT } from './program.js';

/** @type {import('./fuzz.js').Work & { current: SharedArrayBuffer }} */
const { reader, seconds, corpus, seeds, dictionaries, current } = workerData;
const words = dictionaries.flatMap((file) => wordsOf(readFileSync(file, 'utf8')));
const readers = await import('../../test/fuzz/readers.js');
/** @type {(data: Uint8Array) => void | Promise<void>} */
const read = /** @type {never} */ (readers)[reader.name];

const session = new inspector.Session();
session.connect();
post('Profiler.enable');
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

const state = new Int32Array(current, 0, 2);
const input = new Uint8Array(current, 8);
const source = pathToFileURL(path.join(ROOT, 'dist/')).href;
/** Branches that were reached. @type {Set<string>} */
const known = new Set();
/** @type {Uint8Array[]} */
const kept = [];
let executions = 0;

for (const folder of [seeds, corpus]) {
  for (const name of readdirSync(folder)) {
    const data = readFileSync(path.join(folder, name)).subarray(0, reader.longest);
    kept.push(data);
    await run(data);
  }
}
learn();
const end = performance.now() + 1000 * seconds;
while (performance.now() < end) {
  // Asking V8 takes longer than reading: where many files reach something new, they are read again one by one.
  const batch = Array.from({ length: 64 }, () => mutate(kept, words, reader.longest));
  for (const data of batch) await run(data);
  if (reached().every((branch) => known.has(branch))) continue;
  for (const data of batch) {
    await run(data);
    if (!learn()) continue;
    kept.push(data);
    writeFileSync(path.join(corpus, createHash('sha1').update(data).digest('hex')), data);
  }
}
parentPort?.postMessage({ coverage: known.size, reason: null });

/**
 * Reads an input. The other thread sees which one, so that it can keep it.
 *
 * @param {Uint8Array} data
 */
async function run(data) {
  input.set(data);
  Atomics.store(state, 1, data.length);
  Atomics.store(state, 0, ++executions);
  try {
    await read(Uint8Array.from(data));
  } catch (error) {
    throw new Error(inspect(error));
  }
}

/** Adds what was reached since V8 was asked last, and tells whether some of it is new. */
function learn() {
  const before = known.size;
  for (const branch of reached()) known.add(branch);
  return known.size > before;
}

/** Returns the branches that were reached since the last call. */
function reached() {
  const scripts = post('Profiler.takePreciseCoverage').result;
  return scripts
    .filter(({ url }) => url.startsWith(source))
    .flatMap(({ url, functions }) =>
      functions
        .flatMap(({ ranges }) => ranges)
        .filter(({ count }) => count > 0)
        .map(({ startOffset, endOffset }) => `${url}:${startOffset}-${endOffset}`),
    );
}

/**
 * Returns the words of a dictionary of libFuzzer: one in quotes a line, with escapes.
 *
 * @param {string} text
 */
function wordsOf(text) {
  const bytes = (/** @type {string} */ word) =>
    word.replace(/\\(x..|.)/g, (_, code) =>
      code.length > 1 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : code,
    );
  return [...text.matchAll(/^"(.*)"$/gm)].map(([, word]) =>
    Buffer.from(bytes(word ?? ''), 'latin1'),
  );
}

/**
 * Asks V8's profiler, which answers at once.
 *
 * @param {string} method
 * @param {object} [parameters]
 * @returns {{ result: import('node:inspector').Profiler.ScriptCoverage[] }}
 */
function post(method, parameters) {
  /** @type {any} */
  let answer;
  session.post(method, parameters, (error, result) => {
    if (error) throw error;
    answer = result;
  });
  return answer;
}
