import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';
import { DistillError } from '../errors.js';
import { printable } from '../words.js';

/** The contents of a progress bar: `label [===   ] text`. */
export interface BarState {
  label: string;
  /** 0..1 */
  fraction: number;
  text: string;
}

/**
 * The output of a command. Data (plain lines, or events with `--json`) goes to stdout, which can be piped; notes,
 * warnings, errors and the progress bar go to stderr. Names of files and classes may hold any character: lines escape
 * control characters, events are exact.
 */
export class Output {
  /** Writes events instead of lines for people. */
  readonly json: boolean;
  readonly quiet: boolean;
  /** Returns a sentence of the API with the command line's names. */
  inFlags: (text: string) => string = (text) => text;
  /** Called when stdout can no longer be written. */
  onClosed: () => void = () => {};
  #closed = false;
  #failure: DistillError | undefined;
  readonly #bar = new Bar();

  constructor({ json, quiet }: { json: boolean; quiet: boolean }) {
    this.json = json;
    this.quiet = quiet;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#closed = true;
      // A reader that has gone is no failure; a socket may report it by its own name.
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') {
        this.#failure ??= new DistillError(
          'ERR_OUTPUT',
          `The output cannot be written (${error.code}).`,
          { cause: error },
        );
      }
      this.onClosed();
    });
    // Nobody reads stderr any more, so that there is no place to report it.
    process.stderr.on('error', () => {});
  }

  /** True where {@link showBar} shows something: on a terminal that can redraw a line. */
  get hasBar(): boolean {
    return (
      process.stderr.isTTY === true && process.env.TERM !== 'dumb' && !this.json && !this.quiet
    );
  }

  /** Writes a line of data, with a tab between two fields. */
  print(...fields: string[]): void {
    this.#write(fields.map(printable).join('\t'));
  }

  /** Writes lines of data that are laid out already. */
  printLines(text: string): void {
    for (const line of text.split('\n')) this.print(line);
  }

  /** Writes a line of data whose beginning is coloured on a terminal. */
  printMarked(colour: 'green' | 'yellow' | 'red', beginning: string, rest = ''): void {
    // Node knows the terminal's colours, and NO_COLOR.
    const isColourful = process.stdout.isTTY && process.stdout.hasColors();
    this.#write((isColourful ? styleText(colour, beginning) : beginning) + printable(rest));
  }

  /** Writes an event of `--json`: one object in one line. */
  event(event: string, payload: object): void {
    this.#write(JSON.stringify({ event, ...payload }));
  }

  #write(line: string): void {
    this.hideBar();
    if (!this.#closed) process.stdout.write(`${line}\n`);
  }

  /** Writes a line about the progress of the work, unless `--quiet` or `--json` is given. */
  note(line: string): void {
    if (!this.json && !this.quiet) this.alert(line);
  }

  /** Writes a line whatever the options. */
  alert(line: string): void {
    this.hideBar();
    process.stderr.write(`${printable(line)}\n`);
  }

  warn(given: { code: string; message: string; path?: string }): void {
    const warning = { ...given, message: this.inFlags(given.message) };
    if (this.json) this.event('warning', warning);
    else this.alert(`distill: warning: ${warning.message} (${warning.code})`);
  }

  /** Writes the last line of a command that failed. */
  fail({ code, message }: { code: string; message: string }): void {
    if (this.json) this.event('error', { code, message });
    this.alert(`distill: ${message} (${code})`);
  }

  /** Shows a bar, until it is hidden or something else is written. */
  showBar(state: BarState): void {
    if (this.hasBar) this.#bar.show(state);
  }

  hideBar(): void {
    this.#bar.hide();
  }

  /**
   * Waits until all data is written.
   *
   * @throws DistillError `ERR_OUTPUT` where it could not be written. A reader that left early is no error.
   */
  async flush(): Promise<void> {
    await new Promise((resolve) => process.stdout.write('', resolve));
    if (this.#failure) throw this.#failure;
  }
}

/** The widest bar, and the room that is left for the text behind it, in characters. */
const BAR_WIDTH = 40;
const TEXT_WIDTH = 42;

/** A line of a terminal that is redrawn. */
class Bar {
  #visible = false;
  readonly #bar = new SingleBar({
    stream: process.stderr,
    clearOnComplete: true,
    // The terminal's settings stay as they are, so that a killed process leaves none behind.
    hideCursor: false,
    linewrap: true,
    gracefulExit: false,
    format: (_, { progress, maxWidth }, { label, text }) => {
      const width = Math.min(BAR_WIDTH, maxWidth - label.length - TEXT_WIDTH - 4);
      const done = Math.round(width * progress);
      const bar = width < 8 ? '' : `[${'='.repeat(done)}${' '.repeat(width - done)}] `;
      return `${label} ${bar}${text}`.slice(0, maxWidth - 1);
    },
  });

  show({ label, fraction, text }: BarState): void {
    if (this.#visible) this.#bar.update(fraction, { label, text });
    else this.#bar.start(1, fraction, { label, text });
    this.#visible = true;
  }

  hide(): void {
    if (this.#visible) this.#bar.stop();
    this.#visible = false;
  }
}

/** Quotes a word for a shell. */
export function shellWord(text: string): string {
  if (/^[\w./:@%+=-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", `'\\''`)}'`;
  return `$'${printable(text.replace(/[\\']/g, '\\$&'))}'`;
}
