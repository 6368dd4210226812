import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import path from 'node:path';
import { VERSIONS } from './pinned.js';

/**
 * @typedef {object} LibTorch
 * @property {string} folder the folder that holds include/ and lib/
 * @property {string} version such as `2.13.0+cpu`; empty when the folder does not say
 * @property {boolean} cuda whether it is a CUDA build
 */

/** ELF's machine numbers, by Node's names. */
const MACHINES = new Map([
  [62, 'x64'],
  [183, 'arm64'],
]);

/**
 * Looks at a folder that may be a LibTorch.
 *
 * @param {string} folder
 * @returns {LibTorch & { problem: string }} `problem` says why it does not serve, and is empty when
 *   it does
 */
export function inspect(folder) {
  const library = (/** @type {string} */ name) =>
    path.join(folder, 'lib', `lib${name}.${process.platform === 'darwin' ? 'dylib' : 'so'}`);
  const version = readVersion(folder);
  const found = { folder, version, cuda: existsSync(library('torch_cuda')) };

  const required = [path.join(folder, 'include/ATen/ATen.h')];
  required.push(...['c10', 'torch', 'torch_cpu'].map(library));
  const missing = required.find((file) => !existsSync(file));
  if (missing) return { ...found, problem: `holds no ${path.relative(folder, missing)}` };

  const machine = readMachine(library('c10'));
  if (machine && machine !== process.arch) {
    return { ...found, problem: `is built for ${machine}, and this Node runs on ${process.arch}` };
  }
  if (!version) {
    return { ...found, problem: 'does not say its version (no version.py, no build-version)' };
  }
  if (!VERSIONS.includes(version.split('+')[0] ?? '')) {
    const needed = VERSIONS.join(' or ');
    return { ...found, problem: `is LibTorch ${version}, and ${needed} is needed` };
  }
  return { ...found, problem: '' };
}

/**
 * A wheel says its version in version.py and the official archive in build-version; a LibTorch that
 * a distribution packaged has neither, but its headers say it.
 *
 * @param {string} folder
 */
function readVersion(folder) {
  const read = (/** @type {string} */ name) => {
    const file = path.join(folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const python = /^__version__\s*=\s*['"]([^'"]+)/m.exec(read('version.py'))?.[1];
  if (python) return python;
  const build = read('build-version').trim();
  if (build) return build;
  const header = read('include/torch/headeronly/version.h');
  const numbers = ['MAJOR', 'MINOR', 'PATCH'].map(
    (part) => new RegExp(`#define TORCH_VERSION_${part} (\\d+)`).exec(header)?.[1],
  );
  return numbers.every(Boolean) ? numbers.join('.') : '';
}

/**
 * The machine that a Linux library is built for, so that a LibTorch of another architecture is named
 * here and not by a screen of the linker.
 *
 * @param {string} file
 */
function readMachine(file) {
  const head = Buffer.alloc(20);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, head);
  } finally {
    closeSync(descriptor);
  }
  const elf = head.subarray(0, 4).toString('latin1') === '\x7fELF';
  return elf ? (MACHINES.get(head.readUInt16LE(18)) ?? 'another machine') : undefined;
}
