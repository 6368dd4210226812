import { Argument, type Command } from 'commander';
import { recordIn } from '../run-folder/folder.js';
import type { KeptCall } from '../run-folder/record.js';
import { compareAndReport } from './compare.js';
import { jsonOption, quietOption } from './options.js';
import type { Output } from './output.js';
import { sweepAndReport } from './sweep.js';
import { teachAndReport } from './teach.js';
import { trainAndReport } from './train.js';

/** Calls whose runs are kept in a folder, and what reports them. The record's options are checked by the API. */
const CALLS: Readonly<Record<KeptCall, (options: never, output: Output) => Promise<void>>> = {
  distill: trainAndReport,
  teach: teachAndReport,
  sweep: sweepAndReport,
  compare: compareAndReport,
};

export function addResume(program: Command, output: Output): void {
  program
    .command('resume')
    .description('go on with a run where it was interrupted, with the options that it began with')
    .addArgument(new Argument('<folder>', 'the folder of the run (--run-dir)'))
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(async (folder: string) => {
      const { call, options } = await recordIn(folder);
      const given = { ...options, runDir: folder, resume: true };
      await CALLS[call](given as never, output);
    });
}
