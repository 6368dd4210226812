// Records what earlier runs of the quickstart have made, so that nothing is made twice.
import { createHash } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

const FILE = 'quickstart.json';
/** The name of the list while it is being written. */
const UNFINISHED = `${FILE}.part`;

/**
 * A list of the steps that are done, in a file beside what they made. A step is done again where its settings, or what it
 * is made from, or what it made is no longer the same.
 */
export class Ledger {
  /** Maps the outputs of a step to the SHA-256 of its settings, inputs and outputs. @type {Record<string, string>} */
  #done = {};

  /** Resumes in the folder of an earlier run, or starts in an empty one; refuses others, since steps replace files. */
  constructor() {
    if (existsSync(FILE)) this.#done = read();
    // A run that was killed at once has left no more than the unfinished list.
    else if (readdirSync('.').every((name) => name === UNFINISHED)) this.#save();
    else {
      throw new Error(`${process.cwd()} holds other files; name a new folder with --folder.`);
    }
  }

  /**
   * Does a step, unless it is done.
   *
   * @param {object} what
   * @param {unknown} what.settings
   * @param {string[]} what.from files or folders that it reads
   * @param {string[]} what.makes files or folders; a step that makes none is never done
   * @param {() => Promise<void>} work
   * @returns {Promise<boolean>} whether it was done already
   */
  async step({ settings, from, makes }, work) {
    const state = () => hash(JSON.stringify([settings, [...from, ...makes].flatMap(contents)]));
    const name = makes.join();
    if (name && makes.every(existsSync) && this.#done[name] === state()) return true;
    // The commands refuse to replace a damaged file, which nobody is known to have written.
    for (const file of makes.filter((made) =>
      statSync(made, { throwIfNoEntry: false })?.isFile(),
    )) {
      unlinkSync(file);
    }
    await work();
    if (name) {
      this.#done[name] = state();
      this.#save();
    }
    return false;
  }

  #save() {
    writeFileSync(UNFINISHED, `${JSON.stringify(this.#done, null, 2)}\n`);
    renameSync(UNFINISHED, FILE);
  }
}

/**
 * Reads the list; a damaged one counts as empty, so that its steps are done again.
 *
 * @returns {Record<string, string>}
 */
function read() {
  try {
    return { ...JSON.parse(readFileSync(FILE, 'utf8')) };
  } catch {
    return {};
  }
}

/**
 * The SHA-256 of a file, or of all files in a folder, with their names.
 *
 * @param {string} name
 * @returns {[name: string, content: string][]}
 */
function contents(name) {
  if (!statSync(name).isDirectory()) return [[name, hash(readFileSync(name))]];
  return readdirSync(name)
    .sort()
    .flatMap((inner) => contents(path.join(name, inner)));
}

/** @param {string | Uint8Array} data */
const hash = (data) => createHash('sha256').update(data).digest('hex');
