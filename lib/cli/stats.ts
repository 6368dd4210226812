import type { Command } from 'commander';
import { type DatasetStatsOptions, datasetStatsOptions } from '../options/stats.js';
import { datasetStats } from '../stats.js';
import { addCall, jsonOption } from './options.js';
import type { Output } from './output.js';
import { interruptible } from './signals.js';

export function addStats(program: Command, output: Output): void {
  const command = addCall(program, datasetStatsOptions, {
    name: 'stats',
    description: "measure the mean and std of a folder's pictures",
    argument: '<folder>',
  });
  command.addOption(jsonOption());
  command.action(async (folder: string, { json, ...given }) => {
    const found = await interruptible(output, 'Stopping.', (signal) =>
      datasetStats(folder, {
        // Parsed, but checked only by the API.
        ...(given as DatasetStatsOptions),
        signal,
        onProgress: (done, total) =>
          output.showBar({
            label: 'measuring',
            fraction: done / total,
            text: `${done}/${total} pictures`,
          }),
        onWarning: (warning) => output.warn(warning),
      }),
    );
    if (output.json) {
      output.event('stats', found);
      return;
    }
    const { mean, std, images, classes } = found;
    output.note(`${images} pictures${classes ? ` of ${classes.length} classes` : ''}`);
    // Ready to be pasted behind `distill train`.
    const digits = (values: number[]) => values.map((value) => value.toFixed(6)).join(',');
    output.print(`--mean ${digits(mean)} --std ${digits(std)}`);
  });
}
