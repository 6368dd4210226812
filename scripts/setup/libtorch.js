import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { archiveUrl, download } from './archive.js';
import { cachedBuild, cacheFolder, keep, withIncoming } from './cache.js';
import { SetupFailure, sentence } from './failure.js';
import { inspect } from './inspect.js';
import { ARCHIVE_BASE, CUDA_ARCHIVE_COMPANIONS, VERSION } from './pinned.js';
import { bringCompanions, bringWheel } from './pip.js';
import { say } from './progress.js';
import { findPythons, pipRemedy } from './python.js';
import { unpack } from './unpack.js';

/**
 * @typedef {import('./inspect.js').LibTorch} LibTorch
 *
 * @typedef {object} Search
 * @property {NodeJS.ProcessEnv} env
 * @property {boolean} cuda whether only a CUDA build serves; otherwise any does, and a CPU build is
 *   fetched where there is a choice
 * @property {boolean} force fetch anew rather than take what an earlier install left
 * @property {string} built the LibTorch that the addon was last built with; empty when it was not
 * @property {import('./python.js').Python[]} pythons
 */

/**
 * The ladder, from what costs nothing to what costs most. Each rung returns a LibTorch or says in a
 * few words why it has none.
 *
 * @type {readonly { name: string, climb: (search: Search) => Promise<LibTorch | string> }[]}
 */
const LADDER = [
  { name: 'LIBTORCH', climb: fromVariable },
  { name: 'earlier install', climb: fromEarlierInstall },
  { name: 'active Python', climb: fromPython },
  { name: 'official archive', climb: fromArchive },
  { name: 'pip', climb: fromPip },
];

/**
 * Finds the pinned LibTorch on this machine, or brings it.
 *
 * @param {Omit<Search, 'cuda' | 'pythons'>} request
 * @returns {Promise<LibTorch>}
 * @throws {SetupFailure} saying what was tried, when no rung has one
 */
export async function findLibtorch(request) {
  const search = { ...request, cuda: wantsCuda(request.env), pythons: [] };
  const tried = [];
  for (const { name, climb } of LADDER) {
    let outcome;
    try {
      outcome = await climb(search);
    } catch (error) {
      if (error instanceof SetupFailure) throw error;
      outcome = sentence(error);
    }
    if (typeof outcome !== 'string') return outcome;
    tried.push(`${name}: ${outcome}`);
  }
  throw new SetupFailure(
    `LibTorch ${VERSION}${search.cuda ? ' (CUDA)' : ''} was neither found nor brought.`,
    { details: ['Tried, in this order:', ...tried], remedies: remedies(search) },
  );
}

/** @param {Search} search */
async function fromVariable({ env, cuda }) {
  if (!env.LIBTORCH) return 'not set';
  const libtorch = inspect(path.resolve(env.LIBTORCH));
  const problem = libtorch.problem || unwanted(libtorch, cuda);
  if (!problem) return libtorch;
  // A folder that the user names is meant: taking another one silently would be worse than stopping.
  throw new SetupFailure(`LIBTORCH names ${libtorch.folder}, which ${problem}.`, {
    remedies: [
      `export LIBTORCH=<folder>    # one that holds LibTorch ${VERSION}'s include/ and lib/`,
      'unset LIBTORCH    # and it will be brought',
    ],
  });
}

/** @param {Search} search */
async function fromEarlierInstall({ env, cuda, force, built }) {
  if (force) return 'passed over, as --force asks';
  const folders = [
    ...(built ? [built] : []),
    ...(cuda ? [true] : [false, true]).map((kind) => path.join(cachedBuild(env, kind), 'torch')),
  ];
  let why = `none in ${cacheFolder(env)}`;
  for (const folder of folders) {
    const libtorch = inspect(folder);
    const problem = libtorch.problem || unwanted(libtorch, cuda);
    if (!problem) return libtorch;
    // Only what names a version was a LibTorch; the others are simply not there.
    if (libtorch.version) why = `${folder} ${problem}`;
  }
  return why;
}

/** @param {Search} search */
async function fromPython(search) {
  search.pythons = await findPythons(search.env);
  const [python] = search.pythons;
  if (!python) return 'there is no Python';
  const name = `${python.executable} (Python ${python.version})`;
  if (!python.torch) return `${name} has no torch`;
  const libtorch = inspect(python.torch);
  const problem = libtorch.problem || unwanted(libtorch, search.cuda);
  return problem ? `the torch of ${name} ${problem}` : libtorch;
}

/** @param {Search} search */
async function fromArchive({ env, cuda, force, pythons }) {
  const url = archiveUrl(env, cuda);
  if (!url) {
    const build = cuda ? 'CUDA' : 'CPU';
    return `PyTorch publishes no ${build} archive for ${process.platform}-${process.arch}`;
  }
  const python = pythons.find(({ pip }) => pip);
  if (cuda && !python) return 'its CUDA archive needs NVIDIA libraries, and there is no pip';

  say(`looking for LibTorch ${VERSION} at ${new URL(url).host}`);
  return withIncoming(env, async (folder) => {
    const file = path.join(folder, 'libtorch.zip');
    await download(url, file);
    const tree = path.join(folder, 'tree');
    await mkdir(tree);
    await unpack(file, tree, placeOfArchive);
    await rm(file);
    const { problem } = inspect(path.join(tree, 'torch'));
    if (problem) return `the archive at ${url} ${problem}`;
    if (cuda && python) await bringCompanions(python, CUDA_ARCHIVE_COMPANIONS, tree, env);
    return keep(env, tree, { cuda, replace: force });
  });
}

/** @param {Search} search */
async function fromPip({ env, cuda, force, pythons }) {
  const python = pythons.find(({ pip }) => pip);
  if (!python) return pythons[0] ? `${pythons[0].executable} has no pip` : 'there is no Python';

  say(`downloading PyTorch's wheel with ${python.executable} -m pip`);
  return withIncoming(env, async (folder) => {
    const tree = path.join(folder, 'tree');
    const { companions } = await bringWheel(python, tree, { env, cuda });
    const found = inspect(path.join(tree, 'torch'));
    const problem = found.problem || unwanted(found, cuda);
    if (problem) return `the wheel that pip chose ${problem}`;
    if (found.cuda && companions.length > 0) {
      say("pip's wheel is a CUDA build; downloading the NVIDIA libraries that it needs (2 GB)");
      await bringCompanions(python, companions, tree, env);
    }
    return keep(env, tree, { cuda: found.cuda, replace: force });
  });
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {boolean}
 */
function wantsCuda(env) {
  const wanted = env.DISTILL_LIBTORCH || 'cpu';
  if (wanted === 'cpu' || wanted === 'cuda') return wanted === 'cuda';
  throw new SetupFailure(`DISTILL_LIBTORCH is '${wanted}', and it must be cpu or cuda.`, {
    status: 2,
  });
}

/**
 * @param {LibTorch} libtorch
 * @param {boolean} cuda
 */
function unwanted(libtorch, cuda) {
  return cuda && !libtorch.cuda ? 'is a CPU build, and DISTILL_LIBTORCH asks for cuda' : '';
}

/**
 * The archive's top folder is `libtorch/`; a wheel's is `torch/`, and the cache keeps the one name.
 *
 * @param {string} name
 */
function placeOfArchive(name) {
  const inner = /^libtorch\/((?:lib|include)\/.+|build-version)$/.exec(name)?.[1];
  return inner && `torch/${inner}`;
}

/** @param {Search} search */
function remedies({ cuda, pythons }) {
  const again = 'npx distill setup';
  const commands = [
    `DISTILL_LIBTORCH_URL=<address> ${again}    # a mirror of ${ARCHIVE_BASE}`,
    `LIBTORCH=<folder> ${again}    # an unpacked LibTorch ${VERSION}, or the torch of some Python`,
  ];
  if (!pythons.some((python) => python.pip)) {
    commands.unshift(`${pipRemedy(pythons[0])} && ${again}    # pip can bring it`);
  }
  if (cuda) {
    commands.push(`DISTILL_LIBTORCH=cpu ${again}    # a CPU build`);
  }
  return commands;
}
