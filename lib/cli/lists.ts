import { existsSync } from 'node:fs';
import { fieldOf, type Kind, kindOf, namesOf, type Schema } from '../options/option.js';
import { schemas } from '../options/schemas.js';
import { flagOf } from './options.js';

const isNumber = (word: string) => /^[([]?[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?[)\],]*$/i.test(word);

/** A list of words on the command line. */
interface List {
  isItem: (word: string) => boolean;
  /** The number of items, where it is fixed. */
  length?: number;
}

/** The options whose values are lists, by flag. */
const LISTS = new Map(Object.values(schemas).flatMap((schema) => listsOf(schema)));

function listsOf(schema: Schema): [flag: string, list: List][] {
  return namesOf(schema).flatMap((name): [string, List][] => {
    const list = listFor(kindOf(fieldOf(schema, name)));
    return list ? [[flagOf(schema, name), list]] : [];
  });
}

function listFor(kind: Kind): List | null {
  if (kind.type === 'triple') return { isItem: isNumber, length: 3 };
  if (kind.type === 'numbers' || kind.type === 'sizes') return { isItem: isNumber };
  if (kind.type !== 'names') return null;
  return { isItem: (word) => kind.values.includes(word.replace(/,$/, '')) };
}

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
    const [, flag = word, value] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
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
