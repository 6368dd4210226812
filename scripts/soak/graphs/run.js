import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('child.js', import.meta.url));
const ROOT = new URL('../../../', import.meta.url);
const fixture = (/** @type {string} */ name) =>
  fileURLToPath(new URL(`test/fixtures/${name}`, ROOT));
export const BASES = [
  { file: fixture('pt2/torch-2.13.pt2'), imageSize: 8 },
  { file: fixture('graphs/many.pt2'), imageSize: 16 },
];
export const OPERATORS = fixture('graphs/operators.json');
const GOOD =
  /^(answer|ERR_GRAPH|ERR_CHECKPOINT_\w+|ERR_MODEL_ARCHITECTURE|ERR_TEACHER_ARCHITECTURE|ERR_NOT_FINITE)$/;

/**
 * @typedef {object} Report
 * @property {number} done
 * @property {Record<string, number>} codes How many mutations ended with each code, or with an answer.
 * @property {string[]} failures Crashes, hangs, wrong answers, and errors of the wrong kind, with their seeds.
 * @property {number} peak The most memory that a child had, in MiB.
 * @property {{ seed: number, seconds: number }} slowest
 */

/**
 * Loads mutations of real exported programs in processes of their own, which are ended where one takes too long or too
 * much memory.
 *
 * @param {{ first: number, count: number, seconds?: number, memory?: number, onDone?: (report: Report) => void }} options
 * seconds: the most for one mutation. memory: the most for the process, in MiB.
 * @returns {Promise<Report>}
 */
export async function soakGraphs({ first, count, seconds = 60, memory = 6000, onDone = () => {} }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'soak-graphs-'));
  /** @type {Report} */
  const report = { done: 0, codes: {}, failures: [], peak: 0, slowest: { seed: -1, seconds: 0 } };
  try {
    for (let next = first; next < first + count; ) {
      // A child does not live for ever: what one mutation leaves behind does not weigh on thousands.
      const part = Math.min(1000, first + count - next);
      next = await runPart({ first: next, count: part, folder, seconds, memory }, report, onDone);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return report;
}

/**
 * Returns the seed to go on from.
 *
 * @param {{ first: number, count: number, folder: string, seconds: number, memory: number }} part
 * @param {Report} report
 * @param {(report: Report) => void} onDone
 * @returns {Promise<number>}
 */
async function runPart({ first, count, folder, seconds, memory }, report, onDone) {
  const addon = process.env.DISTILL_ADDON ?? new URL('dist/addon.js', ROOT).href;
  const input = { addon, operators: OPERATORS, bases: BASES, folder, first, count };
  const child = spawn(process.execPath, [CHILD, JSON.stringify(input)], {
    env: { ...process.env, OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let seed = first - 1;
  let began = performance.now();
  let reason = '';
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-2000);
  });
  const watch = setInterval(() => {
    if (performance.now() - began > 1000 * seconds) reason = `takes more than ${seconds} s`;
    else if (residentOf(child.pid) > memory) reason = `takes more than ${memory} MiB`;
    if (reason) child.kill('SIGKILL');
  }, 100);
  let isOpen = false;
  for await (const line of readline.createInterface({ input: child.stdout })) {
    if (line.startsWith('begin ')) {
      seed = Number(line.slice(6));
      began = performance.now();
      isOpen = true;
    } else if (line.startsWith('{')) {
      isOpen = false;
      judge(JSON.parse(line), (performance.now() - began) / 1000, report);
      onDone(report);
    }
  }
  clearInterval(watch);
  const ended = await new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode) resolve(child.signalCode ?? child.exitCode);
    else child.on('exit', (code, signal) => resolve(signal ?? code));
  });
  if (!isOpen && ended === 0) return first + count;
  report.failures.push(`seed ${seed}: ${reason || `the process ended with ${ended}`} ${errors}`);
  if (seed < first) throw new Error(`the child does not begin: ${errors}`);
  report.done += 1;
  onDone(report);
  return seed + 1;
}

/** @param {any} result @param {number} seconds @param {Report} report */
function judge({ seed, kind, outcome, teacher, peak }, seconds, report) {
  report.done += 1;
  report.codes[outcome.code] = (report.codes[outcome.code] ?? 0) + 1;
  report.peak = Math.max(report.peak, peak);
  if (seconds > report.slowest.seconds) report.slowest = { seed, seconds };
  for (const each of [outcome, teacher]) {
    if (!each) continue;
    if (!GOOD.test(each.code))
      report.failures.push(`seed ${seed} (${kind}): ${each.code} ${each.message}`);
    else if (each.isSame === false)
      report.failures.push(`seed ${seed} (${kind}): two different answers`);
    else if (each.isRight === false) report.failures.push(`seed ${seed} (${kind}): a wrong answer`);
  }
}

/** The memory of a process, in MiB; 0 where the system does not tell. @param {number | undefined} pid */
function residentOf(pid) {
  try {
    const kib = /VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kib ?? 0) / 1024;
  } catch {
    return 0;
  }
}
