import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { judgeDisturbed, judgeNext, judgeUndisturbed } from './judge.js';
import { digestOf, isTemporary, Place } from './place.js';
import { disturbancesOf, isKill, Shim } from './shim.js';
import { Workers } from './workers.js';

/** @typedef {import('./shim.js').Call} Call */
/** @typedef {import('./judge.js').Finding} Finding */

/**
 * A command that writes files. Two seeds give different files.
 *
 * @typedef {object} Case
 * @property {string} name
 * @property {(seed: 1 | 2) => string[]} args Its arguments. What it writes lies in `place/`.
 * @property {string[]} [next] Further arguments of the runs after a kill or a fault, such as `--resume`.
 * @property {readonly State[]} [states] The states that it can be run in. Default: all.
 */

/**
 * What is done to a run: its n-th call is disturbed, or it is killed after some milliseconds.
 *
 * @typedef {{ number: number, kind: string } | { milliseconds: number }} Step
 */

/** @typedef {'fresh' | 'old'} State What there is before: nothing, or another run's files and leftovers of dead ones. */
/** @typedef {{ state: State, steps: Step[] }} Trial Disturbed runs, one after the other; then comes one that is not. */

/**
 * What an undisturbed run from a state shows: files and their digests before it and after it, those that each file has had, its
 * calls and its milliseconds.
 *
 * @typedef {object} Known
 * @property {Map<string, string>} before
 * @property {Map<string, string>} after
 * @property {Map<string, Set<string>>} digests
 * @property {Call[]} calls
 * @property {number} milliseconds
 */

/** @type {readonly State[]} */
const STATES = ['fresh', 'old'];

/** Where commands are run: a folder with their inputs, and in it `place/`, which they write to. */
export class Bench {
  /**
   * @param {string} home
   * @param {{ program: string, limit?: number }} options `program`: the module whose `main()` runs commands; `limit`: the
   * milliseconds after which a run is stuck, besides twenty times its usual ones.
   */
  constructor(home, { program, limit = 60_000 }) {
    this.home = home;
    this.place = new Place(path.join(home, 'place'));
    this.copies = path.join(home, 'copies');
    this.shim = new Shim(home, this.place.root, this.copies);
    const env = {
      ...process.env,
      ...this.shim.env,
      TMPDIR: path.join(this.place.root, 'scratch'),
      DISTILL_CACHE: path.join(this.place.root, 'cache'),
      NODE_NO_WARNINGS: '1',
    };
    this.workers = new Workers(program, { cwd: home, env });
    this.limit = limit;
  }

  /** Ends its processes. */
  close() {
    return this.workers.close();
  }

  /** Forgets the copies of an earlier run. */
  clearCopies() {
    rmSync(this.copies, { recursive: true, force: true });
    mkdirSync(this.copies);
  }
}

/** A command on its bench. */
export class Subject {
  #bench;
  #case;
  #states;
  /** @type {Map<State, Known>} */
  #known = new Map();

  /**
   * @param {Bench} bench
   * @param {Case} subject
   */
  constructor(bench, subject) {
    this.#bench = bench;
    this.#case = subject;
    this.#states = subject.states ?? STATES;
    this.name = subject.name;
  }

  /** Runs the command undisturbed from each state, and learns its calls and its files. @returns {Promise<Finding[]>} */
  async learn() {
    const { place, shim } = this.#bench;
    place.clear();
    place.keep(this.#kept('fresh'));
    shim.watch();
    await this.#undisturbed(1);
    place.leaveBehind(temporaryFolders(shim.calls()));
    place.keep(this.#kept('old'));
    const findings = [];
    for (const state of this.#states) {
      place.restore(this.#kept(state));
      const known = await this.#watch();
      this.#known.set(state, known);
      findings.push(...(await judgeUndisturbed(place, known)));
    }
    return findings;
  }

  #kept(/** @type {State} */ state) {
    return path.join(this.#bench.home, 'kept', this.name.replaceAll(' ', '-'), state);
  }

  async #undisturbed(/** @type {1 | 2} */ seed) {
    const outcome = await this.#bench.workers.run(this.#case.args(seed));
    if (outcome.fate === 'ended' && outcome.code === 0) return;
    throw new Error(`${this.name} does not work undisturbed: ${JSON.stringify(outcome)}`);
  }

  /** @returns {Promise<Known>} */
  async #watch() {
    const { place, shim } = this.#bench;
    this.#bench.clearCopies();
    const before = place.contents();
    shim.watch({ copying: true });
    const began = performance.now();
    await this.#undisturbed(2);
    const milliseconds = performance.now() - began;
    const after = place.contents();
    const digests = new Map();
    const add = (/** @type {string} */ file, /** @type {string} */ digest) =>
      digests.set(file, (digests.get(file) ?? new Set()).add(digest));
    for (const [file, digest] of [...before, ...after]) add(file, digest);
    const calls = shim.calls();
    for (const { file, copy } of shim.copies(calls)) add(file, digestOf(copy, file));
    return { before, after, digests, calls, milliseconds };
  }

  #knownOf(/** @type {State} */ state) {
    const known = this.#known.get(state);
    if (!known) throw new Error(`${this.name} has not been learnt`);
    return known;
  }

  /** Lists its calls from each state, a line each. */
  describe() {
    return this.#states
      .flatMap((state) => [
        `${this.name}, ${state}:`,
        ...this.#knownOf(state).calls.map(({ number, name, path, from }) =>
          ['', number, name, from, path].join('\t'),
        ),
      ])
      .join('\n');
  }

  /** Lists every disturbance of every call. @returns {Trial[]} */
  trials() {
    return this.#states.flatMap((state) =>
      this.#knownOf(state).calls.flatMap((call) =>
        disturbancesOf(call).map((kind) => ({ state, steps: [{ number: call.number, kind }] })),
      ),
    );
  }

  /**
   * Draws one to three runs that are disturbed at any call or moment.
   *
   * @param {import('../random.js').Draw} draw
   * @returns {Trial}
   */
  randomTrial(draw) {
    const state = this.#states[draw(this.#states.length)] ?? 'fresh';
    const { calls, milliseconds } = this.#knownOf(state);
    const step = () => {
      const call = calls[draw(calls.length)];
      if (!call || draw(2) === 0) return { milliseconds: draw(Math.ceil(milliseconds)) };
      const kinds = disturbancesOf(call);
      return { number: call.number, kind: /** @type {string} */ (kinds[draw(kinds.length)]) };
    };
    return { state, steps: Array.from({ length: 1 + draw(3) }, step) };
  }

  /**
   * Reads what {@link nameOf} has written. The last call of a function may be meant by its name: `old/rename:EIO`.
   *
   * @param {string} text
   * @returns {Trial}
   */
  parse(text) {
    const [name, ...names] = text.split('/');
    const state = this.#states.find((one) => one === name);
    if (!state) throw new Error(`'${text}' begins with none of ${this.#states.join(', ')}`);
    const { calls } = this.#knownOf(state);
    const steps = names.map((name) => {
      const [place = '', kind] = name.split(':');
      if (!kind) return { milliseconds: Number.parseInt(place, 10) };
      const named = calls.findLast((call) => call.name === place);
      return { number: named?.number ?? Number(place), kind };
    });
    return { state, steps };
  }

  /**
   * Disturbs runs, and looks at what is there after each and after the run that follows.
   *
   * @param {Trial} trial
   * @param {(kind: 'kills' | 'faults') => void} onDisturbed
   * @returns {Promise<Finding[]>}
   */
  async run({ state, steps }, onDisturbed) {
    const { place, shim, workers } = this.#bench;
    const known = this.#knownOf(state);
    // On a busy machine all takes longer.
    const limit = this.#bench.limit + 20 * known.milliseconds;
    const findings = [];
    place.restore(this.#kept(state));
    let args = this.#case.args(2);
    for (const step of steps) {
      const wasTemporary = place.temporary();
      if ('number' in step) shim.disturb(step.number, step.kind);
      else shim.watch();
      const killedAfter = 'number' in step ? undefined : step.milliseconds;
      const outcome = await workers.run(args, { limit, killedAfter });
      const calls = shim.calls();
      findings.push(...judgeDisturbed(place, known, { step, outcome, calls, wasTemporary }));
      const isFault = 'number' in step && !isKill(step.kind);
      // A run may end before the moment, or have fewer calls after other ones.
      if (isFault ? calls.length >= step.number : outcome.fate === 'killed') {
        onDisturbed(isFault ? 'faults' : 'kills');
      }
      args = [...this.#case.args(2), ...(this.#case.next ?? [])];
    }
    shim.watch();
    findings.push(...judgeNext(place, known, await workers.run(args, { limit })));
    return findings;
  }
}

/** Lists the folders in which something was made under a temporary name. */
function temporaryFolders(/** @type {Call[]} */ calls) {
  const files = calls.map((call) => call.path).filter(isTemporary);
  return new Set(files.map((file) => file.slice(0, file.indexOf('/.node-distill-'))));
}

/** Writes a trial as it is given to `--only`: `old/17:kill-before/120ms`. */
export function nameOf(/** @type {Trial} */ { state, steps }) {
  const names = steps.map((step) =>
    'number' in step ? `${step.number}:${step.kind}` : `${step.milliseconds}ms`,
  );
  return [state, ...names].join('/');
}
