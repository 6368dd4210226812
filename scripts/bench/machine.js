import { readFileSync } from 'node:fs';
import os from 'node:os';

/** @import { Machine } from './types.js' */

/** The processor's features that decide how fast the contestants' kernels are. */
const TELLING = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16', 'asimd', 'bf16', 'sve'];

/** @returns {Machine} */
export function describeMachine() {
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    features: featuresOf(),
    loadAverage: os.loadavg()[0] ?? 0,
    versions: { node: process.versions.node },
  };
}

function featuresOf() {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    const known = new Set(flags?.[1]?.trim().split(/\s+/));
    return TELLING.filter((name) => known.has(name));
  } catch {
    return [];
  }
}
