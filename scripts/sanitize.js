// `npm run sanitize [address|thread] [program …]`: builds the programs of test/native/ with a sanitizer, in a folder for each
// kind, and runs them. The exit code is 1 where a program does not compile or a sanitizer reports it.
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const PROGRAMS = ['team_test', 'kernel_test', 'dense_stage_test', 'accelerator_test'];

/**
 * The options of each sanitizer. LibTorch is not instrumented: what it allocates for the process's life is no leak, and the
 * locks that its threads hold are not seen.
 *
 * @type {Record<string, NodeJS.ProcessEnv>}
 */
const KINDS = {
  address: {
    ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  },
  thread: {
    TSAN_OPTIONS: 'ignore_noninstrumented_modules=1',
  },
};

const [kind = 'address', ...chosen] = process.argv.slice(2);
const unknown = chosen.filter((name) => !PROGRAMS.includes(name));
const options = KINDS[kind];
if (!options || unknown.length > 0) {
  console.error(
    `sanitize: expected ${Object.keys(KINDS).join(' or ')}, then any of ${PROGRAMS.join(', ')}`,
  );
  process.exit(2);
}

const libtorch = run(
  process.execPath,
  ['scripts/distill.js', 'setup', '--no-build'],
  'pipe',
).trim();
const folder = `build-${kind}`;
run('cmake', [
  '-S.',
  `-B${folder}`,
  `-DLIBTORCH=${libtorch}`,
  `-DDISTILL_SANITIZE=${kind}`,
  '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
]);
const programs = chosen.length > 0 ? chosen : PROGRAMS;
const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? `${os.availableParallelism()}`;
run('cmake', ['--build', folder, '--parallel', jobs, '--target', ...programs]);
for (const program of programs) {
  const lines = run(path.join(folder, program), [], 'pipe').trimEnd().split('\n');
  console.log(`${program} with the ${kind} sanitizer: nothing reported in ${lines.length} checks`);
  // Without optimisation, sums are rounded otherwise: `npm test` is what compares numbers.
  for (const line of lines.filter((line) => !line.startsWith('ok '))) console.log(`  ${line}`);
}

/**
 * Runs a program in the checkout, or ends this one with its exit code.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {'inherit' | 'pipe'} output
 */
function run(program, args, output = 'inherit') {
  const { status, signal, error, stdout } = spawnSync(program, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: { ...process.env, ...options },
    stdio: ['ignore', output, 'inherit'],
  });
  if (status === 0) return stdout;
  console.error(`sanitize: ${program} ended with ${error?.message ?? signal ?? status}`);
  process.exit(1);
}
