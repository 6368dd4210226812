// Names a folder after the process that makes it, so that a later process can tell whether that one has ended.
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';

/** Returns a name of this process that no other process has which may share the folder, on any machine, at any time. */
export const maker = () => `${place()}-${process.pid}-${startOf(process.pid)}`;

/**
 * Tells whether a maker is known to have ended. Nothing is known of one on another machine or in another container.
 *
 * @param {string} name
 */
export function hasEnded(name) {
  const [where, pid, start] = name.split('-');
  return where === place() && startOf(Number(pid)) !== start;
}

/** The machine and the container. */
function place() {
  let container = '';
  try {
    container = readlinkSync('/proc/self/ns/pid');
  } catch {
    // macOS has none.
  }
  return createHash('sha256').update(`${os.hostname()} ${container}`).digest('hex').slice(0, 8);
}

/**
 * When a process began, in the kernel's ticks, as another may have its number later; empty where it has ended.
 *
 * @param {number} pid
 */
function startOf(pid) {
  try {
    // Its name comes first, in brackets, and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    if (process.platform === 'linux') return '';
  }
  try {
    process.kill(pid, 0);
    return '0';
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM' ? '0' : '';
  }
}
