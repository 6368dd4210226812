import { existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  addonFile,
  buildAddon,
  buildFolder,
  builtWith,
  checkAddon,
  hasJpegAddon,
} from './build.js';
import { SetupFailure, sentence } from './failure.js';
import { findLibtorch } from './libtorch.js';
import { withLock } from './lock.js';
import { installCommand } from './packages.js';
import { VERSION, VERSIONS } from './pinned.js';
import { clear, say } from './progress.js';
import { checkPlatform, checkToolchain } from './toolchain.js';

/** The package's folder, wherever it is installed. */
const ROOT = path.resolve(import.meta.dirname, '../..');

const HELP = `Usage: distill setup [options]

Finds or brings LibTorch ${VERSION} and builds the native addon with it. It can be repeated: a step
with nothing to do takes seconds.

Options:
  --force     fetch LibTorch anew and build from scratch
  --debug     build without optimisation and with debug information, in build-debug/, from where
              DISTILL_BUILD=build-debug loads it
  --no-build  only find or bring LibTorch, and print its folder
  -h, --help  show this help

LibTorch is taken from the first of these that has it:
  1. LIBTORCH, a folder with its include/ and lib/
  2. an earlier install, or its cache
  3. the torch of the active Python, if it is ${VERSIONS.join(' or ')}
  4. PyTorch's official archive
  5. pip download torch==${VERSION}

Environment:
  LIBTORCH              see above
  DISTILL_LIBTORCH      cpu (default) or cuda: the build to bring where there is a choice
  DISTILL_LIBTORCH_URL  a mirror of the official archives
  DISTILL_CACHE         where LibTorch is kept (default: node-distill in the user's cache folder)
  DISTILL_BUILD         the folder to build in, and to load the addon from (default: build)
  DISTILL_SKIP_SETUP=1  makes the package's install script do nothing
  CXX                   the C++ compiler
`;

/**
 * The command `distill setup`, and the package's install script.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>} exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function main(args, env = process.env) {
  try {
    const { help, force, debug, build } = readOptions(args);
    if (help) process.stdout.write(HELP);
    else await setup({ env, force, debug, build });
    return 0;
  } catch (error) {
    clear();
    const failure = error instanceof SetupFailure ? error : new SetupFailure(sentence(error));
    process.stderr.write(`${failure.screen()}\n`);
    return failure.status;
  }
}

/**
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {boolean} options.force
 * @param {boolean} options.debug
 * @param {boolean} options.build
 */
async function setup({ env, force, debug, build }) {
  // A build of each kind has its own folder.
  if (debug) process.env.DISTILL_BUILD ||= 'build-debug';
  const start = performance.now();
  // A LibTorch that the user built serves where PyTorch publishes none.
  if (!env.LIBTORCH) checkPlatform();
  // Before LibTorch: half a gigabyte is not fetched only to say that there is no compiler.
  const toolchain = build ? await checkToolchain(env) : undefined;
  const libtorch = await findLibtorch({ env, force, built: builtWith(ROOT) });
  clear();
  if (!toolchain) {
    process.stdout.write(`${libtorch.folder}\n`);
    return;
  }

  const version = libtorch.version.split('+')[0];
  const name = `LibTorch ${version} (${libtorch.cuda ? 'CUDA' : 'CPU'})`;
  say(`building the addon with ${name} from ${libtorch.folder}`);
  const before = builtAt();
  const work = async () => {
    if (force) await rm(buildFolder(ROOT), { recursive: true, force: true });
    const config = debug ? 'Debug' : 'Release';
    await buildAddon({ root: ROOT, libtorch: libtorch.folder, toolchain, config, env });
    await checkAddon(ROOT);
  };
  await withLock(buildFolder(ROOT), work, () =>
    say('waiting for another setup, which builds there'),
  );

  const seconds = Math.ceil((performance.now() - start) / 1000);
  say(`${builtAt() === before ? 'up to date' : 'done'}: ${name}, ${seconds} s`);
  if (!(await hasJpegAddon(ROOT))) {
    const install = installCommand(['libjpeg']);
    say(
      `JPEGs would be read faster with libjpeg-turbo 2.1 or later: ${install} && npx distill setup`,
    );
  }
  if (!libtorch.cuda && !env.DISTILL_LIBTORCH && existsSync('/proc/driver/nvidia/version')) {
    say('there is an NVIDIA GPU here; for a CUDA build: DISTILL_LIBTORCH=cuda npx distill setup');
  }
}

/** When an addon was last linked; 0 when none is there. */
function builtAt() {
  const files = [addonFile(ROOT), addonFile(ROOT, 'pixels'), addonFile(ROOT, 'jpeg')];
  return Math.max(...files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0));
}

/** @param {string[]} args */
function readOptions(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        force: { type: 'boolean', default: false },
        debug: { type: 'boolean', default: false },
        'no-build': { type: 'boolean', default: false },
      },
    });
    const { help, force, debug } = values;
    return { help, force, debug, build: !values['no-build'] };
  } catch (error) {
    throw new SetupFailure(sentence(error), { remedies: ['npx distill setup --help'], status: 2 });
  }
}
