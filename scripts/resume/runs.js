import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { random } from '../random.js';

/** @typedef {import('./cases.js').Case} Case */

/** Files whose bytes must be the same: networks, and what a run says of itself but its times. */
const NETWORK = /\.(pth|safetensors|pt2)$/;

/** Runs that nobody killed, by their folder. @type {Map<string, number>} */
const done = new Map();

/**
 * Trains the teacher that the cases learn from.
 *
 * @param {string} work
 */
export async function makeTeacher(work) {
  const folder = path.join(work, 'taught');
  const options = {
    dataset: path.join(work, 'photos'),
    imageSize: 32,
    epochs: 1,
    seed: 1,
    threads: 1,
  };
  const one = { name: 'teacher', call: 'teach', options: { ...options, overwrite: true } };
  await end(start(one, folder, false), one);
  copyFileSync(path.join(folder, 'teacher.pth'), path.join(work, 'teacher.pth'));
}

/**
 * Runs a case to its end once.
 *
 * @param {Case} one
 * @param {string} folder
 */
export async function uninterrupted(one, folder) {
  let milliseconds = done.get(folder);
  if (milliseconds === undefined) {
    const started = performance.now();
    await end(start(one, folder, false), one);
    milliseconds = performance.now() - started;
    done.set(folder, milliseconds);
  }
  return { folder, milliseconds };
}

/**
 * Kills a case at random moments, one to five times, each time resumes it, and lets it end then.
 *
 * @param {Case} one
 * @param {string} folder
 * @param {{ seed: number, milliseconds: number }} given Of the moments; the time that the case takes.
 * @returns {Promise<number>} The kills that met the run at work.
 */
export async function interrupted(one, folder, { seed, milliseconds }) {
  const draw = random(seed);
  let kills = 0;
  for (let left = 1 + draw(5); left > 0; left--) {
    const child = start(one, folder, true);
    const ended = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), draw(Math.ceil(milliseconds)));
    const [code, signal] = await ended;
    clearTimeout(timer);
    if (signal === 'SIGKILL') kills += 1;
    else if (code !== 0) throw new Error(`${one.call} (${one.name}) ended with ${code}`);
  }
  await end(start(one, folder, true), one);
  return kills;
}

/**
 * Compares two run folders and what lies beside them.
 *
 * @param {string} expected
 * @param {string} found
 * @returns {string[]} What differs.
 */
export function differences(expected, found) {
  const [wanted, there] = [expected, found].map((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => path.extname(name) !== '')
      .sort(),
  );
  const missing = (wanted ?? []).filter((name) => !there?.includes(name));
  const more = (there ?? []).filter((name) => !wanted?.includes(name));
  const changed = (wanted ?? []).filter((name) => {
    if (!there?.includes(name)) return false;
    const [a, b] = [expected, found].map((folder) => comparable(path.join(folder, name)));
    return a !== b;
  });
  return [
    ...missing.map((name) => `${name} is missing`),
    ...more.map((name) => `${name} is left`),
    ...changed.map((name) => `${name} is another`),
  ];
}

/** @param {string} file */
function comparable(file) {
  if (NETWORK.test(file) && !file.endsWith('state.safetensors')) {
    return readFileSync(file, 'latin1');
  }
  if (!file.endsWith('.jsonl')) return '';
  const times = /"seconds":\{[^}]*\}|"(\w*[sS]econds|imagesPerSecond)":[^,}]*/g;
  return readFileSync(file, 'utf8').replace(times, '');
}

/**
 * @param {Case} one
 * @param {string} folder
 * @param {boolean} resume
 */
function start({ call, options }, folder, resume) {
  mkdirSync(folder, { recursive: true });
  const outputs =
    call === 'teach'
      ? { teacher: path.join(folder, 'teacher.pth') }
      : { student: path.join(folder, 'student.pth') };
  const given = { ...options, ...outputs, runDir: path.join(folder, 'run'), resume };
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'run.js')], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.stdin.on('error', () => {}); // killed before it read
  child.stdin.end(JSON.stringify({ call, options: given }));
  return child;
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {Case} one
 */
async function end(child, { call, name }) {
  const [code, signal] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${call} (${name}) ended with ${signal ?? code}`);
}
