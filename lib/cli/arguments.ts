import { readFileSync } from 'node:fs';
import { nameOf } from '../names.js';

// Reads the values of a command line as the API takes them. Text that is no number, no triple and so on is handed on as
// it is: the API says what was expected, and shows the user's own words.

type Parsed<T> = T | string;

/** Reads a number. */
export function number(text: string): Parsed<number> {
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? text : value;
}

/** Reads `0.485,0.456,0.406`, or a tuple of Python's: `(0.485, 0.456, 0.406)`. */
export function triple(text: string): Parsed<Parsed<number>[]> {
  const [, inner] = /^\s*[([]?([^()[\]]*?)[,\s]*[)\]]?\s*$/.exec(text) ?? [];
  const values = (inner ?? '').split(',').map(number);
  return values.length === 3 && values.every((value) => typeof value === 'number') ? values : text;
}

/** Reads one number, or several: `2,4`. */
export function numbers(text: string): Parsed<number | number[]> {
  const values = text.split(',').map(number);
  if (!values.every((value) => typeof value === 'number')) return text;
  return values.length === 1 ? (values[0] as number) : values;
}

/** Reads numbers of pixels, or `none`. */
export function sizes(text: string): Parsed<number | number[] | false> {
  return text === 'none' ? false : numbers(text);
}

/** Reads `crop,flip`, or `none`. */
export function names(text: string): Parsed<string[]> {
  return text === 'none' ? [] : text.split(',').map((name) => name.trim());
}

/**
 * Returns the arguments as the shell gave them. In a name that is not UTF-8 Node puts U+FFFD, which may be in another
 * file's name.
 */
export function exactArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((word) => word.includes('\ufffd'))) return argv;
  try {
    const words = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1);
    return words.slice(-argv.length).map((word) => nameOf(Buffer.from(word, 'latin1')));
  } catch {
    return argv; // A system without /proc; on macOS and Windows a name is always Unicode.
  }
}
