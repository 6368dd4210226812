import type { CommonEvents, PrepareProgress } from '../run/events.js';
import { count } from '../words.js';
import type { Output } from './output.js';
import { Interrupted, interruptible } from './signals.js';

/** The progress of the training itself: a fraction in 0..1, and the text of the bar. */
export interface BarProgress {
  fraction: number;
  text: string;
}

/** The events of every run that are shown. */
interface Watched {
  on(name: 'dataset', listener: (...found: CommonEvents['dataset']) => void): unknown;
  on(name: 'prepare', listener: (...progress: CommonEvents['prepare']) => void): unknown;
  on(name: 'warning', listener: (...warning: CommonEvents['warning']) => void): unknown;
}

/** Reports the pictures that a run finds. */
export function reportDataset(run: Watched, output: Output): void {
  run.on('dataset', (found) => {
    if (output.json) output.event('dataset', found);
    const { train, val, classes, unlabeled = 0, hidden = 0 } = found;
    const names = classes.length > 10 ? [...classes.slice(0, 10), '…'] : classes;
    output.note(
      `${train} training and ${val} validation pictures of ${classes.length} classes: ${names.join(', ')}` +
        (unlabeled > 0 ? `; ${count(unlabeled, 'picture')} without a class` : '') +
        (hidden > 0 ? `; ${count(hidden, 'hidden file')} passed over` : ''),
    );
  });
}

/**
 * Follows a run to its end: shows its progress and its warnings, and stops it at Ctrl-C.
 *
 * @param progressOf Returns the progress of the training; `null` while the run prepares.
 * @param conclude Reports the result, also that of a run that was stopped.
 */
export async function follow<Result extends { stopReason: string }>(
  run: Watched & { stop(): void; finally(onFinally: () => void): Promise<Result> },
  progressOf: () => BarProgress | null,
  output: Output,
  conclude: (result: Result) => Promise<void> | void,
): Promise<void> {
  run.on('warning', (warning) => output.warn(warning));
  const display = new ProgressDisplay(run, progressOf, output);
  const note = 'Stopping after this batch; what has been saved stays.';
  await interruptible(output, note, async (signal) => {
    signal.addEventListener('abort', () => run.stop());
    const result = await run.finally(() => display.end());
    await conclude(result);
    if (result.stopReason !== 'stopped') return;
    // Where the reader of the output has left, the training is not done either.
    throw new Interrupted((signal.reason as Interrupted).exitCode || 130);
  });
}

/** Milliseconds between two updates of the bar. */
const REFRESH = 100;

/** Shows a run's progress: a bar on a terminal; otherwise events, or a few lines while it prepares. */
class ProgressDisplay {
  readonly #progressOf: () => BarProgress | null;
  readonly #output: Output;
  #prepared: PrepareProgress = { done: 0, total: 0 };
  #isTraining = false;
  #remaining = new RemainingTime();
  #timer: NodeJS.Timeout | undefined;

  constructor(run: Watched, progressOf: () => BarProgress | null, output: Output) {
    this.#progressOf = progressOf;
    this.#output = output;
    run.on('dataset', ({ train, val }) => {
      this.#prepared = { done: 0, total: train + val };
      this.#remaining = new RemainingTime();
      if (output.hasBar) this.#timer = setInterval(() => this.#show(), REFRESH);
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
    const progress = this.#progressOf();
    if (progress) this.#showTraining(progress);
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

  #showTraining({ fraction, text }: BarProgress): void {
    if (!this.#isTraining) {
      this.#isTraining = true;
      const { total } = this.#prepared;
      this.#output.note(`prepared ${total} pictures in ${duration(this.#remaining.elapsed)}`);
      this.#remaining = new RemainingTime();
    }
    this.#output.showBar({
      label: 'training ',
      fraction,
      text: `${text}${this.#remaining.at(fraction)}`,
    });
  }
}

/** The time that is left of some work, if it goes on at the same rate. */
class RemainingTime {
  readonly #start = performance.now();
  #fraction = 0;
  #end = 0;

  /** Seconds from the start. */
  get elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Returns the text of the time that is left; between two steps it counts down. */
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

/** Shows a time: `3.2 s`, `4 min 10 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
