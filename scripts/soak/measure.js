import { readdirSync, readFileSync } from 'node:fs';

// Measures the threads, descriptors and memory that a process holds, as Linux counts them.

/** Its threads, but for those of libvips, which keeps more or fewer of them for its next picture. */
export function threads() {
  const names = readdirSync('/proc/self/task').map((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
    } catch {
      return null; // it has ended since
    }
  });
  return names.filter((name) => name !== null && name !== 'libvips worker').length;
}

/** Its open files, sockets and so on, but for the one that counts them. */
export const descriptors = () => readdirSync('/proc/self/fd').length - 1;

/** Its resident memory in bytes, what files are mapped to not counted. */
export function memory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
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
