import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { VERSION, WHEEL_PYTHON } from './pinned.js';
import { run } from './run.js';
import { unpack } from './unpack.js';

/**
 * `pip download`: pip knows the user's registries, mirrors, proxies and certificates.
 *
 * @param {import('./python.js').Python} python
 * @param {readonly string[]} requirements
 * @param {string} folder
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {boolean} options.dependencies whether to bring what the packages themselves require
 * @returns {Promise<string[]>} the wheels
 */
export async function pipDownload(python, requirements, folder, { env, dependencies }) {
  await mkdir(folder, { recursive: true });
  const common = [
    ...['-m', 'pip', 'download', '--disable-pip-version-check', '--only-binary=:all:'],
    ...(dependencies ? [] : ['--no-deps']),
    // The default of five retries makes a machine without a network wait for minutes.
    ...['--retries', '1', '--dest', folder],
  ];
  const showOutput = process.stderr.isTTY === true;
  const attempt = (/** @type {string[]} */ more) =>
    run(python.executable, [...common, ...more, ...requirements], { env, showOutput });

  let outcome = await attempt([]);
  if (!outcome.ok && /No matching distribution/.test(outcome.stderr)) {
    // This Python may be too old or too new for the wheels; their C++ part serves all the same.
    const other = await attempt(['--python-version', WHEEL_PYTHON]);
    if (other.ok) outcome = other;
  }
  if (!outcome.ok) {
    const lines = outcome.stderr.trim().split('\n');
    const why = lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.at(-1);
    throw new Error(
      `${python.executable} -m pip: ${why?.replace('ERROR: ', '') || outcome.reason}`,
    );
  }
  return (await readdir(folder)).map((name) => path.join(folder, name));
}

/**
 * Downloads PyTorch's wheel and unpacks the part of it that is a LibTorch: `torch/` in `tree`.
 *
 * @param {import('./python.js').Python} python
 * @param {string} tree
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {boolean} options.cuda whether a CPU build is of no use
 * @param {string} [options.version]
 * @returns {Promise<{ companions: string[] }>} the requirements that a CUDA build has besides
 */
export async function bringWheel(python, tree, { env, cuda, version = VERSION }) {
  const wheels = `${tree}-wheel`;
  // pip takes `2.13.0+cpu` for later than `2.13.0`, which is the build for CUDA.
  const requirement = `torch==${version}${cuda ? `,!=${version}+cpu` : ''}`;
  const [wheel] = await pipDownload(python, [requirement], wheels, { env, dependencies: false });
  if (!wheel) throw new Error(`pip left no wheel of torch ${version}`);
  await mkdir(tree, { recursive: true });
  await unpack(wheel, tree, placeOfWheel);
  const metadata = await readFile(path.join(tree, 'METADATA'), 'utf8').catch(() => '');
  await rm(path.join(tree, 'METADATA'), { force: true });
  await rm(wheels, { recursive: true });
  return { companions: companionsOf(metadata) };
}

/**
 * Brings NVIDIA's libraries: `nvidia/` in `tree`, beside `torch/`.
 *
 * @param {import('./python.js').Python} python
 * @param {readonly string[]} requirements
 * @param {string} tree
 * @param {NodeJS.ProcessEnv} env
 */
export async function bringCompanions(python, requirements, tree, env) {
  const folder = `${tree}-wheels`;
  const wheels = await pipDownload(python, requirements, folder, { env, dependencies: true });
  for (const wheel of wheels) {
    await unpack(wheel, tree, (name) => (name.startsWith('nvidia/') ? name : undefined));
    await rm(wheel);
  }
}

/**
 * Selects from a wheel's METADATA what LibTorch needs at run time. The rest is for Python: triton,
 * sympy, the cuda-bindings. `cuda-toolkit` is a package of packages, NVIDIA's from CUDA 13 on.
 *
 * @param {string} metadata
 * @returns {string[]} requirements, with their markers
 */
export function companionsOf(metadata) {
  return metadata
    .split(/\r?\n/)
    .map((line) => /^Requires-Dist:\s*((?:nvidia-|cuda-toolkit\b).*)$/.exec(line)?.[1] ?? '')
    .filter((requirement) => requirement && !/\bextra\s*==/.test(requirement));
}

/**
 * Returns the name that a file of PyTorch's wheel gets as part of LibTorch, if it is one. auditwheel puts
 * libraries into `torch.libs/`.
 *
 * @param {string} name
 */
function placeOfWheel(name) {
  if (/^(torch\/(lib|include)|torch\.libs|nvidia)\//.test(name)) return name;
  if (name === 'torch/version.py') return name;
  return /^torch-[^/]+\.dist-info\/METADATA$/.test(name) ? 'METADATA' : undefined;
}
