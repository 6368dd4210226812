import type { Command } from 'commander';
import { type PredictOptions, predictOptions } from '../options/predict.js';
import { type Prediction, predict } from '../predict.js';
import { addCall, jsonOption } from './options.js';
import type { Output } from './output.js';
import { interruptible } from './signals.js';
import { demandOptions } from './usage.js';

export function addPredict(program: Command, output: Output): void {
  const command = addCall(program, predictOptions, {
    name: 'predict',
    description: 'classify pictures: a line of name, class and probability for each',
    argument: '<images...>',
    shown: { topK: '1, with --json 5' },
  });
  command.addOption(jsonOption());
  command.action(async (images: string[], { json, ...given }) => {
    demandOptions(command, predictOptions, { images, ...given });
    const listed = given.topK === undefined ? 1 : Number.POSITIVE_INFINITY;
    // Parsed, but checked only by the API.
    await printPredictions({ images, ...given } as PredictOptions, output, ({ path, top }) =>
      predictionFields(path ?? '', top.slice(0, listed)),
    );
  });
}

/** Returns the fields of the reference's line: name, class and probability; then those of the runners-up. */
export function predictionFields(
  name: string,
  classes: readonly { label: string; probability: number }[],
): string[] {
  return [name, ...classes.flatMap(({ label, probability }) => [label, probability.toFixed(4)])];
}

/** Classifies pictures and prints a line of the fields that `line` makes of each, or with `--json` an event. */
export async function printPredictions(
  options: PredictOptions,
  output: Output,
  line: (prediction: Prediction) => string[],
): Promise<void> {
  await interruptible(output, 'Stopping after this batch.', async (signal) => {
    const onWarning = output.warn.bind(output);
    for await (const prediction of predict({ ...options, onWarning, signal })) {
      if (output.json) output.event('prediction', prediction);
      else output.print(...line(prediction));
    }
  });
}
