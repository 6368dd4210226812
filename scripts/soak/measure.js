import { readdirSync, readFileSync } from 'node:fs';

// Measures the threads, descriptors and memory that a process holds, as Linux counts them.

/** Its threads. */
export const threads = () => readdirSync('/proc/self/task').length;

/** Its open files, sockets and so on, but for the one that counts them. */
export const descriptors = () => readdirSync('/proc/self/fd').length - 1;

/** Its resident memory in bytes, what files are mapped to not counted. */
export function memory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** @typedef {{ threads: number, descriptors: number, memory: number }} Measure */

/** @returns {Measure} All of it. */
export const measure = () => ({
  threads: threads(),
  descriptors: descriptors(),
  memory: memory(),
});

/**
 * Tells whether a process stops taking more of something: the median of its last third of measures is at most `slack`
 * above that of the third before. The first third is left to what is made once.
 *
 * @param {readonly Measure[]} measures
 * @param {keyof Measure} what
 * @param {number} slack How much larger it may be.
 */
export function isFlat(measures, what, slack) {
  const values = measures.map((measure) => measure[what]);
  const third = Math.floor(values.length / 3);
  if (third === 0) return true;
  return median(values.slice(-third)) <= median(values.slice(-2 * third, -third)) + slack;
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/**
 * Waits until a thread that has been joined is out of the system's count as well, or it is clear that it stays.
 *
 * @param {number} most
 */
export async function threadsAtMost(most) {
  for (let turn = 0; threads() > most && turn < 500; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return threads();
}
