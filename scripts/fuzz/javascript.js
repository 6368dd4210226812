import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { SLOWEST } from './readers.js';

/** @import { Run, Work } from './fuzz.js' */

/** MiB that the heap may take beside what a reader may: the compiled code, and the files that are kept. */
const HEAP = 64;

/**
 * Fuzzes a reader of lib/ until the time is up or something is found.
 *
 * @param {Work} work
 * @returns {Promise<Run>}
 */
export async function fuzzJavaScript(work) {
  const { reader, slack, findings, temporary } = work;
  // The number of the input that is read, its length, and its bytes.
  const current = new SharedArrayBuffer(8 + reader.longest);
  const state = new Int32Array(current, 0, 2);
  const worker = new Worker(new URL('./guided.js', import.meta.url), {
    workerData: { ...work, current },
    env: { ...process.env, TMPDIR: temporary, DISTILL_FUZZ_SLACK: `${slack}` },
    resourceLimits: { maxOldGenerationSizeMb: HEAP + slack + (4 * reader.longest) / 2 ** 20 },
  });
  const ended = new Promise((resolve) => {
    worker.once('message', (result) => resolve(result));
    worker.once('error', (error) => resolve({ reason: error.message }));
    worker.once('exit', (code) => resolve({ reason: `ended with ${code}` }));
  });
  const result = await Promise.race([ended, hang(state)]);
  await worker.terminate();
  const executions = Atomics.load(state, 0);
  if (result.reason === null) return { executions, coverage: result.coverage, finding: null };
  const data = new Uint8Array(current, 8, Atomics.load(state, 1)).slice();
  const name = `crash-${createHash('sha1').update(data).digest('hex')}`;
  const file = path.join(findings, name);
  writeFileSync(file, data);
  writeFileSync(`${file}.txt`, result.reason);
  return { executions, coverage: 0, finding: { file, reason: result.reason.split('\n')[0] } };
}

/**
 * Waits for an input that takes too much of the processor's time, which a busy machine does not change.
 *
 * @param {Int32Array} state
 */
async function hang(state) {
  let last = 0;
  let began = process.cpuUsage();
  while (true) {
    await wait(500, undefined, { ref: false });
    const { user, system } = process.cpuUsage(began);
    if (Atomics.load(state, 0) !== last) {
      last = Atomics.load(state, 0);
      began = process.cpuUsage();
    } else if (last > 0 && user + system > 1e6 * SLOWEST) {
      return { reason: `timeout: more than ${SLOWEST} s of the processor's time` };
    }
  }
}
