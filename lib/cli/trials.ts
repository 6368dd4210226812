import Table, { type HorizontalTableRow } from 'cli-table3';
import { distillOptions } from '../options/distill.js';
import { defaultOf } from '../options/option.js';
import type { MeanStd } from '../training/mean-std.js';
import type { TrialsProgress, TrialsResult } from '../training/trials.js';
import { type Output, shellWord } from './output.js';
import { type BarProgress, duration } from './progress.js';

/** Returns a function that shows the progress of a run of several trainings. */
export function progressOfTrials(
  run: { progress: TrialsProgress },
  { epochs = defaultOf(distillOptions, 'epochs') }: { epochs?: number | undefined },
): () => BarProgress | null {
  return () => {
    const { trial, trials, epoch, step, steps } = run.progress;
    if (trial === 0) return null;
    const ended = Math.max(0, epoch - 1) + (steps === 0 ? 0 : step / steps);
    return {
      fraction: (trial - 1 + ended / epochs) / trials,
      text: `student ${trial}/${trials}, epoch ${epoch}/${epochs}`,
    };
  };
}

/** Shows a mean and its standard deviation: `0.7132 ± 0.0031`. */
export function showMeanStd(value: MeanStd | undefined): string {
  if (!value) return '';
  const { mean, std } = value;
  return std === null ? mean.toFixed(4) : `${mean.toFixed(4)} ± ${std.toFixed(4)}`;
}

/** Draws a table. */
export function table(head: string[], rows: HorizontalTableRow[]): string {
  const drawn = new Table({ head, style: { head: [], border: [], compact: true } });
  drawn.push(...rows);
  return drawn.toString();
}

/** Prints the last lines of a command that trains several students. */
export function printEnd(
  { seconds, device, precision, seeds, skipped }: TrialsResult,
  trainings: number,
  { student, out }: { student?: string | undefined; out?: string | undefined },
  output: Output,
): void {
  const times = (['prepare', 'train', 'validate'] as const).map(
    (phase) => `${phase} ${duration(seconds[phase])}`,
  );
  if (skipped.length > 0) output.print(`Skipped because they did not decode: ${skipped.length}`);
  output.print(
    `Time: ${duration(seconds.total)} on ${device} in ${precision} for ${trainings} trainings (${times.join(', ')}), ${seeds.length > 1 ? 'seeds' : 'seed'} ${seeds.join(', ')}`,
  );
  if (out !== undefined) output.print(`Figures: ${out}`);
  if (student !== undefined) {
    output.print(`Student: ${student}`);
    output.print(`Next: distill predict <images> --student ${shellWord(student)}`);
  }
}
