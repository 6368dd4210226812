import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fuzzJavaScript } from './javascript.js';
import { fuzzNative } from './native.js';
import { ROOT } from './program.js';

/** @import { Reader } from './readers.js' */

/** A run ends with what it finds: after as many it is not started again. */
const MOST_FINDINGS = 10;

/**
 * @typedef {object} Work
 * @property {Reader} reader
 * @property {number} seconds none: only the files that there are
 * @property {number} slack MiB that a file may ask for beside four times its size
 * @property {string} corpus the folder of files that were kept by earlier runs
 * @property {string} seeds the folder of those to begin with
 * @property {string} findings
 * @property {string} temporary
 * @property {string[]} dictionaries
 *
 * @typedef {object} Run
 * @property {number} executions
 * @property {number} coverage branches that all files together reach
 * @property {{ file: string, reason: string } | null} finding
 */

/**
 * Fuzzes one reader.
 *
 * @param {Reader} reader
 * @param {Pick<Work, 'seconds' | 'slack'> & { folder: string }} given `folder`: of what is collected and found
 */
export async function fuzz(reader, { seconds, slack, folder }) {
  // Each input is written to a file: in memory where the system has a folder there, which is many times faster.
  const memory = '/dev/shm';
  const temporary = mkdtempSync(path.join(existsSync(memory) ? memory : os.tmpdir(), 'fuzz-'));
  /** @type {Work} */
  const work = {
    reader,
    seconds,
    slack,
    corpus: path.join(folder, 'corpus', reader.name),
    findings: path.join(folder, 'findings', reader.name),
    seeds: path.join(temporary, 'seeds'),
    temporary,
    dictionaries: reader.dictionaries.map((name) =>
      path.join(ROOT, `test/fuzz/dictionaries/${name}.dict`),
    ),
  };
  try {
    for (const place of [work.corpus, work.findings, work.seeds])
      mkdirSync(place, { recursive: true });
    for (const file of seedsOf(reader))
      copyFileSync(file, path.join(work.seeds, path.basename(file)));
    const result = {
      seconds: 0,
      executions: 0,
      coverage: 0,
      findings: /** @type {{ file: string, reason: string }[]} */ ([]),
    };
    const began = performance.now();
    do {
      const left = { ...work, seconds: Math.ceil(seconds - result.seconds) };
      const run = await (reader.kind === 'native' ? fuzzNative(left) : fuzzJavaScript(left));
      result.executions += run.executions;
      result.coverage = Math.max(result.coverage, run.coverage);
      result.seconds = (performance.now() - began) / 1000;
      if (!run.finding) break;
      result.findings.push(run.finding);
    } while (result.seconds < seconds && result.findings.length < MOST_FINDINGS);
    return result;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @param {Reader} reader */
function seedsOf({ name, seeds }) {
  const own = { folder: `test/fuzz/corpus/${name}`, files: /./ };
  return [own, ...(seeds ? [seeds] : [])].flatMap(({ folder, files }) => {
    const place = path.join(ROOT, folder);
    const names = existsSync(place) ? readdirSync(place) : [];
    return names.filter((name) => files.test(name)).map((name) => path.join(place, name));
  });
}
