import { spawnSync } from 'node:child_process';
import {
  existsSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * A call that changed a file, or was to: its number from 1, the system's function, the path in the folder, and the one that is
 * renamed.
 *
 * @typedef {{ number: number, name: string, path: string, from: string }} Call
 */

const { ENOSPC, EDQUOT, EIO } = os.constants.errno;

/** Values of `lasting` in shim.c. */
const ONCE = 0n;
const WHERE_ROOM_IS_TAKEN = 1n;
const FROM_NOW_ON = 2n;

/**
 * The ways to disturb a call: shim.c's action, errno, and the later calls that fail as well.
 *
 * @type {Record<string, { action: bigint, error?: number, lasting?: bigint }>}
 */
const DISTURBANCES = {
  'kill-before': { action: 1n },
  'kill-after': { action: 2n },
  'kill-halfway': { action: 3n },
  ENOSPC: { action: 4n, error: ENOSPC, lasting: WHERE_ROOM_IS_TAKEN },
  EDQUOT: { action: 4n, error: EDQUOT, lasting: WHERE_ROOM_IS_TAKEN },
  EIO: { action: 4n, error: EIO, lasting: ONCE },
  'EIO-for-good': { action: 4n, error: EIO, lasting: FROM_NOW_ON },
  short: { action: 5n },
};

/** Lists the ways in which a call can be disturbed: only what writes can be done by half. */
export function disturbancesOf(/** @type {Call} */ { name }) {
  return Object.keys(DISTURBANCES).filter((kind) => {
    if (kind === 'kill-halfway') return /write|fallocate/.test(name);
    return kind !== 'short' || name.includes('write');
  });
}

/** True for a disturbance that ends the process. */
export const isKill = (/** @type {string} */ kind) => kind.startsWith('kill');

/** The bytes of the shared fields in shim.c, each an int64. */
const FIELDS = 6;

/** The library that is preloaded, and the files by which this process and the one under test share what it does. */
export class Shim {
  #control;
  #trace;
  #copies;
  /** The environment of the process under test. @type {NodeJS.ProcessEnv} */
  env;

  /**
   * @param {string} home A folder for the library and the shared files.
   * @param {string} folder The folder whose changes count.
   * @param {string} copies A folder for the copies of changed files.
   */
  constructor(home, folder, copies) {
    const library = path.join(home, 'shim.so');
    const source = path.join(import.meta.dirname, 'shim.c');
    const compiler = process.env.CC ?? 'cc';
    const args = ['-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'];
    const { status, error } = spawnSync(compiler, args, { stdio: 'inherit' });
    if (status !== 0) throw error ?? new Error(`${compiler} does not compile ${source}`);
    const control = path.join(home, 'control');
    this.#trace = path.join(home, 'trace');
    this.#copies = copies;
    writeFileSync(control, Buffer.alloc(FIELDS * 8));
    writeFileSync(this.#trace, '');
    this.#control = openSync(control, 'r+');
    this.env = {
      LD_PRELOAD: library,
      CRASH_FOLDER: `${folder}/`,
      CRASH_COPIES: `${copies}/`,
      CRASH_CONTROL: control,
      CRASH_TRACE: this.#trace,
    };
  }

  /** Counts calls from 1 again, and disturbs none of them. */
  watch({ copying = false } = {}) {
    this.#set([0n, 0n, 0n, 0n, BigInt(copying), 0n]);
  }

  /** Counts calls from 1 again, and disturbs the n-th. */
  disturb(/** @type {number} */ number, /** @type {string} */ kind) {
    const how = DISTURBANCES[kind];
    if (!how) throw new Error(`No disturbance is called '${kind}'`);
    const { action, error = 0, lasting = ONCE } = how;
    this.#set([BigInt(number), action, BigInt(error), lasting, 0n, 0n]);
  }

  #set(/** @type {bigint[]} */ fields) {
    truncateSync(this.#trace);
    writeSync(this.#control, BigInt64Array.from(fields), 0, FIELDS * 8, 0);
  }

  /** The number of calls so far. */
  count() {
    const fields = new BigInt64Array(FIELDS);
    readSync(this.#control, fields, 0, FIELDS * 8, 0);
    return Number(fields[FIELDS - 1]);
  }

  /** The calls so far. @returns {Call[]} */
  calls() {
    const lines = readFileSync(this.#trace, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => {
      const [number = '', name = '', file = '', from = ''] = line.split('\t');
      return { number: Number(number), name, path: file, from };
    });
  }

  /** The copies of files that were made after a call. */
  copies(/** @type {Call[]} */ calls) {
    return calls
      .map((call) => ({ file: call.path, copy: path.join(this.#copies, `${call.number}`) }))
      .filter(({ copy }) => existsSync(copy));
  }
}
