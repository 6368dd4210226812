import { stat } from 'node:fs/promises';
import type { PrepareProgress } from '../data/prepare.js';
import { keptOf } from '../training/kept.js';
import type {
  CommonEvents,
  EpochReport,
  InitialReport,
  TrainingResult,
  TrainingRun,
} from '../training/run.js';
import type { Output } from './output.js';
import { Interrupted, interruptible } from './signals.js';

/** What a training's outcome is told with. */
export interface Outcome {
  /** What the file holds, such as `Student`. */
  name: string;
  /** The file, as the user wrote it. */
  file: string;
  /** Epochs asked for. */
  epochs: number;
  /** The command to go on with. */
  next: string;
}

/** Watches a training to its end, and tells what it came to. */
export async function report<Result extends TrainingResult>(
  run: TrainingRun<Result>,
  outcome: Outcome,
  output: Output,
): Promise<void> {
  tellDataset(run, output);
  if (output.json) {
    run.on('initial', (report) => output.event('initial', report));
    run.on('epoch', (report) => output.event('epoch', report));
    run.on('best', (report) => output.event('best', report));
  } else {
    // On a terminal the bar says it all.
    const barInstead = output.hasBar && process.stdout.isTTY;
    if (!output.quiet && !barInstead) {
      run.on('initial', (report) => output.print(initialLine(report)));
      run.on('epoch', (report) =>
        output.print(`${epochLine(report)}${report.saved ? '; saved' : ''}`),
      );
    }
  }
  await follow(run, standOf(run, outcome), output, async (result) => {
    if (output.json) output.event('result', result);
    else for (const line of await summary(result, outcome)) output.print(line);
  });
}

/** Tells which pictures were found. */
export function tellDataset(run: Watched, output: Output): void {
  run.on('dataset', (found) => {
    if (output.json) output.event('dataset', found);
    const { train, val, classes } = found;
    const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
    output.note(
      `${train} training and ${val} validation pictures of ${classes.length} classes: ${names.join(', ')}`,
    );
  });
}

/** Tells how far a run of one training is. */
export function standOf<Result extends TrainingResult>(
  run: TrainingRun<Result>,
  { epochs }: { epochs: number },
): () => Stand {
  let best = '';
  const tell = ({ valAccuracy }: { valAccuracy: number }) => {
    best = `  best ${valAccuracy.toFixed(4)}`;
  };
  run.on('initial', tell).on('best', tell);
  return () => {
    const { epoch, step, steps } = run.progress;
    if (epoch === 0) return null;
    const part = steps === 0 ? 0 : step / steps;
    return { fraction: (epoch - 1 + part) / epochs, text: `epoch ${epoch}/${epochs}${best}` };
  };
}

/** What is started from, as the line of an epoch. */
function initialLine({ valLoss, valAccuracy, valSeconds }: InitialReport): string {
  return `at the start; validation loss:${valLoss.toFixed(6)}, accuracy:${valAccuracy.toFixed(6)}; time:${valSeconds.toFixed(2)}s`;
}

/** The reference's line of an epoch. */
export function epochLine(report: EpochReport): string {
  const { epoch, epochs, trainLoss, trainAccuracy, valLoss, valAccuracy, seconds } = report;
  return (
    `epoch:${epoch}/${epochs}; train loss:${trainLoss.toFixed(6)}, accuracy:${trainAccuracy.toFixed(6)}; ` +
    `validation loss:${valLoss.toFixed(6)}, accuracy:${valAccuracy.toFixed(6)}; time:${seconds.toFixed(2)}s`
  );
}

/** How far a run has trained, 0..1, and in words; `null` while it prepares. */
export type Stand = { fraction: number; text: string } | null;

/** A run of any kind, for who watches it. */
interface Watched {
  on(name: 'dataset', listener: (...found: CommonEvents['dataset']) => void): unknown;
  on(name: 'prepare', listener: (...progress: CommonEvents['prepare']) => void): unknown;
  on(name: 'warning', listener: (...warning: CommonEvents['warning']) => void): unknown;
}

/**
 * Sees a run to its end: progress, warnings, and an early end.
 *
 * @param stand Tells how far it is.
 * @param conclude Tells what the run came to, also where it was stopped.
 */
export async function follow<Result extends { stopReason: string }>(
  run: Watched & { stop(): void; finally(onFinally: () => void): Promise<Result> },
  stand: () => Stand,
  output: Output,
  conclude: (result: Result) => Promise<void> | void,
): Promise<void> {
  run.on('warning', (warning) => output.warn(warning));
  const progress = new Progress(run, stand, output);
  const note = 'Stopping after this batch; what has been saved stays.';
  await interruptible(output, note, async (signal) => {
    signal.addEventListener('abort', () => run.stop());
    const result = await run.finally(() => progress.end());
    await conclude(result);
    if (result.stopReason !== 'stopped') return;
    // A training whose output's reader left is not done either.
    throw new Interrupted((signal.reason as Interrupted).exitCode || 130);
  });
}

/** Milliseconds between two looks at where a training stands. */
const GLANCE = 100;

/** Shows how far a run is: a bar on a terminal; otherwise events, or a few lines while it prepares. */
class Progress {
  readonly #stand: () => Stand;
  readonly #output: Output;
  #prepared: PrepareProgress = { done: 0, total: 0 };
  #isTraining = false;
  #remaining = new Remaining();
  #timer: NodeJS.Timeout | undefined;

  constructor(run: Watched, stand: () => Stand, output: Output) {
    this.#stand = stand;
    this.#output = output;
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
    const stand = this.#stand();
    if (stand) this.#showTraining(stand);
    else this.#showPreparing();
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

  #showTraining({ fraction, text }: NonNullable<Stand>): void {
    if (!this.#isTraining) {
      this.#isTraining = true;
      const { total } = this.#prepared;
      this.#output.note(`prepared ${total} pictures in ${duration(this.#remaining.elapsed)}`);
      this.#remaining = new Remaining();
    }
    this.#output.showBar({
      label: 'training ',
      fraction,
      text: `${text}${this.#remaining.at(fraction)}`,
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

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

async function summary(
  result: TrainingResult,
  { name, file, epochs, next }: Outcome,
): Promise<string[]> {
  const { best, moreAccurate, seconds, device, precision, seed, skipped } = result;
  const times = (['prepare', 'train', 'validate'] as const).map(
    (phase) => `${phase} ${duration(seconds[phase])}`,
  );
  const lines = [why(result, epochs)];
  const kept = keptOf(result);
  if (kept) {
    const { size } = await stat(file);
    lines.push(`Best: ${best ? `epoch ${best.epoch}` : 'what it started from'}, ${scores(kept)}`);
    if (moreAccurate) {
      lines.push(
        `More accurate: epoch ${moreAccurate.epoch}, ${scores(moreAccurate)}; --keep accuracy keeps it`,
      );
    }
    lines.push(`${name}: ${file}, ${(size / 1e6).toFixed(1)} MB`);
  } else {
    lines.push(`${name}: none was saved; ${file} is untouched`);
  }
  if (skipped.length > 0) lines.push(`Skipped because they did not decode: ${skipped.length}`);
  // Of a run that was stopped while it prepared, there is none.
  if (result.images.train > 0) {
    lines.push(
      `Time: ${duration(seconds.total)} on ${device} in ${precision} (${times.join(', ')}), seed ${seed}`,
    );
  }
  if (kept) lines.push(`Next: ${next}`);
  return lines;
}

function scores({ valAccuracy, valLoss }: InitialReport): string {
  return `validation accuracy ${valAccuracy.toFixed(4)}, loss ${valLoss.toFixed(4)}`;
}

function why({ stopReason, epochs, last, images }: TrainingResult, asked: number): string {
  if (stopReason === 'completed') return `Done: all ${asked} epochs were run.`;
  if (stopReason === 'stopped') {
    if (images.train === 0) return 'Stopped: while preparing.';
    return epochs === 0
      ? 'Stopped: in the first epoch.'
      : `Stopped: after ${epochs} of ${asked} epochs.`;
  }
  const cause =
    last && last.valLoss < 0.0001 ? 'loss fell below 0.0001' : 'accuracy rose above 0.9999';
  return `Done: after ${epochs} of ${asked} epochs the validation ${cause}.`;
}
