import { SetupFailure } from './failure.js';
import { installCommand } from './packages.js';
import { CMAKE, COMPILERS } from './pinned.js';
import { findOnPath, run } from './run.js';

/**
 * @typedef {object} Toolchain
 * @property {string} compiler the C++ compiler's path; empty when `CXX` holds more than a path and
 *   CMake is to read it
 * @property {'Ninja' | 'Unix Makefiles'} generator
 */

/**
 * @typedef {object} Lack
 * @property {string} problem
 * @property {import('./packages.js').Tool} [missing] what the system's packages can bring; unset
 *   where a tool is there but does not serve, as installing it again would bring the same one
 * @property {string} [remedy] another way to mend it
 */

/**
 * Stops where LibTorch has no build for this system, before anything is fetched.
 *
 * @throws {SetupFailure}
 */
export function checkPlatform() {
  const { platform, arch } = process;
  // A report with the network in it looks up names, which may take seconds.
  const report = Object.assign(process.report, { excludeNetwork: true }).getReport();
  const { header } = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (report);
  if (platform === 'linux' && !header?.glibcVersionRuntime) {
    throw new SetupFailure('LibTorch is built for glibc and does not run on musl (Alpine).', {
      remedies: ['use a system with glibc, such as the image node:22-bookworm'],
    });
  }
  const served = platform === 'linux' ? ['x64', 'arm64'] : platform === 'darwin' ? ['arm64'] : [];
  if (!served.includes(arch)) {
    throw new SetupFailure(`PyTorch publishes no LibTorch that serves here, ${platform}-${arch}.`, {
      remedies: ['use Linux on x64 or arm64 (on Windows: WSL), or macOS on Apple silicon'],
    });
  }
}

/**
 * Finds what the build needs, and names all that is missing at once.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Toolchain>}
 * @throws {SetupFailure}
 */
export async function checkToolchain(env) {
  const compiler = await checkCompiler(env);
  const cmake = await checkCmake(env);
  const ninja = findOnPath('ninja', env);
  /** @type {Lack | undefined} */
  const make =
    ninja || findOnPath('make', env)
      ? undefined
      : { problem: 'there is neither ninja nor make', missing: 'make' };

  const lacks = [compiler.lack, cmake, make].filter((lack) => lack !== undefined);
  if (lacks.length > 0) {
    const missing = lacks.flatMap((lack) => lack.missing ?? []);
    const remedies = lacks.flatMap((lack) => lack.remedy ?? []);
    if (missing.length > 0) remedies.unshift(`${installCommand(missing)} && npx distill setup`);
    const problems = lacks.map((lack) => lack.problem).join('; ');
    throw new SetupFailure(`the addon cannot be compiled here: ${problems}.`, { remedies });
  }
  return { compiler: compiler.path, generator: ninja ? 'Ninja' : 'Unix Makefiles' };
}

/**
 * CMake's own order: `CXX`, then c++, g++, clang++.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ path: string, lack?: Lack }>}
 */
async function checkCompiler(env) {
  const newer =
    `CXX=<compiler> npx distill setup    # ` +
    `g++ ${COMPILERS.GCC} or later, or clang++ ${COMPILERS.Clang} or later`;
  // CXX may hold a launcher or flags, such as `ccache g++`.
  const [name = '', ...flags] = (env.CXX ?? '').trim().split(/\s+/);
  const names = name ? [name] : ['c++', 'g++', 'clang++'];
  const file = names.map((each) => findOnPath(each, env)).find(Boolean);
  if (!file) {
    const lack = name
      ? { problem: `CXX names ${name}, which is not there`, remedy: newer }
      : { problem: 'no C++ compiler', missing: /** @type {const} */ ('compiler') };
    return { path: '', lack };
  }
  const path = flags.length > 0 ? '' : file;
  const plain = await run(file, [...flags, '-dM', '-E', '-x', 'c++', '-'], { env });
  const { kind, version } = readMacros(plain.stdout);
  if (!plain.ok || !version) {
    return { path, lack: { problem: `${file} does not work (${plain.reason})`, remedy: newer } };
  }
  const needed = COMPILERS[kind];
  if (version >= needed) return { path };
  const problem = `${file} is ${kind} ${version}, and ${needed} or later is needed`;
  return { path, lack: { problem, remedy: newer } };
}

/**
 * A compiler's predefined macros say what it is; its `--version` is written for people.
 *
 * @param {string} macros
 */
function readMacros(macros) {
  const value = (/** @type {string} */ name) =>
    Number(new RegExp(`^#define ${name} (\\d+)`, 'm').exec(macros)?.[1] ?? 0);
  // Clang calls itself GCC 4 as well.
  const clang = value('__clang_major__');
  /** @type {keyof typeof COMPILERS} */
  const kind = !clang ? 'GCC' : value('__apple_build_version__') ? 'Apple Clang' : 'Clang';
  return { kind, version: clang || value('__GNUC__') };
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Lack | undefined>}
 */
async function checkCmake(env) {
  const [neededMajor = 0, neededMinor = 0] = CMAKE;
  const needed = `${neededMajor}.${neededMinor} or later is needed`;
  // A distribution's CMake may itself be too old; pip's is not, and needs no root.
  const remedy = 'python3 -m pip install cmake && npx distill setup    # CMake from pip';
  const file = findOnPath('cmake', env);
  if (!file) return { problem: `no CMake (${needed})`, missing: 'cmake', remedy };
  const { ok, stdout, reason } = await run(file, ['--version'], { env });
  const [, version = '', major, minor] = /version ((\d+)\.(\d+)\S*)/.exec(stdout) ?? [];
  if (!ok || !version) return { problem: `${file} does not work (${reason})`, remedy };
  const old =
    Number(major) < neededMajor || (Number(major) === neededMajor && Number(minor) < neededMinor);
  return old ? { problem: `${file} is CMake ${version}, and ${needed}`, remedy } : undefined;
}
