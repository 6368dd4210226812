import { createWriteStream, existsSync, readFileSync, realpathSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { SetupFailure } from './failure.js';
import { clear, progress } from './progress.js';
import { run } from './run.js';

/** Bytes of memory that a compiler takes at its worst on LibTorch's headers. */
const MEMORY_PER_JOB = 2e9;
/** Lines of the compiler's output on the one screen of a failure; the log has them all. */
const SHOWN_LINES = 14;
/** What a line says that tells of a failure: warnings may name errors, too. */
const FAILURE = /\berror:|\bCMake Error\b|undefined reference|Killed|cannot find -l/i;

/**
 * @typedef {object} Build
 * @property {string} root the package's folder
 * @property {string} libtorch LibTorch's folder
 * @property {import('./toolchain.js').Toolchain} toolchain
 * @property {'Release' | 'Debug'} config
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * Returns the folder that the addon is built in: `build/`, or the one that `DISTILL_BUILD` names. Builds
 * with different LibTorches can lie side by side so.
 *
 * @param {string} root
 */
export function buildFolder(root) {
  return path.resolve(root, process.env.DISTILL_BUILD || 'build');
}

/**
 * @param {string} root
 * @param {'distill' | 'pixels' | 'jpeg'} [name]
 */
export function addonFile(root, name = 'distill') {
  return path.join(buildFolder(root), `Release/${name}.node`);
}

/**
 * The LibTorch that the addon was last configured with.
 *
 * @param {string} root
 * @returns {string} its folder, or an empty string
 */
export function builtWith(root) {
  return readCmakeCache(buildFolder(root)).get('LIBTORCH') ?? '';
}

/**
 * Compiles what has changed since the last build, or everything where that build does not fit.
 *
 * @param {Build} build
 * @throws {SetupFailure} with the compiler's first error and the path of the whole log
 */
export async function buildAddon(build) {
  const folder = buildFolder(build.root);
  if (isStale(build)) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const log = path.join(folder, 'setup.log');
  const output = createWriteStream(log);
  try {
    for (const args of commands(build)) {
      const outcome = await run(process.execPath, [cmakeJs(), ...args], {
        cwd: build.root,
        env: build.env,
        onOutput: (chunk) => {
          output.write(chunk);
          showProgress(chunk);
        },
      });
      clear();
      if (!outcome.ok) throw buildFailure(`${outcome.stdout}\n${outcome.stderr}`, log);
    }
  } finally {
    output.end();
  }
}

/**
 * Loads the addons that are always built, to be told now what they lack.
 *
 * @param {string} root
 * @throws {SetupFailure}
 */
export async function checkAddon(root) {
  const pixels = addonFile(root, 'pixels');
  const files = [addonFile(root), ...(existsSync(pixels) ? [pixels] : [])];
  const failures = await Promise.all(files.map(loadFailure));
  const why = failures.find((failure) => failure !== undefined);
  if (!why) return;
  throw new SetupFailure(`the addon was built, but does not load: ${why}`, {
    remedies: [
      'npx distill setup --force    # fetches LibTorch anew and builds from scratch',
      'LIBTORCH=<folder> npx distill setup    # builds with another LibTorch',
    ],
  });
}

/**
 * Tells whether the addon for JPEGs is there and loads. It is built where libjpeg-turbo is installed.
 *
 * @param {string} root
 */
export async function hasJpegAddon(root) {
  const file = addonFile(root, 'jpeg');
  return existsSync(file) && !(await loadFailure(file));
}

/**
 * Loads an addon in a process of its own: what it lacks must not end this one.
 *
 * @param {string} file
 * @returns {Promise<string | undefined>} why it does not load
 */
async function loadFailure(file) {
  const script = 'require(process.argv[1])';
  const outcome = await run(process.execPath, ['-e', script, file], {
    cwd: os.tmpdir(),
    timeout: 120_000,
  });
  if (outcome.ok) return undefined;
  return /^\w*Error: (.*)$/m.exec(outcome.stderr)?.[1] ?? outcome.reason;
}

/**
 * CMake refuses, or silently keeps, what no longer fits: a folder that was copied or moved, a
 * LibTorch, a compiler or a CMake that is gone or is another one now.
 *
 * @param {Build} build
 */
function isStale({ root, libtorch, toolchain, config }) {
  const cache = readCmakeCache(buildFolder(root));
  const kept = (/** @type {string} */ name) => cache.get(name) ?? '';
  return !(
    same(kept('CMAKE_HOME_DIRECTORY'), root) &&
    kept('CMAKE_GENERATOR') === toolchain.generator &&
    kept('LIBTORCH') === libtorch &&
    kept('CMAKE_BUILD_TYPE') === config &&
    existsSync(kept('CMAKE_COMMAND')) &&
    existsSync(kept('CMAKE_MAKE_PROGRAM')) &&
    existsSync(kept('CMAKE_CXX_COMPILER')) &&
    (!toolchain.compiler || same(kept('CMAKE_CXX_COMPILER'), toolchain.compiler))
  );
}

/**
 * Tells whether two paths lead to one file, as `/bin/c++` and `/usr/bin/c++` often do.
 *
 * @param {string} one
 * @param {string} other
 */
function same(one, other) {
  return existsSync(one) && existsSync(other) && realpathSync(one) === realpathSync(other);
}

/** @param {string} folder the build folder */
function readCmakeCache(folder) {
  const file = path.join(folder, 'CMakeCache.txt');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return new Map(
    [...text.matchAll(/^(\w+):\w+=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

/**
 * cmake-js's two steps. Not its `compile`, which answers a compile error with a second full build.
 *
 * @param {Build} build
 */
function commands({ root, libtorch, toolchain, config, env }) {
  const common = [
    ...['--directory', root, '--out', buildFolder(root), '--config', config],
    ...['--generator', toolchain.generator, `--CDLIBTORCH=${libtorch}`],
  ];
  // The name that CMake knows already, as another one for the same compiler makes it start anew.
  const compiler = readCmakeCache(buildFolder(root)).get('CMAKE_CXX_COMPILER');
  const name = compiler ?? toolchain.compiler;
  if (name) common.push('--cxx', name, '--cc', name);
  // CMake's own variable for the number of jobs goes first.
  const jobs = env.CMAKE_BUILD_PARALLEL_LEVEL ? [] : ['--parallel', String(parallelJobs())];
  return [
    ['configure', ...common],
    ['build', ...common, ...jobs],
  ];
}

/** Returns the number of parallel jobs: one a core, as far as free memory allows. */
function parallelJobs() {
  const fitting = Math.floor(process.availableMemory() / MEMORY_PER_JOB);
  return Math.max(1, Math.min(os.availableParallelism(), fitting));
}

/** The installed cmake-js, wherever the package manager has put it. */
function cmakeJs() {
  const require = createRequire(import.meta.url);
  try {
    return path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin/cmake-js');
  } catch {
    throw new SetupFailure('the package cmake-js, which builds the addon, is not installed.', {
      remedies: ['npm install'],
    });
  }
}

/** @param {string} chunk what ninja (`[3/20]`) or make (`[ 15%]`) says */
function showProgress(chunk) {
  const steps = chunk.match(/\[\s*\d+(\/\d+|%)\]/g);
  if (steps) progress(`building the addon ${steps.at(-1)}`);
}

/**
 * @param {string} output
 * @param {string} log
 */
function buildFailure(output, log) {
  // Colours and the commands themselves, which fill a screen each, say nothing about the cause.
  const lines = output
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals' colour codes begin with it
    .replace(/\x1b\[[0-9;]*m/g, '')
    .split('\n')
    .filter((line) => line.trim() && line.length < 1000 && !/^(info|ERROR?) [A-Z]/.test(line));
  const first = lines.findIndex((line) => FAILURE.test(line));
  const shown = first < 0 ? lines.slice(-SHOWN_LINES) : lines.slice(first, first + SHOWN_LINES);
  const tooLittleMemory = /Killed|out of memory|std::bad_alloc/i.test(output);
  return new SetupFailure(`the addon did not compile; the whole log is ${log}`, {
    details: shown.map((line) => line.slice(0, 200)),
    remedies: tooLittleMemory
      ? ['CMAKE_BUILD_PARALLEL_LEVEL=1 npx distill setup    # one job at a time takes less memory']
      : [],
  });
}
