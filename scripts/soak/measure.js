import { readdirSync, readFileSync } from 'node:fs';

// What a process holds, as the system counts it (Linux).

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
 * Whether a process holds no more and more of something: its last third of measures is typically no larger than the one
 * before. The first third is for what is made once, and for memory that has to find its places.
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
