import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SetupFailure, sentence } from './failure.js';
import { inspect } from './inspect.js';
import { hasEnded, maker } from './maker.js';
import { VERSION } from './pinned.js';
import { size } from './progress.js';

const INCOMING = '.incoming-';
const DAY = 24 * 3600 * 1000;

/**
 * The folder that keeps LibTorch between installs.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function cacheFolder(env) {
  if (env.DISTILL_CACHE) return path.resolve(env.DISTILL_CACHE);
  if (env.XDG_CACHE_HOME) return path.resolve(env.XDG_CACHE_HOME, 'node-distill');
  const place = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
  return path.join(os.homedir(), place, 'node-distill');
}

/**
 * Returns the folder of a build of LibTorch in the cache. It holds `torch/` and, for CUDA, `nvidia/` beside
 * it, as the libraries' own RPATH expects.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {boolean} cuda
 * @param {string} [version]
 */
export function cachedBuild(env, cuda, version = VERSION) {
  return path.join(cacheFolder(env), `libtorch-${version}-${cuda ? 'cuda' : 'cpu'}`);
}

/**
 * Gives `work` a new folder inside the cache, and removes whatever it leaves there. What is half
 * downloaded or half unpacked is therefore never taken for a LibTorch.
 *
 * @template T
 * @param {NodeJS.ProcessEnv} env
 * @param {(folder: string) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withIncoming(env, work) {
  let folder = '';
  const remove = () => folder && rmSync(folder, { recursive: true, force: true });
  // Ctrl-C must not leave gigabytes behind. It is listened to before there is a folder to leave.
  const interrupted = () => process.exit(130);
  process.once('exit', remove).once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    folder = await newFolder(cacheFolder(env));
    return await work(folder);
  } finally {
    remove();
    process.off('exit', remove).off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
}

/**
 * Moves a finished tree to its place in the cache, in one step. Where another install was faster its
 * tree serves as well, unless it is broken or `replace` asks for a new one.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {string} tree a folder that {@link withIncoming} gave, holding `torch/`
 * @param {{ cuda: boolean, replace: boolean, version?: string }} options
 * @returns {Promise<import('./inspect.js').LibTorch>}
 */
export async function keep(env, tree, { cuda, replace, version }) {
  const target = cachedBuild(env, cuda, version);
  for (let attempt = 0; ; attempt++) {
    try {
      await rename(tree, target);
      break;
    } catch (error) {
      const { code = '' } = /** @type {NodeJS.ErrnoException} */ (error);
      if (!['ENOTEMPTY', 'EEXIST'].includes(code) || attempt === 3) throw error;
      if (!replace && !inspect(path.join(target, 'torch')).problem) break;
      // Aside first, into our own folder: a rename is one step, a removal is not.
      await rename(target, `${tree}.old${attempt}`).catch(() => {});
    }
  }
  return inspect(path.join(target, 'torch'));
}

/**
 * Fails in one sentence when a folder's disk has too little room.
 *
 * @param {string} folder
 * @param {number} bytes
 */
export async function needRoom(folder, bytes) {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < bytes) {
    throw new Error(
      `it needs ${size(bytes)} and the cache's disk has ${size(bavail * bsize)} left: ` +
        'set DISTILL_CACHE to a folder with more room',
    );
  }
}

/** @param {string} cache */
async function newFolder(cache) {
  try {
    await mkdir(cache, { recursive: true });
    await removeLeftovers(cache);
    // At once, so that no signal comes between the folder and whoever is to remove it.
    return mkdtempSync(path.join(cache, `${INCOMING}${maker()}-`));
  } catch (error) {
    // No rung below needs the cache less.
    throw new SetupFailure(`the cache cannot be written: ${sentence(error)}`, {
      remedies: ['DISTILL_CACHE=<folder> npx distill setup    # a folder that can be written'],
    });
  }
}

/**
 * Removes what killed installs left, also those of another machine or container that shares the folder, of which only
 * their age is known.
 *
 * @param {string} cache
 */
async function removeLeftovers(cache) {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(INCOMING)) continue;
    const folder = path.join(cache, name);
    const age = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > DAY || hasEnded(name.slice(INCOMING.length))) {
      await rm(folder, { recursive: true, force: true });
    }
  }
}
