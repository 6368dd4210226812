// `npm run check:sanitize [-- [address|thread] [part …]]`: builds the addons and the programs of test/native/ with a sanitizer, in
// a folder for each kind, and runs them: the programs, pictures read by Node, and trainings in Node. Both kinds and all parts by
// default. The exit code is 1 where something does not compile, does not end well, or is reported by a sanitizer.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');

/**
 * A sanitizer: its library and its options. LibTorch and Node are not instrumented: what they allocate for the process's life
 * is no leak, and what their threads do among themselves is not seen.
 *
 * @type {Record<string, { library: string, env: NodeJS.ProcessEnv }>}
 */
const KINDS = {
  address: {
    library: 'libasan.so',
    env: {
      ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    },
  },
  thread: {
    library: 'libtsan.so',
    env: {
      TSAN_OPTIONS: 'ignore_noninstrumented_modules=1:halt_on_error=1',
    },
  },
};

/**
 * What is run: its targets of CMake, and a script for Node beside this file, or else the target itself.
 *
 * @type {Record<string, { targets: string[], script?: string }>}
 */
const PARTS = {
  pictures: { targets: ['pixels', 'jpeg'], script: 'pictures.js' },
  training: { targets: ['distill', 'pixels', 'jpeg'], script: 'training.js' },
  team_test: { targets: ['team_test'] },
  kernel_test: { targets: ['kernel_test'] },
  dense_stage_test: { targets: ['dense_stage_test'] },
  accelerator_test: { targets: ['accelerator_test'] },
};

const words = process.argv.slice(2);
const unknown = words.filter((word) => !(word in KINDS || word in PARTS));
if (unknown.length > 0) {
  console.error(
    `check:sanitize: '${unknown[0]}' is none of ${[...Object.keys(KINDS), ...Object.keys(PARTS)].join(', ')}`,
  );
  process.exit(2);
}
const chosen = (/** @type {object} */ table) => {
  const some = Object.keys(table).filter((name) => words.includes(name));
  return some.length > 0 ? some : Object.keys(table);
};
for (const kind of chosen(KINDS)) check(kind, chosen(PARTS));

/**
 * Builds and runs parts with a sanitizer.
 *
 * @param {string} kind
 * @param {string[]} parts
 */
function check(kind, parts) {
  const folder = path.join(ROOT, `build-${kind}`);
  configure(kind, folder);
  // The addon for JPEGs is built where libjpeg-turbo is there.
  const known = run('cmake', ['--build', folder, '--target', 'help']);
  const targets = parts
    .flatMap((part) => PARTS[part]?.targets ?? [])
    .filter((target) => new RegExp(`\\b${target}\\b`).test(known));
  const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? `${os.availableParallelism()}`;
  run('cmake', ['--build', folder, '--parallel', jobs, '--target', ...targets]);

  const env = KINDS[kind]?.env ?? {};
  for (const part of parts) {
    const script = PARTS[part]?.script;
    const printed = script
      ? runNode(kind, path.join(import.meta.dirname, script), { ...env, DISTILL_BUILD: folder })
      : run(path.join(folder, part), [], env);
    const lines = printed.trimEnd().split('\n');
    console.log(`${part} with the ${kind} sanitizer: nothing reported in ${lines.length} checks`);
    // Without optimisation, sums are rounded otherwise: `npm test` is what compares numbers.
    for (const line of lines.filter((line) => !line.startsWith('ok '))) console.log(`  ${line}`);
  }
}

/**
 * @param {string} kind
 * @param {string} folder
 */
function configure(kind, folder) {
  const libtorch = run(process.execPath, ['scripts/distill.js', 'setup', '--no-build']).trim();
  // Node's headers are where the addon's own build found them.
  const cache = path.join(ROOT, process.env.DISTILL_BUILD || 'build', 'CMakeCache.txt');
  const kept = existsSync(cache) ? readFileSync(cache, 'utf8') : '';
  const found = ['CMAKE_JS_INC', 'CMAKE_JS_LIB', 'CMAKE_JS_SRC', 'CMAKE_GENERATOR'].flatMap(
    (name) => {
      const value = new RegExp(`^${name}:\\w+=(.*)$`, 'm').exec(kept)?.[1] ?? '';
      if (value === '') return [];
      return name === 'CMAKE_GENERATOR' ? ['-G', value] : [`-D${name}=${value}`];
    },
  );
  run('cmake', [
    ...[`-S${ROOT}`, `-B${folder}`, ...found, `-DLIBTORCH=${libtorch}`],
    ...[`-DDISTILL_SANITIZE=${kind}`, '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
  ]);
}

/**
 * Runs a script by a Node that has a sanitizer's library in it from its start.
 *
 * @param {string} kind
 * @param {string} script
 * @param {NodeJS.ProcessEnv} env
 */
function runNode(kind, script, env) {
  const name = KINDS[kind]?.library ?? '';
  const library = run('c++', [`-print-file-name=${name}`]).trim();
  if (!path.isAbsolute(library)) {
    console.error(
      `check:sanitize: the compiler has no ${name}: GCC's c++ is needed (apt install g++)`,
    );
    process.exit(1);
  }
  const node = [process.execPath, '--expose-gc', script];
  const all = { ...env, LD_PRELOAD: library };
  // ThreadSanitizer wants its own places in the address space, which random ones may take.
  if (kind !== 'thread') return run(node[0] ?? '', node.slice(1), all);
  return run('setarch', ['-R', 'env', `LD_PRELOAD=${library}`, ...node], env);
}

/**
 * Runs a program in the checkout, or ends this one.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env beside this process's
 * @returns {string} what it printed
 */
function run(program, args, env = {}) {
  const { status, signal, error, stdout } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) return stdout;
  if (stdout) console.error(stdout.trimEnd().split('\n').slice(-40).join('\n'));
  console.error(`check:sanitize: ${program} ended with ${error?.message ?? signal ?? status}`);
  process.exit(1);
}
