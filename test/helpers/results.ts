import { expect } from 'vitest';
import { DistillError, type EpochReport } from '../../lib/index.js';

/** Returns the error that something is refused with; its message is one line. */
export async function refusalOf(call: PromiseLike<unknown>): Promise<DistillError> {
  const error = await call.then(
    () => expect.unreachable('was accepted'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(DistillError);
  expect((error as Error).message).not.toContain('\n');
  return error as DistillError;
}

/** Returns the numbers of a report that are the same in every run with the same seed, or null without a report. */
export function numbersOf<Report extends EpochReport | null>(report: Report) {
  if (!report) return report;
  const { epoch, trainLoss, trainAccuracy, valLoss, valAccuracy, saved } = report;
  return { epoch, trainLoss, trainAccuracy, valLoss, valAccuracy, saved };
}

/** Flags that are not called as their options are. */
const FLAGS: Record<string, string> = { shuffle: '--no-shuffle', overwrite: '--force' };

/** The command line's flags for the options that a function of the API lists where it is given an unknown one. */
export async function flagsFor(call: PromiseLike<unknown>): Promise<string[]> {
  const { message } = await refusalOf(call);
  const options = /the options are (.*)\.$/.exec(message)?.[1]?.split(', ') ?? [];
  return options
    .filter((name) => name !== 'signal' && name !== 'dataset')
    .map((name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`))
    .map((name) => FLAGS[name] ?? `--${name}`);
}
