import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Child } from './child.js';

/** @import { Plan } from './plan.js' */
/** @import { Precision } from './types.js' */

const HERE = path.join(import.meta.dirname, 'contestants');
const JUDGE = path.resolve(import.meta.dirname, '../../test/parity/judge');

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {string} title
 * @property {'ours' | 'pytorch' | 'tfjs'} kind
 * @property {object} parameters of its `setup`
 * @property {Precision | 'any'} tolerance by which precision its losses are judged
 * @property {(plan: Plan) => Child} start
 */

/** @type {Contestant[]} */
export const CONTESTANTS = [
  ours('ours-fp32', 'node-distill, float32', 'fp32'),
  ours('ours-bf16', 'node-distill, bf16', 'bf16'),
  ...(hasGpu()
    ? [
        ours('ours-gpu-tf32', 'node-distill, GPU, TF32', 'fp32', 'cuda'),
        ours('ours-gpu-bf16', 'node-distill, GPU, bf16', 'bf16', 'cuda'),
      ]
    : []),
  pytorch('reference', "PyTorch, the article's loop", 'fp32'),
  pytorch('best-teacher', 'PyTorch at its best, teacher in loop', 'any'),
  pytorch('best-cached', 'PyTorch at its best, cached answers', 'any'),
  // TF32 keeps as many bits as half precision does.
  ...(hasGpu() ? [pytorch('best-gpu', 'PyTorch at its best, GPU, cached answers', 'bf16')] : []),
  tfjs('tfjs-cpu', 'TensorFlow.js, plain JavaScript', 'cpu'),
  tfjs('tfjs-wasm', 'TensorFlow.js, WASM', 'wasm'),
];

/**
 * @param {string} name
 * @param {string} title
 * @param {Precision} precision
 * @param {'cpu' | 'cuda'} [device]
 * @returns {Contestant}
 */
function ours(name, title, precision, device = 'cpu') {
  return {
    name,
    title,
    kind: 'ours',
    parameters: { precision, device },
    // TF32 keeps as many bits as half precision does.
    tolerance: device === 'cuda' ? 'bf16' : precision,
    start: (plan) => startOurs(plan.threads),
  };
}

/**
 * @param {string} name
 * @param {string} title
 * @param {Precision | 'any'} tolerance
 * @returns {Contestant}
 */
function pytorch(name, title, tolerance) {
  return {
    name,
    title,
    kind: 'pytorch',
    parameters: { mode: name },
    tolerance,
    start: ({ python, threads }) => {
      if (!python) throw new Error('no Python with torch, torchvision and Pillow was found');
      const tuned = name === 'reference' ? {} : tunedAllocator();
      return new Child(python, [path.join(HERE, 'torch_loops.py')], pythonEnv(threads, tuned));
    },
  };
}

/**
 * @param {string} name
 * @param {string} title
 * @param {'cpu' | 'wasm'} backend
 * @returns {Contestant}
 */
function tfjs(name, title, backend) {
  return {
    name,
    title,
    kind: 'tfjs',
    parameters: { backend },
    tolerance: 'fp32',
    start: () => new Child(process.execPath, [path.join(HERE, 'tfjs.js')], process.env),
  };
}

/** Tells whether there is an NVIDIA driver; without a CUDA LibTorch the contestants for it say that they cannot run. */
function hasGpu() {
  return existsSync('/proc/driver/nvidia/version');
}

/**
 * @param {number} threads
 * @param {NodeJS.ProcessEnv} [more]
 */
export function startOurs(threads, more = {}) {
  return new Child(process.execPath, [path.join(HERE, 'ours.js')], { ...env(threads), ...more });
}

/**
 * Starts the process that measures the limit. Its allocator is tuned, too: a limit has no page faults in it.
 *
 * @param {number} threads
 */
export function startLimit(threads) {
  const tuned = { ...env(threads), ...tunedAllocator() };
  return new Child(process.execPath, [path.join(HERE, 'limit.js')], tuned);
}

/** @param {number} threads */
function env(threads) {
  return { ...process.env, OMP_NUM_THREADS: `${threads}` };
}

/**
 * @param {number} threads
 * @param {NodeJS.ProcessEnv} [more]
 * @returns {NodeJS.ProcessEnv}
 */
export function pythonEnv(threads, more = {}) {
  const judge = { PYTHONPATH: JUDGE, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' };
  // No pool of compiler processes that would idle beside the measurements.
  return { ...env(threads), ...judge, TORCHINDUCTOR_COMPILE_THREADS: '1', ...more };
}

/**
 * An allocator that keeps what is freed: jemalloc or tcmalloc where the system has one, else glibc's
 * own with its thresholds out of the way.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function tunedAllocator() {
  const folders = [
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
    '/usr/lib64',
    '/usr/lib',
  ];
  for (const folder of folders.filter((name) => existsSync(name))) {
    const names = readdirSync(folder).sort();
    const found = ['libjemalloc.so', 'libtcmalloc.so', 'libtcmalloc_minimal.so']
      .map((library) => names.find((name) => name.startsWith(library)))
      .find((name) => name !== undefined);
    if (found) {
      return {
        LD_PRELOAD: path.join(folder, found),
        MALLOC_CONF: 'background_thread:true,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1',
      };
    }
  }
  return {
    MALLOC_MMAP_MAX_: '0',
    MALLOC_ARENA_MAX: '1', // other arenas' heaps are too small for what would be mapped
    MALLOC_TRIM_THRESHOLD_: `${2 ** 36}`,
    MALLOC_TOP_PAD_: `${2 ** 26}`,
  };
}

/**
 * The first of these that has torch, torchvision and Pillow.
 *
 * @param {string | undefined} given nothing else is tried then
 * @returns {string | null}
 */
export function findPython(given) {
  const ours = path.resolve(import.meta.dirname, '../../.venv/bin/python');
  const others = [process.env.DISTILL_PYTHON, existsSync(ours) ? ours : undefined, 'python3'];
  for (const command of given !== undefined ? [given] : others) {
    if (!command) continue;
    const find =
      'import importlib.util as u; assert all(map(u.find_spec, ("torch", "torchvision", "PIL")))';
    if (spawnSync(command, ['-c', find], { stdio: 'ignore' }).status === 0) return command;
  }
  return null;
}
