// Installs and builds what a fresh clone lacks, before `npm run quickstart`, `npm test` and `npm run bench`. It imports
// only Node's own modules, as nothing else may be installed yet. With everything in place it takes seconds.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { withLock } from './setup/lock.js';

const ROOT = path.resolve(import.meta.dirname, '..');

// A second process that waits for the lock finds the first one's work done.
if (!isInstalled()) {
  const install = () => isInstalled() || npm('ci');
  const onWait = () => console.error('ready: another process is installing the dependencies');
  await withLock(path.join(ROOT, 'node_modules'), install, onWait);
}
npm('run', '--silent', 'build');
// `npm ci` has built the addon, unless it was told to run no scripts.
const skip = process.env.DISTILL_SKIP_SETUP;
if (!skip || skip === '0') node('scripts/distill.js', 'setup');

/** Tells whether node_modules holds what package-lock.json names; dates say nothing, as git sets them. */
function isInstalled() {
  const installed = packagesOf('node_modules/.package-lock.json');
  const locked = Object.entries(packagesOf('package-lock.json'));
  return locked.every(
    // Optional packages may be for another platform; the first entry is this package itself.
    ([name, { version, optional, devOptional }]) =>
      name === '' ||
      (installed[name] ? installed[name].version === version : optional || devOptional),
  );
}

/**
 * @param {string} lockFile
 * @returns {Record<string, { version?: string, optional?: boolean, devOptional?: boolean }>}
 */
function packagesOf(lockFile) {
  const file = path.join(ROOT, lockFile);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : {};
}

/** @param {string[]} args */
function npm(...args) {
  // npm names its own program to the scripts that it runs.
  const program = process.env.npm_execpath;
  if (program?.endsWith('.js')) node(program, ...args);
  else end(spawnSync('npm', args, { cwd: ROOT, stdio: 'inherit' }));
}

/** @param {string[]} args */
function node(...args) {
  end(spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }));
}

/** @param {import('node:child_process').SpawnSyncReturns<Buffer>} outcome */
function end({ status, error }) {
  if (error) console.error(`ready: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
