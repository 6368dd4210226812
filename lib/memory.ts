import os from 'node:os';

/** Returns the bytes that this process could still use: those that the system has free, within its container's limit. */
export function freeMemory(): number {
  return process.availableMemory?.() ?? os.freemem();
}

/** Returns the bytes of memory that the system has, within the container's limit. */
export function totalMemory(): number {
  const limit = process.constrainedMemory(); // 0, or more than there is, where nothing is limited
  return limit > 0 ? Math.min(limit, os.totalmem()) : os.totalmem();
}
