// `npm run check:cuda`: builds the addon with a CUDA LibTorch, in a folder of its own, and runs the
// test suite with it. It needs no GPU, and shows what a machine without one is told. Words behind
// `--` go to vitest, such as the names of some tests.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { cachedBuild, keep, withIncoming } from './setup/cache.js';
import { SetupFailure, sentence } from './setup/failure.js';
import { inspect } from './setup/inspect.js';
import { CUDA_VERSION } from './setup/pinned.js';
import { bringCompanions, bringWheel } from './setup/pip.js';
import { findPythons } from './setup/python.js';

const ROOT = path.resolve(import.meta.dirname, '..');

// Prints which of LibTorch's libraries a process holds, and what it says of its device.
const PROBE = `
import { readFileSync } from 'node:fs';
import { loadAddon } from './dist/addon.js';
const addon = loadAddon();
const held = new Set(readFileSync('/proc/self/maps', 'utf8').match(/\\S+\\/lib(torch|c10)\\w*\\.so/g));
const session = new addon.Session({
  imageSize: 32, mean: [0, 0, 0], std: [1, 1, 1],
  device: 'auto', precision: 'fp32', threads: 0,
});
const { device, warning } = await session.open();
await session.close();
console.log(JSON.stringify({ libtorch: addon.libtorch, cuda: addon.cuda, held: [...held], device, warning }));
`;

try {
  const libtorch = await bringLibtorch(process.env);
  const env = { ...process.env, LIBTORCH: libtorch, DISTILL_BUILD: 'build-cuda' };
  run(['scripts/distill.js', 'setup'], env);
  run(['scripts/build.js'], env);

  const probe = ['--input-type=module', '--eval', PROBE];
  /** @type {{ cuda: boolean, held: string[], device: string, warning: string | null }} */
  const { cuda, held, device, warning } = JSON.parse(run(probe, env, 'pipe'));
  console.log(`loaded: ${held.map((file) => path.basename(file)).join(' ')}`);
  console.log(`device 'auto': ${device}${warning ? ` (${warning})` : ''}`);
  const isLoaded = held.some((file) => file.endsWith('/libtorch_cuda.so'));
  if (!cuda || !isLoaded) throw new SetupFailure('libtorch_cuda is not among what the addon loads');
  if (device === 'cpu' && !warning)
    throw new SetupFailure("'auto' fell back to the CPU in silence");

  const vitest = ['node_modules/vitest/vitest.mjs', 'run'];
  run([...vitest, ...process.argv.slice(2)], env);
} catch (error) {
  const failure = error instanceof SetupFailure ? error : new SetupFailure(sentence(error));
  console.error(failure.screen());
  process.exitCode = 1;
}

/**
 * A CUDA LibTorch from the cache, or pip's wheel with NVIDIA's libraries: several gigabytes, once.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>} its folder
 */
async function bringLibtorch(env) {
  const cached = inspect(path.join(cachedBuild(env, true, CUDA_VERSION), 'torch'));
  if (!cached.problem) return cached.folder;
  const python = (await findPythons(env)).find(({ pip }) => pip);
  if (!python) throw new SetupFailure('there is no Python with pip to bring a CUDA LibTorch');
  return withIncoming(env, async (folder) => {
    const tree = path.join(folder, 'tree');
    const wanted = { env, cuda: true, version: CUDA_VERSION };
    const { companions } = await bringWheel(python, tree, wanted);
    await bringCompanions(python, companions, tree, env);
    const kept = await keep(env, tree, { cuda: true, replace: false, version: CUDA_VERSION });
    return kept.folder;
  });
}

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @param {'inherit' | 'pipe'} output
 */
function run(args, env, output = 'inherit') {
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    env,
    encoding: 'utf8',
    stdio: ['ignore', output, 'inherit'],
  });
  if (status !== 0) throw new SetupFailure(`\`node ${args.slice(0, 2).join(' ')}\` failed`);
  return stdout;
}
