// Everything that reads bytes from files, and what a fuzzer begins with: names of tests' files, and test/fuzz/corpus/<name>/.

/** Seconds of the processor's time that a file may take. */
export const SLOWEST = 5;

/**
 * @typedef {object} Reader
 * @property {string} name of its function in test/fuzz/readers.cpp or test/fuzz/readers.js
 * @property {'native' | 'javascript'} kind
 * @property {number} longest bytes of an input
 * @property {readonly string[]} dictionaries of test/fuzz/dictionaries/
 * @property {{ folder: string, files: RegExp } | null} seeds beside its own corpus
 */

const PICTURES = 'test/fixtures/pictures';

/** @type {readonly Reader[]} */
export const READERS = [
  native('safetensors', 2 ** 12, ['json']),
  native('zip', 2 ** 13, ['zip']),
  native('pickle', 2 ** 12, ['pickle']),
  native('json', 2 ** 14, ['json']),
  native('graph', 2 ** 14, ['json']),
  native('checkpoint', 2 ** 15, ['json', 'pickle', 'zip'], 'test/fixtures/pt2', /-2\.(6|13)\.pt2$/),
  native('store', 9 * 512, []),
  native('state', 2 ** 12, ['json']),
  native('answers', 2 ** 10, []),
  native('jpeg', 2 ** 12, ['jpeg'], PICTURES, /\.jpg$/),
  javascript('bmp', 2 ** 12, ['bmp'], PICTURES, /\.bmp$/),
  javascript('netpbm', 2 ** 12, ['netpbm'], PICTURES, /\.p[bgp]m$/),
  javascript('logits', 2 ** 12, ['json']),
];

/** @typedef {(name: string, longest: number, dictionaries: string[], folder?: string, files?: RegExp) => Reader} Kind */

/** @type {Kind} */
function native(name, longest, dictionaries, folder, files) {
  const seeds = folder && files ? { folder, files } : null;
  return { name, kind: 'native', longest, dictionaries, seeds };
}

/** @type {Kind} */
function javascript(...given) {
  return { ...native(...given), kind: 'javascript' };
}
