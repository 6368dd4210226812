import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');
/** The folder of the build. */
export const BUILD = path.join(ROOT, 'build-fuzzer');
/** The program of the readers in C++. */
export const PROGRAM = path.join(BUILD, 'fuzz_readers');

/** The reason why nothing can be fuzzed. */
export class FuzzFailure extends Error {}

/** The names of clang, the newest last version first behind the system's own. */
const COMPILERS = ['clang++', ...Array.from({ length: 15 }, (_, i) => `clang++-${28 - i}`)];

/** Returns a clang on PATH that has libFuzzer and the sanitizers; `null` where there is none. */
export function findClang() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
  try {
    const source = path.join(folder, 'none.cpp');
    writeFileSync(
      source,
      '#include <compare>\nextern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n',
    );
    const flags = ['-std=c++20', '-fsanitize=fuzzer,address,undefined', source, '-o'];
    const isFit = (/** @type {string} */ name) =>
      spawnSync(name, [...flags, path.join(folder, 'none')]).status === 0;
    return COMPILERS.find(isFit) ?? null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Builds the program of the readers in C++, what has changed of it.
 *
 * @throws {FuzzFailure}
 */
export function makeProgram() {
  const clang = findClang();
  if (clang === null) {
    throw new FuzzFailure(
      'no clang++ with libFuzzer and the sanitizers is on PATH: `apt install clang libclang-rt-dev` (Debian, Ubuntu), `dnf install clang compiler-rt` (Fedora), or `brew install llvm` and its bin folder on PATH (macOS)',
    );
  }
  const libtorch = run(process.execPath, ['scripts/distill.js', 'setup', '--no-build']).trim();
  run('cmake', [
    '-S.',
    `-B${BUILD}`,
    `-DLIBTORCH=${libtorch}`,
    `-DCMAKE_CXX_COMPILER=${clang}`,
    '-DDISTILL_SANITIZE=fuzzer',
    '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
  ]);
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? `${os.availableParallelism()}`;
  run('cmake', ['--build', BUILD, '--parallel', jobs, '--target', path.basename(PROGRAM)]);
}

/**
 * Runs a program in the checkout.
 *
 * @param {string} program
 * @param {string[]} args
 * @returns what it prints
 * @throws {FuzzFailure}
 */
function run(program, args) {
  const { status, signal, error, stdout } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  });
  if (status === 0) return stdout;
  throw new FuzzFailure(
    `${program} ended with ${error?.message ?? signal ?? status}\n${stdout ?? ''}`,
  );
}
