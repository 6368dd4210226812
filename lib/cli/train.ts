import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { distill } from '../distill.js';
import type { DistillOptions } from '../distill-options.js';
import type { DistillResult, DistillRun, EpochReport, PrepareProgress } from '../run.js';
import { bytes, demand, learningOptions, number, option, shared } from './arguments.js';
import { type Output, shellWord } from './output.js';
import { Interrupted, interruptible } from './signals.js';

export function addTrain(program: Command, output: Output): void {
  const command = program
    .command('train')
    .description('distil a DenseNet into a small CNN on a folder of pictures')
    .argument('[dataset]', 'folder with train/ and val/, each with a folder of pictures per class')
    .addOption(
      option('--teacher <file>', '.pth or .safetensors of a torchvision DenseNet (required, or …)'),
    )
    .addOption(
      option('--teacher-logits <file>', '… a file of its logits, as `distill logits` writes it'),
    )
    .addOption(option('--student <file>', '.pth or .safetensors to write (required)'))
    .addOption(shared.mean('means of red, green, blue in 0..1 (required)'))
    .addOption(shared.std('standard deviations of red, green, blue (required)'))
    .addOption(option('--train <folder>', "the training pictures' folder, instead of dataset"))
    .addOption(option('--val <folder>', "the validation pictures' folder, instead of dataset"));
  for (const learning of learningOptions('-')) command.addOption(learning);
  command
    .addOption(shared.batchSize('pictures a training step', '4'))
    .addOption(shared.imageSize('224'))
    .addOption(
      option('--seed <n>', 'makes the run repeatable', { parse: number, shown: 'drawn, and told' }),
    )
    .addOption(shared.device())
    .addOption(shared.precision())
    .addOption(shared.threads())
    .addOption(
      option('--initial-student <file>', "a student's file to start from instead of fresh weights"),
    )
    .addOption(option('--no-shuffle', 'show the pictures in the same order in every epoch'))
    .addOption(shared.onBadImage())
    .addOption(
      option('--cache-memory <size>', 'memory for prepared pictures, such as 2GB or 512MiB', {
        parse: bytes,
        shown: 'half of what is free; beyond it, a file',
      }),
    )
    .addOption(
      option('--cache-dir <folder>', 'keep prepared pictures there for the next run', {
        shown: 'kept nowhere',
      }),
    )
    .addOption(shared.json())
    .addOption(option('--quiet', 'print only the outcome, warnings and errors'))
    .action(async (dataset: string | undefined, { json, quiet, ...given }) => {
      demand('train', {
        '--teacher': given.teacher ?? given.teacherLogits,
        '--student': given.student,
        '--mean': given.mean,
        '--std': given.std,
      });
      // Parsed, but checked only by the API.
      await train({ dataset, ...given } as DistillOptions, output);
    });
}

async function train(options: DistillOptions, output: Output): Promise<void> {
  const run = distill(options);
  if (output.json) {
    run.on('dataset', (found) => output.event('dataset', found));
    run.on('epoch', (report) => output.event('epoch', report));
    run.on('best', (report) => output.event('best', report));
  } else {
    run.on('dataset', ({ train, val, classes }) => {
      const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
      output.note(
        `${train} training and ${val} validation pictures of ${classes.length} classes: ${names.join(', ')}`,
      );
    });
    // On a terminal the bar says it all.
    const barInstead = output.hasBar && process.stdout.isTTY;
    if (!output.quiet && !barInstead) {
      run.on('epoch', (report) =>
        output.print(`${epochLine(report)}${report.saved ? '; saved' : ''}`),
      );
    }
  }
  await follow(run, options, output, async (result) => {
    if (output.json) output.event('result', result);
    else for (const line of await summary(result, options)) output.print(line);
  });
}

/** The reference's line of an epoch. */
export function epochLine(report: EpochReport): string {
  const { epoch, epochs, trainLoss, trainAccuracy, valLoss, valAccuracy, seconds } = report;
  return (
    `epoch:${epoch}/${epochs}; train loss:${trainLoss.toFixed(6)}, accuracy:${trainAccuracy.toFixed(6)}; ` +
    `validation loss:${valLoss.toFixed(6)}, accuracy:${valAccuracy.toFixed(6)}; time:${seconds.toFixed(2)}s`
  );
}

/**
 * Sees a run to its end: progress, warnings, and an early end.
 *
 * @param conclude Tells what the run came to, also where it was stopped.
 */
export async function follow(
  run: DistillRun,
  { epochs = 500 }: { epochs?: number | undefined },
  output: Output,
  conclude: (result: DistillResult) => Promise<void> | void,
): Promise<void> {
  run.on('warning', (warning) => output.warn(warning));
  const progress = new Progress(run, epochs, output);
  const note = 'Stopping after this batch; what has been saved stays.';
  await interruptible(output, note, async (signal) => {
    signal.addEventListener('abort', () => run.stop());
    const result = await run.finally(() => progress.end());
    await conclude(result);
    if (result.reason !== 'stopped') return;
    // A training whose output's reader left is not done either.
    throw new Interrupted((signal.reason as Interrupted).exitCode || 130);
  });
}

/** Milliseconds between two looks at where a training stands. */
const GLANCE = 100;

/** Shows how far a run is: a bar on a terminal; otherwise events, or a few lines while it prepares. */
class Progress {
  readonly #run: DistillRun;
  readonly #epochs: number;
  readonly #output: Output;
  #prepared: PrepareProgress = { done: 0, total: 0 };
  #best: EpochReport | undefined;
  #isTraining = false;
  #remaining = new Remaining();
  #timer: NodeJS.Timeout | undefined;

  constructor(run: DistillRun, epochs: number, output: Output) {
    this.#run = run;
    this.#epochs = epochs;
    this.#output = output;
    run.on('best', (report) => {
      this.#best = report;
    });
    run.on('dataset', ({ train, val }) => {
      this.#prepared = { done: 0, total: train + val };
      this.#remaining = new Remaining();
      if (output.hasBar) this.#timer = setInterval(() => this.#show(), GLANCE);
    });
    run.on('prepare', (progress) => {
      const { done, total } = progress;
      const before = this.#prepared.done;
      this.#prepared = progress;
      const passed = (parts: number) =>
        Math.floor((done / total) * parts) > Math.floor((before / total) * parts);
      if (output.json && passed(100)) output.event('prepare', progress);
      if (!output.hasBar && passed(4)) output.note(`prepared ${done} of ${total} pictures`);
    });
  }

  end(): void {
    clearInterval(this.#timer);
    this.#output.hideBar();
  }

  #show(): void {
    const { epoch, step, steps } = this.#run.progress;
    if (epoch === 0) this.#showPreparing();
    else this.#showTraining(epoch, steps === 0 ? 0 : step / steps);
  }

  #showPreparing(): void {
    const { done, total } = this.#prepared;
    const rate = done > 0 ? `  ${(done / this.#remaining.elapsed).toFixed(1)}/s` : '';
    this.#output.showBar({
      label: 'preparing',
      fraction: done / total,
      text: `${done}/${total} pictures${rate}${this.#remaining.at(done / total)}`,
    });
  }

  /** @param part How much of the epoch is done, 0..1. */
  #showTraining(epoch: number, part: number): void {
    if (!this.#isTraining) {
      this.#isTraining = true;
      const { total } = this.#prepared;
      this.#output.note(`prepared ${total} pictures in ${duration(this.#remaining.elapsed)}`);
      this.#remaining = new Remaining();
    }
    const fraction = (epoch - 1 + part) / this.#epochs;
    const best = this.#best ? `  best ${this.#best.valAccuracy.toFixed(4)}` : '';
    this.#output.showBar({
      label: 'training ',
      fraction,
      text: `epoch ${epoch}/${this.#epochs}${best}${this.#remaining.at(fraction)}`,
    });
  }
}

/** How long something will take from now on, if it goes on as it has. */
class Remaining {
  readonly #start = performance.now();
  #fraction = 0;
  #end = 0;

  /** Seconds from the start. */
  get elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Between two steps the clock runs down. */
  at(fraction: number): string {
    if (fraction <= 0 || fraction >= 1) return '';
    if (fraction !== this.#fraction) {
      this.#fraction = fraction;
      this.#end = this.elapsed / fraction;
    }
    const seconds = Math.ceil(Math.max(0, this.#end - this.elapsed));
    const two = (n: number) => String(n % 60).padStart(2, '0');
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60);
    return `  ETA ${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(seconds)}`;
  }
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

async function summary(result: DistillResult, options: DistillOptions): Promise<string[]> {
  const { best, seconds, device, precision, seed, skipped } = result;
  const file = options.student;
  const times = (['prepare', 'train', 'validate'] as const).map(
    (phase) => `${phase} ${duration(seconds[phase])}`,
  );
  const lines = [why(result, options.epochs ?? 500)];
  if (best) {
    const { size } = await stat(result.student);
    lines.push(
      `Best: epoch ${best.epoch}, validation accuracy ${best.valAccuracy.toFixed(4)}, loss ${best.valLoss.toFixed(4)}`,
      `Student: ${file}, ${(size / 1e6).toFixed(1)} MB`,
    );
  } else {
    lines.push(`Student: none was saved; ${file} is untouched`);
  }
  if (skipped.length > 0) lines.push(`Skipped because they did not decode: ${skipped.length}`);
  // Of a run that was stopped while it prepared, there is none.
  if (result.images.train > 0) {
    lines.push(
      `Time: ${duration(seconds.total)} on ${device} in ${precision} (${times.join(', ')}), seed ${seed}`,
    );
  }
  if (best) lines.push(`Next: distill predict <images> --student ${shellWord(file)}`);
  return lines;
}

function why({ reason, epochs, last, images }: DistillResult, asked: number): string {
  if (reason === 'completed') return `Done: all ${asked} epochs were run.`;
  if (reason === 'stopped') {
    if (images.train === 0) return 'Stopped: while preparing.';
    return epochs === 0
      ? 'Stopped: in the first epoch.'
      : `Stopped: after ${epochs} of ${asked} epochs.`;
  }
  const cause =
    last && last.valLoss < 0.0001 ? 'loss fell below 0.0001' : 'accuracy rose above 0.9999';
  return `Done: after ${epochs} of ${asked} epochs the validation ${cause}.`;
}
