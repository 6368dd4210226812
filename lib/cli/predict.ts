import type { Command } from 'commander';
import type { PredictOptions } from '../options/predict.js';
import { type Prediction, predict } from '../predict.js';
import { demand, number, option, shared } from './arguments.js';
import type { Output } from './output.js';
import { interruptible } from './signals.js';

const FROM_FILE = "from the student's file";

export function addPredict(program: Command, output: Output): void {
  program
    .command('predict')
    .description('classify pictures: a line of name, class and probability for each')
    .argument('<images...>', 'files, or folders that are searched for pictures')
    .addOption(option('--student <file>', '.pth or .safetensors of the student (required)'))
    .addOption(
      option('--labels <file>', 'class names, as lines of: index name', { shown: FROM_FILE }),
    )
    .addOption(shared.mean('means of red, green, blue in 0..1', FROM_FILE))
    .addOption(shared.std('standard deviations of red, green, blue', FROM_FILE))
    .addOption(shared.imageSize(FROM_FILE))
    .addOption(
      option('--top-k <n>', 'classes a picture', { parse: number, shown: '1, with --json 5' }),
    )
    .addOption(shared.batchSize('pictures that go through the student together', '32'))
    .addOption(shared.device())
    .addOption(shared.precision())
    .addOption(shared.threads())
    .addOption(shared.onBadImage())
    .addOption(shared.maxPixels())
    .addOption(shared.json())
    .action(async (images: string[], { json, ...given }) => {
      demand('predict', { '--student': given.student });
      const listed = given.topK === undefined ? 1 : Number.POSITIVE_INFINITY;
      // Parsed, but checked only by the API.
      await printPredictions({ images, ...given } as PredictOptions, output, ({ path, top }) =>
        predictionFields(path ?? '', top.slice(0, listed)),
      );
    });
}

/** The fields of the reference's line: name, class and probability; then the runners-up, where asked for. */
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
