import { existsSync } from 'node:fs';
import { AUGMENTATIONS } from '../options/fields.js';

const isNumber = (word: string) => /^[([]?[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?[)\],]*$/i.test(word);
const isAugmentation = (word: string) =>
  AUGMENTATIONS.some((name) => name === word.replace(/,$/, ''));

/** Options whose values are lists: what an item looks like and, where it is fixed, how many there are. */
const LISTS = new Map<string, { isItem: (word: string) => boolean; length?: number }>([
  ['--mean', { isItem: isNumber, length: 3 }],
  ['--std', { isItem: isNumber, length: 3 }],
  ['--temperature', { isItem: isNumber }],
  ['--alpha', { isItem: isNumber }],
  ['--lr', { isItem: isNumber }],
  ['--seeds', { isItem: isNumber }],
  ['--augment', { isItem: isAugmentation }],
]);

/**
 * Joins lists whose items are words of their own, as Python's programs take them: `--mean 0.485 0.456 0.406` becomes
 * `--mean=0.485,0.456,0.406`. In a list of any length, a word that is the name of a file stays one.
 */
export function joinLists(argv: readonly string[]): string[] {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  const joined: string[] = [];
  let next = 0;
  while (next < end) {
    const word = argv[next++] as string;
    const [, flag = word, value] = /^(--\w+)=(.*)$/s.exec(word) ?? [];
    const list = LISTS.get(flag);
    const first = value ?? argv[next];
    if (!list?.isItem(first ?? '')) {
      joined.push(word);
      continue;
    }
    if (value === undefined) next += 1;
    const items = [first as string];
    const isMore = (word: string) =>
      list.isItem(word) && (list.length ? items.length < list.length : !existsSync(word));
    while (next < end && isMore(argv[next] as string)) items.push(argv[next++] as string);
    const bare = items.length > 1 ? items.map((item) => item.replace(/[[\](),]/g, '')) : items;
    joined.push(`${flag}=${bare.join(',')}`);
  }
  return [...joined, ...argv.slice(end)];
}
