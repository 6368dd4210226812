import { createHash } from 'node:crypto';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** Matches what native/core/temporary.h names a file or folder that is being made. */
const TEMPORARY = /(^|\/)\.node-distill-[0-9A-Za-z]{6}\.part(\/|$)/;
export const isTemporary = (/** @type {string} */ file) => TEMPORARY.test(file);

/** What a killed process leaves in a folder, and what is another's and stays. */
const LEFT_BEHIND = ['.node-distill-dead00.part', '.node-distill-dead01.part/1-student.pth'];
const ANOTHERS = ['movie.mkv.part', '.node-distill-another'];

/** The folder that commands write to, and what it can look like before they do. */
export class Place {
  /** @param {string} root */
  constructor(root) {
    this.root = root;
  }

  /** Empties it, but for the folders that are there before the first run. */
  clear() {
    rmSync(this.root, { recursive: true, force: true });
    for (const folder of ['out', 'scratch']) this.#add(folder, ANOTHERS);
  }

  /** Makes it what it was when it was kept. */
  restore(/** @type {string} */ kept) {
    rmSync(this.root, { recursive: true, force: true });
    cpSync(kept, this.root, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  }

  /** Adds what killed processes leave to folders. */
  leaveBehind(/** @type {Iterable<string>} */ folders) {
    for (const folder of folders) this.#add(folder, LEFT_BEHIND);
  }

  /** Keeps a copy of it all. */
  keep(/** @type {string} */ kept) {
    cpSync(this.root, kept, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  }

  #add(/** @type {string} */ folder, /** @type {string[]} */ names) {
    for (const name of names) {
      const file = path.join(this.root, folder, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, name);
    }
  }

  /** Lists files and links in it, and empty folders that have a temporary name. @returns {string[]} */
  list() {
    return readdirSync(this.root, { recursive: true, encoding: 'utf8' })
      .filter((name) => {
        const file = path.join(this.root, name);
        if (!lstatSync(file).isDirectory()) return true;
        return isTemporary(name) && readdirSync(file).length === 0;
      })
      .sort();
  }

  /** Reads what is in it, but for temporary files: a digest of each file. */
  contents() {
    const names = this.list().filter((name) => !isTemporary(name));
    return new Map(names.map((name) => [name, digestOf(path.join(this.root, name), name)]));
  }

  /** Lists what has a temporary name in it. */
  temporary() {
    return this.list().filter(isTemporary);
  }
}

/** Digests what a file holds. Figures are those of a run, and its times are not. */
export function digestOf(/** @type {string} */ file, name = file) {
  const bytes = readFileSync(file);
  const hash = createHash('sha256');
  // Each time another, as a run's name and its times are in it, or as it grows: the run that resumes is its judge.
  if (/(state\.safetensors|answers\.log)$/.test(name)) return 'for its reader';
  if (name.endsWith('.jsonl')) return hash.update(JSON.stringify(linesOf(bytes))).digest('hex');
  if (!name.endsWith('.json')) return hash.update(bytes).digest('hex');
  try {
    return hash.update(JSON.stringify(JSON.parse(bytes.toString()), withoutTimes)).digest('hex');
  } catch (error) {
    return `not JSON: ${error instanceof Error ? error.message : error}`;
  }
}

/** The lines of a file that grows: a last one that was cut short counts as not written. */
function linesOf(/** @type {Buffer} */ bytes) {
  const lines = bytes.toString().split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line, withoutTimes));
}

/** Leaves out times and the names of runs, and sorts keys. */
function withoutTimes(/** @type {string} */ key, /** @type {unknown} */ value) {
  if (/seconds?$|^id$/i.test(key)) return undefined;
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? Object.fromEntries(Object.entries(value).sort()) : value;
}
