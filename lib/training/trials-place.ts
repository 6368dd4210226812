import { closeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadAddon, native } from '../addon.js';
import { type KeptTraining, type RunFolder, secondsOf } from '../run-folder/folder.js';
import { DoneTrials } from '../run-folder/trials.js';
import type { Trial } from './seeds.js';

/** Where the students of a run's trials are: each in its folder in that of the run, or all in a temporary one. */
export interface TrialsPlace {
  /** Returns the outcome of a trial, by its number from 1, that was done before the run was interrupted. */
  outcomeOf(trial: number): Trial | undefined;
  /** Returns how a trial's training is kept: in the run's folder, where it has one. */
  training(trial: number): Promise<KeptTraining>;
  /** The file of a trial's student; `null` where it is in the run's folder. */
  temporaryFile(trial: number): string | null;
  /** Keeps the outcome of a trial that is done. */
  finish(trial: number, outcome: Trial): Promise<void>;
  /** Returns the file of a trial's best student. */
  fileOf(outcome: Trial): string;
}

/**
 * Gives `work` a place for trials.
 *
 * @param output The name that students are written under, whose end says their format.
 */
export async function withTrialsPlace<T>(
  folder: RunFolder | null,
  output: string,
  task: { elapsed(): number },
  work: (place: TrialsPlace) => Promise<T>,
): Promise<T> {
  return folder ? inRunFolder(folder, output, task, work) : inTemporaryFolder(output, task, work);
}

async function inRunFolder<T>(
  folder: RunFolder,
  output: string,
  task: { elapsed(): number },
  work: (place: TrialsPlace) => Promise<T>,
): Promise<T> {
  const done = await DoneTrials.open<Trial>(folder.path);
  const files = new Map<Trial, string>();
  const bestFile = (trial: number) => folder.fileIn(`best${path.extname(output)}`, trial);
  try {
    return await work({
      outcomeOf(trial) {
        const outcome = done.outcomeOf(trial);
        if (outcome) files.set(outcome, bestFile(trial));
        return outcome;
      },
      training: async (trial) => ({
        elapsed: secondsOf(folder, task),
        place: await folder.place(output, trial),
      }),
      temporaryFile: () => null,
      async finish(trial, outcome) {
        files.set(outcome, bestFile(trial));
        await done.add(trial, outcome);
      },
      fileOf: (outcome) => files.get(outcome) ?? '',
    });
  } finally {
    await done.finish();
  }
}

async function inTemporaryFolder<T>(
  output: string,
  task: { elapsed(): number },
  work: (place: TrialsPlace) => Promise<T>,
): Promise<T> {
  const folder = await native(loadAddon().makeTemporaryFolder(os.tmpdir()));
  const files = new Map<Trial, string>();
  const fileOf = (trial: number) => path.join(folder.path, `${trial}-${path.basename(output)}`);
  try {
    return await work({
      outcomeOf: () => undefined,
      training: async () => ({ elapsed: task.elapsed(), place: null }),
      temporaryFile: fileOf,
      async finish(trial, outcome) {
        files.set(outcome, fileOf(trial));
      },
      fileOf: (outcome) => files.get(outcome) ?? '',
    });
  } finally {
    // What cannot be removed is a leftover: the next run removes it, and this one's result or error is what counts.
    await rm(folder.path, { recursive: true, force: true }).catch(() => {});
    closeSync(folder.lock);
  }
}
