// `npm run build`: compiles lib/ beside dist/, and puts each file that is new or has changed in its place by a rename.
// Whoever reads dist/ meanwhile finds every module whole, and two builds at once do the same.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const INCOMING = '.dist-';

removeLeftovers();
const incoming = path.join(ROOT, `${INCOMING}${process.pid}`);
try {
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [compiler, '-p', 'tsconfig.build.json', '--outDir', incoming];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status === 0) replace(filesIn(incoming));
  process.exitCode = status ?? 1;
} finally {
  rmSync(incoming, { recursive: true, force: true });
}

/** @param {string[]} files */
function replace(files) {
  const target = (/** @type {string} */ file) => path.join(DIST, file);
  const before = filesIn(DIST);
  // New files go first, since changed ones may import them.
  const isThere = new Set(before);
  for (const file of files.sort((a, b) => Number(isThere.has(a)) - Number(isThere.has(b)))) {
    const made = path.join(incoming, file);
    if (isThere.has(file) && same(made, target(file))) continue;
    mkdirSync(path.dirname(target(file)), { recursive: true });
    renameSync(made, target(file));
  }
  const wanted = new Set(files);
  for (const file of before) if (!wanted.has(file)) rmSync(target(file), { force: true });
}

/** @param {string} one @param {string} other */
function same(one, other) {
  return existsSync(other) && readFileSync(one).equals(readFileSync(other));
}

/** @param {string} folder @returns {string[]} relative to it */
function filesIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

/** Removes what killed builds left. */
function removeLeftovers() {
  for (const name of readdirSync(ROOT)) {
    if (!name.startsWith(INCOMING) || isAlive(Number(name.slice(INCOMING.length)))) continue;
    rmSync(path.join(ROOT, name), { recursive: true, force: true });
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
