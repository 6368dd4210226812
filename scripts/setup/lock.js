// A lock between processes, on what lies in a folder.
import { createHash } from 'node:crypto';
import net from 'node:net';
import path from 'node:path';

/**
 * Does `work` while no other process of this user holds the same lock. What is locked is a name of the kernel's (an
 * abstract socket), so that nothing stays on the disk, and a killed process holds nothing. Where there are no such names,
 * as on macOS, nothing is locked.
 *
 * @template T
 * @param {string} folder
 * @param {() => T | Promise<T>} work
 * @param {() => void} [onWait] called once, where another process is at work
 * @returns {Promise<T>}
 */
export async function withLock(folder, work, onWait = () => {}) {
  const key = `${process.getuid?.()} ${path.resolve(folder)}`;
  const address = `\0node-distill-${createHash('sha256').update(key).digest('hex')}`;
  let release = await take(address);
  if (!release) onWait();
  while (!release) {
    await ended(address);
    release = await take(address);
  }
  try {
    return await work();
  } finally {
    release();
  }
}

/**
 * @param {string} address
 * @returns {Promise<(() => void) | null>} what releases the lock; null where another process holds it
 */
function take(address) {
  // Waiting processes stay connected until the lock or its holder ends.
  /** @type {net.Socket[]} */
  const waiting = [];
  const server = net.createServer((socket) => waiting.push(socket.on('error', () => {})));
  const release = () => {
    server.close();
    for (const socket of waiting) socket.destroy();
  };
  return new Promise((resolve) => {
    server.once('error', (/** @type {NodeJS.ErrnoException} */ { code }) =>
      resolve(code === 'EADDRINUSE' ? null : () => {}),
    );
    server.listen(address, () => resolve(release));
  });
}

/** Waits until whoever listens there is done. @param {string} address */
function ended(address) {
  return new Promise((resolve) => {
    net
      .connect(address)
      .on('error', () => {})
      .on('close', resolve)
      .resume();
  });
}
