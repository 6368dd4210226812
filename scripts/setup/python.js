import { existsSync } from 'node:fs';
import path from 'node:path';
import { installCommand } from './packages.js';
import { findOnPath, run } from './run.js';

/**
 * @typedef {object} Python
 * @property {string} executable
 * @property {string} version such as `3.12`
 * @property {string} torch the folder of its torch package; empty when it has none
 * @property {boolean} pip whether it has pip
 */

// find_spec() finds a package without importing it: importing torch takes seconds. The empty entry
// in sys.path is the folder that Python was started in, whose `torch/` is nobody's PyTorch.
const QUESTION = `
import sys
sys.path = [p for p in sys.path if p]
import importlib.util, json
spec = importlib.util.find_spec('torch')
folders = list(spec.submodule_search_locations or []) if spec else []
print(json.dumps({
  'executable': sys.executable,
  'version': '%d.%d' % sys.version_info[:2],
  'torch': folders[0] if folders else '',
  'pip': importlib.util.find_spec('pip') is not None,
}))
`;

/**
 * Every Python that answers, the active one first.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Python[]>}
 */
export async function findPythons(env) {
  const virtual = env.VIRTUAL_ENV ? [path.join(env.VIRTUAL_ENV, 'bin/python')] : [];
  /** @type {Map<string, Python>} */
  const pythons = new Map();
  for (const name of [...virtual, 'python3', 'python']) {
    const command = findOnPath(name, env);
    if (!command) continue;
    const answer = await run(command, ['-c', QUESTION], { env, timeout: 30_000 });
    // Python 2, or a launcher without a Python behind it.
    if (!answer.ok) continue;
    // A site's own start-up code may have printed something before.
    /** @type {Python} */
    const python = JSON.parse(answer.stdout.trim().split('\n').at(-1) ?? '');
    if (!pythons.has(python.executable)) pythons.set(python.executable, python);
  }
  return [...pythons.values()];
}

/**
 * The command that gives this machine pip.
 *
 * @param {Python | undefined} python
 */
export function pipRemedy(python) {
  // In a virtual environment the distribution's pip does not help, and ensurepip is always there.
  const virtual = python && existsSync(path.join(path.dirname(python.executable), '../pyvenv.cfg'));
  return virtual ? `${python.executable} -m ensurepip --upgrade` : installCommand(['pip']);
}
