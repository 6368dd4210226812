import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isName, isUnicode } from '../names.js';

/** The beginning of a URL, or of a path that only a shell expands. */
const NO_PATH = /^(~(\/|$)|[a-z][a-z\d+.-]*:\/\/)/i;

/**
 * Tells whether a text may be a file's path, such as `./~/a`. A text with a NUL, which ends it for the system, or with half
 * of a character, which becomes U+FFFD, would be the path of another file.
 */
export const isPath = (text: string): boolean => isPicture(text) && isUnicode(text);

/** Tells whether a text may be a picture's path, in which lib/names.ts stands for bytes that are not UTF-8. */
export const isPicture = (text: string): boolean =>
  !NO_PATH.test(text) && !text.includes('\0') && isName(text);

/**
 * Common mistakes: a function that returns the value that was meant, or `undefined` where the mistake is another, and the
 * words that lead to that value.
 */
const CORRECTIONS: readonly (readonly [correct: (value: unknown) => unknown, how: string])[] = [
  [each(homeOf), 'only a shell expands ~, so write'],
  [each(pathOfUrl), 'a file URL becomes a path by fileURLToPath() of node:url:'],
  [
    each((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : undefined)),
    'new Uint8Array() makes of it',
  ],
  [sharesOf, 'divided by 255 it is'],
  [(value) => numbersOf(wordsOf(value)?.map(numberOf)), 'as numbers it is'],
  [each(numberOf), 'as a number it is'],
  [booleanOf, 'without quotes it is'],
  [(value) => value instanceof AbortController && value.signal, 'its signal is meant:'],
  [each((value) => SPELLINGS[squash(value)] ?? spelt(value)), 'it is spelt'],
  [(value) => typeof value === 'string' && [value], 'as a list it is'],
];

/** Values of options as other programs spell them, without hyphens and in lower case. */
const SPELLINGS: Record<string, string | undefined> = {
  onecycle: 'one-cycle',
  onecyclelr: 'one-cycle',
  cosineannealing: 'cosine',
  cosineannealinglr: 'cosine',
  none: 'constant',
  bfloat16: 'bf16',
  float32: 'fp32',
  f32: 'fp32',
  32: 'fp32',
  gpu: 'cuda',
  0: 'cuda:0',
};

/**
 * Returns the half sentence that mends a refused value: it names the first correction that is accepted.
 *
 * @param show Shows a value in one line.
 * @returns `undefined` where no correction is accepted.
 */
export function hintFor(
  value: unknown,
  accepts: (value: unknown) => boolean,
  show: (value: unknown) => string,
): string | undefined {
  for (const [correct, how] of CORRECTIONS) {
    const meant = correct(value);
    if (meant !== undefined && accepts(meant)) return `${how} ${show(meant)}`;
  }
  const isRemote = (item: unknown) => /^[a-z][a-z\d+.-]*:\/\//i.test(textOf(item));
  if ([value].flat().some((item) => textOf(item).includes('\0')))
    return 'leave out the NUL byte in it';
  const broken = [value].flat().find((item) => !isUnicode(textOf(item)));
  if (broken !== undefined) {
    return isName(`${broken}`)
      ? 'that is not UTF-8: rename it'
      : 'a lone surrogate in it is no character';
  }
  return [value].flat().some(isRemote)
    ? 'download it first, as only files of this machine are read'
    : undefined;
}

/** Returns the text of a value that has one; `String()` fails for some objects. */
function textOf(value: unknown): string {
  const hasText = typeof value === 'string' || typeof value === 'number' || value instanceof URL;
  return hasText ? String(value) : '';
}

/** Corrects a value, or each value of a list. */
function each(correct: (value: unknown) => unknown): (value: unknown) => unknown {
  return (value) =>
    Array.isArray(value) ? value.map((item) => correct(item) ?? item) : correct(value);
}

function homeOf(value: unknown): string | undefined {
  return typeof value === 'string' && /^~(\/|$)/.test(value)
    ? homedir() + value.slice(1)
    : undefined;
}

function pathOfUrl(value: unknown): string | undefined {
  try {
    return fileURLToPath(textOf(value));
  } catch {
    return undefined; // no URL, or one of another machine
  }
}

function numbersOf(value: unknown): number[] | undefined {
  const isList = Array.isArray(value) && value.every((item) => Number.isFinite(item));
  return isList ? value : undefined;
}

/** Divides red, green and blue in 0..255 by 255. */
function sharesOf(value: unknown): number[] | undefined {
  const levels = numbersOf(value);
  const isRgb = levels?.length === 3 && levels.some((level) => level > 10);
  return isRgb ? levels.map((level) => +(level / 255).toPrecision(6)) : undefined;
}

/** Returns the parts of `(0.485, 0.456, 0.406)` or `0.485 0.456 0.406`. */
function wordsOf(value: unknown): string[] | undefined {
  return typeof value === 'string' ? (value.match(/[^\s,;()[\]]+/g) ?? []) : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : undefined;
}

function booleanOf(value: unknown): boolean | undefined {
  const words = new Map<unknown, boolean>([
    ['true', true],
    ['false', false],
    [1, true],
    [0, false],
  ]);
  return words.get(value);
}

function squash(value: unknown): string {
  return textOf(value).toLowerCase().replaceAll(/[-_ ]/g, '');
}

function spelt(value: unknown): string | undefined {
  return typeof value === 'string' ? value.toLowerCase().replaceAll('_', '-') : undefined;
}
