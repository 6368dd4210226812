import { DistillError } from '../errors.js';
import { readFile, type UnreadableFile } from '../files.js';

/** What a file of labels may have, bytes: far above a name for each of a hundred thousand classes. */
const LARGEST = 16e6;

/**
 * Reads the names of classes from a text file of `index name` lines, in any order. Names may contain spaces;
 * blank lines, Windows line ends and a byte order mark are fine.
 *
 * @returns The names by index.
 * @throws {DistillError} `ERR_LABELS` if the file cannot be read, a line is no `index name`, an index occurs
 *   twice, or one between 0 and the largest is missing.
 */
export async function readLabels(path: string): Promise<string[]> {
  const bytes = await readFile(path, { limit: LARGEST }).catch((error: UnreadableFile) => {
    throw new DistillError(
      'ERR_LABELS',
      `The labels file ${path} cannot be read (${error.message}); name a text file with a line of \`index name\` for each class.`,
      { cause: error.cause },
    );
  });
  const text = bytes.toString('utf8');

  const names = new Map<number, { name: string; line: number }>();
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const where = `${path}, line ${i + 1}`;
    const { index, name } = /^(?<index>\d+)\s+(?<name>.+)$/.exec(line)?.groups ?? {};
    if (index === undefined || name === undefined) {
      throw new DistillError(
        'ERR_LABELS',
        `${where}: expected an index from 0 on, a space and a name, but found "${line}".`,
      );
    }
    const before = names.get(Number(index));
    if (before !== undefined) {
      throw new DistillError(
        'ERR_LABELS',
        `${where}: expected every index once, but ${index} is "${before.name}" in line ${before.line} already.`,
      );
    }
    names.set(Number(index), { name, line: i + 1 });
  }

  if (names.size === 0) {
    throw new DistillError(
      'ERR_LABELS',
      `${path}: expected lines of \`index name\`, but it has none.`,
    );
  }
  return Array.from({ length: names.size }, (_, index) => {
    const entry = names.get(index);
    if (entry === undefined) {
      const [largest, { line }] = [...names].reduce((a, b) => (a[0] > b[0] ? a : b));
      throw new DistillError(
        'ERR_LABELS',
        `${path}: expected the indices 0 to ${largest} (line ${line}) without a gap, but ${index} is missing.`,
      );
    }
    return entry.name;
  });
}
