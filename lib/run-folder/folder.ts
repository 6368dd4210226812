import { closeSync } from 'node:fs';
import { access, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { loadAddon, native } from '../addon.js';
import { type Dataset, hashOf } from '../data/store.js';
import { DistillError } from '../errors.js';
import { readFile } from '../files.js';
import type { NativeKeep, NativeState, NativeStore } from '../native.js';
import type { Schema } from '../options/option.js';
import type { CommonEvents, Reporter } from '../run/events.js';
import type { TaskContext } from '../run/task.js';
import {
  compareFacts,
  compareOptions,
  factsOf,
  type GivenFacts,
  type KeptCall,
  newRecord,
  parseRecord,
  type RunRecord,
} from './record.js';

/** The options of every run that can be kept in a folder. */
export interface KeepingOptions {
  runDir?: string | undefined;
  resume: boolean;
  checkpointEvery: number;
  overwrite: boolean;
}

/** A training of a run. */
export interface KeptTraining {
  /** The run's seconds before this training, those before an interruption included. */
  elapsed: number;
  /** Its place in the run's folder; `null` where the run has none. */
  place: TrainingPlace | null;
}

/** A training in a run's folder: how its state is kept, and what it goes on from. */
export interface TrainingPlace {
  keep: NativeKeep;
  /** The file of the best network. */
  best: string;
  /** What had been done before the run was interrupted; `null` where the training begins. */
  before: NativeState | null;
  /** The file of its epochs. */
  epochsFile: string;
}

const RECORD = 'options.json';
const STATE = 'state.safetensors';
const EPOCHS = 'epochs.jsonl';
const TRIALS = 'trials';
const ANSWERS = 'answers.log';

/** The names of the files that a run's folder may hold. */
const OURS =
  /^(options\.json|state\.safetensors|(epochs|trials)\.jsonl|trials|answers\.log|(best|last)(\.\w+)?)$/;
/** What killed runs leave, which the next one removes. */
const LEFTOVER = /^\.node-distill-\w{6}\.part$/;

/** Bytes of the largest record, and of the largest network. */
const RECORD_LIMIT = 16 * 2 ** 20;
const MODEL_LIMIT = 2 ** 34;

/**
 * The folder of a run: `options.json` describes it, `state.safetensors` is what resuming needs, `epochs.jsonl` has a line
 * for each epoch, `answers.log` keeps the teacher's answers, and `best` and `last` are networks. Of a run of several trainings
 * each has its state, its epochs and its networks in a folder of its own, and `trials.jsonl` has a line for each that is done.
 * One process at a time works in it.
 */
export class RunFolder {
  readonly path: string;
  /** Seconds that the run had taken before it was interrupted. */
  readonly secondsBefore: number;
  readonly #options: KeepingOptions;
  readonly #reporter: Reporter<CommonEvents>;
  #record: RunRecord;

  private constructor(
    folder: string,
    given: {
      options: KeepingOptions;
      record: RunRecord;
      reporter: Reporter<CommonEvents>;
      secondsBefore: number;
    },
  ) {
    this.path = folder;
    this.#options = given.options;
    this.#record = given.record;
    this.#reporter = given.reporter;
    this.secondsBefore = given.secondsBefore;
  }

  /**
   * Opens the folder that `runDir` names: makes it, or finds the run in it that is to be resumed. Nothing
   * but what killed runs have left half made is removed yet: {@link confirm} does that.
   *
   * @param given.seed The seed of a run that begins; one that is resumed keeps its own.
   * @returns `null` where no folder is named.
   * @throws DistillError `ERR_EXISTS` where it holds a run that is neither resumed nor overwritten, `ERR_RUN_DIR` where
   * another process works in it, `ERR_RESUME` where the run was begun with other options, and `ERR_WRITE`.
   */
  static async open(
    options: KeepingOptions,
    given: { call: KeptCall; schema: Schema; seed: number },
    task: TaskContext<CommonEvents>,
  ): Promise<RunFolder | null> {
    if (options.runDir === undefined) {
      if (!options.resume) return null;
      throw new DistillError('ERR_OPTION', '`resume` needs the folder of the run as `runDir`.');
    }
    const folder = path.resolve(options.runDir);
    await makeFolder(folder);
    await lockFolder(folder, task);
    await sweepFolder(folder);
    await sweepTrials(folder);
    const known = await readRecord(folder);
    if (known && options.resume) {
      warnOfChanges(folder, compareOptions(known, { ...given, options }, folder), task);
      const secondsBefore = await secondsIn(folder);
      return new RunFolder(folder, { options, record: known, reporter: task, secondsBefore });
    }
    if (!options.overwrite) await refuseContents(folder, known);
    const record = newRecord(given.call, given.schema, options, given.seed);
    return new RunFolder(folder, { options, record, reporter: task, secondsBefore: 0 });
  }

  /** The seed of the run: the option's, or the one that was drawn when it began. */
  get seed(): number {
    return this.#record.seed;
  }

  /**
   * Takes the facts that the run's numbers follow from, before anything is computed, and compares them with those of a run
   * that is resumed. What has changed and may change the last digits of its numbers is warned of. A run that begins is
   * written down now, and an earlier one in its place removed: all that it needs is there.
   *
   * @param threads The option; `undefined`: one for each processor.
   * @throws DistillError `ERR_RESUME` where pictures, teacher or precision are others; `ERR_WRITE`.
   */
  async confirm(
    { dataset, ...given }: Omit<GivenFacts, 'dataset'> & { dataset: Dataset },
    threads: number | undefined,
  ): Promise<void> {
    const facts = factsOf({ ...given, dataset: await hashOf(dataset) }, threads);
    const { facts: before } = this.#record;
    if (before) warnOfChanges(this.path, compareFacts(before, facts, this.path), this.#reporter);
    else await clear(this.path);
    this.#record = { ...this.#record, facts: before ?? facts };
    await this.#save();
  }

  /**
   * Returns how a training of the run is kept, and what it goes on from.
   *
   * @param output The file of the best network, whose format those in the folder have, too.
   * @param trial Its number from 1, in a run of several trainings: it has a folder of its own then.
   * @throws DistillError `ERR_RESUME` where the best network is no longer there; `ERR_STATE`, `ERR_WRITE`.
   */
  async place(output: string, trial?: number): Promise<TrainingPlace> {
    const file = (name: string) => this.fileIn(name, trial);
    await makeFolder(file('.'));
    await sweepFolder(file('.'));
    const state = file(STATE);
    const before = this.#options.resume ? await readState(state) : null;
    const isOurs = before?.fingerprint === this.#record.id;
    const best = file(`best${path.extname(output)}`);
    if (isOurs && before.epochs.some(({ saved }) => saved) && !(await exists(best))) {
      throw new DistillError(
        'ERR_RESUME',
        `'${best}' is gone, which holds the best network of the run; put it back, or set \`overwrite\` instead of \`resume\` to start anew.`,
      );
    }
    return {
      keep: {
        state,
        last: file(`last${path.extname(output)}`),
        every: this.#options.checkpointEvery,
        resume: isOurs,
        fingerprint: this.#record.id,
      },
      best,
      before: isOurs ? before : null,
      epochsFile: file(EPOCHS),
    };
  }

  /** The file that keeps the teacher's answers, as they are given. */
  get answers(): NonNullable<NativeStore['answers']> {
    return { file: this.fileIn(ANSWERS), fingerprint: this.#record.id };
  }

  /** Returns the path of a file in the folder, or in that of a trial. */
  fileIn(name: string, trial?: number): string {
    return path.join(this.path, ...(trial === undefined ? [] : [TRIALS, `${trial}`]), name);
  }

  async #save(): Promise<void> {
    const text = `${JSON.stringify(this.#record, null, 2)}\n`;
    await native(loadAddon().writeFile(this.fileIn(RECORD), new TextEncoder().encode(text)));
  }
}

/**
 * Reads what a folder says of the run in it.
 *
 * @throws DistillError `ERR_RESUME` where there is none.
 */
export async function recordIn(folder: string): Promise<RunRecord> {
  const record = await readRecord(path.resolve(folder));
  if (record) return record;
  throw new DistillError(
    'ERR_RESUME',
    `There is no run in '${folder}': it has no ${RECORD}; name the folder that the run was kept in (\`runDir\`).`,
  );
}

async function makeFolder(folder: string): Promise<void> {
  await attempt(folder, 'made', () => mkdir(folder, { recursive: true }));
}

/** Does what may fail for the system's reasons, on a folder that cannot be `made`, `listed` or `cleared` then. */
async function attempt<T>(folder: string, done: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new DistillError(
      'ERR_WRITE',
      `The folder '${folder}' cannot be ${done} (${(cause as NodeJS.ErrnoException).code}); name another as \`runDir\`.`,
      { cause },
    );
  }
}

/** Makes sure that files can be written in a folder, and removes what killed runs have left half made there. */
async function sweepFolder(folder: string): Promise<void> {
  await native(loadAddon().checkWritable(path.join(folder, RECORD)));
}

/** Does the same in the folders of its trials, those that are done included: nothing else is written there any more. */
async function sweepTrials(folder: string): Promise<void> {
  for (const trial of await trialsIn(folder)) await sweepFolder(trial);
}

/** Returns the folders of a run's trials, in their order. */
async function trialsIn(folder: string): Promise<string[]> {
  const parent = path.join(folder, TRIALS);
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  const numbers = entries.filter((entry) => entry.isDirectory()).map(({ name }) => Number(name));
  const trials = numbers.filter((number) => number > 0).sort((a, b) => a - b);
  return trials.map((number) => path.join(parent, `${number}`));
}

/** Returns the seconds of the run in a folder, as its last state says: of several trainings, that of the last one that has any. */
async function secondsIn(folder: string): Promise<number> {
  for (const place of [folder, ...(await trialsIn(folder)).reverse()]) {
    const state = await readState(path.join(place, STATE));
    if (state) return state.seconds;
  }
  return 0;
}

/** Keeps other runs out of the folder until this one ends, however it ends. */
async function lockFolder(folder: string, task: TaskContext<CommonEvents>): Promise<void> {
  const lock = await native(loadAddon().lockFolder(folder));
  if (lock !== null) {
    task.defer(() => closeSync(lock));
    return;
  }
  throw new DistillError(
    'ERR_RUN_DIR',
    `Another run is at work in '${folder}'; wait for its end, or name another folder as \`runDir\`.`,
  );
}

/** Reads the record of the run in a folder; `null` where there is none. */
async function readRecord(folder: string): Promise<RunRecord | null> {
  const file = path.join(folder, RECORD);
  if (!(await exists(file))) return null;
  return parseRecord((await readFile(file, { limit: RECORD_LIMIT })).toString('utf8'), file);
}

/** Reads a training's state; `null` where there is none. */
async function readState(file: string): Promise<NativeState | null> {
  return (await exists(file)) ? native(loadAddon().readState(file)) : null;
}

/** Refuses to begin a run where there is one, or where other files could be lost. */
async function refuseContents(folder: string, known: RunRecord | null): Promise<void> {
  if (known) {
    throw new DistillError(
      'ERR_EXISTS',
      `'${folder}' holds a run: set \`resume\` to go on with it, name another folder as \`runDir\`, or set \`overwrite\` to start anew.`,
    );
  }
  const names = await attempt(folder, 'listed', () => readdir(folder));
  const others = names.filter((name) => !LEFTOVER.test(name));
  if (others.length === 0) return;
  throw new DistillError(
    'ERR_EXISTS',
    `'${folder}' holds other files, such as '${others[0]}', and no run; name an empty folder as \`runDir\`.`,
  );
}

/** Removes what an earlier run has left. The record goes first: without it, nobody takes the rest for a run. */
async function clear(folder: string): Promise<void> {
  await attempt(folder, 'cleared', async () => {
    await rm(path.join(folder, RECORD), { force: true });
    const names = (await readdir(folder)).filter((name) => OURS.test(name));
    for (const name of names) await rm(path.join(folder, name), { recursive: true });
  });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

function warnOfChanges(
  folder: string,
  changes: readonly string[],
  reporter: Reporter<CommonEvents>,
): void {
  if (changes.length === 0) return;
  const message = `The run in '${folder}' goes on with changes: ${changes.join(', ')}; its numbers may differ from those of a run without an interruption.`;
  reporter.report('warning', { code: 'WARN_RESUMED_OTHERWISE', message, path: folder });
}

/** Returns the seconds of a run so far, those before an interruption included. */
export function secondsOf(folder: RunFolder | null, task: { elapsed(): number }): number {
  return (folder?.secondsBefore ?? 0) + task.elapsed();
}

/**
 * Returns how a training of a run is kept, and what it goes on from.
 *
 * @param output The file of the best network, whose format those in the run's folder have, too.
 */
export async function keptTraining(
  folder: RunFolder | null,
  output: string,
  task: { elapsed(): number },
): Promise<KeptTraining> {
  const place = (await folder?.place(output)) ?? null;
  if (place?.before?.epochs.some(({ saved }) => saved) && !(await exists(output))) {
    // Somebody has moved it away: it is to be there in the end.
    await native(loadAddon().writeFile(output, await readFile(place.best, { limit: MODEL_LIMIT })));
  }
  return { elapsed: secondsOf(folder, task), place };
}
