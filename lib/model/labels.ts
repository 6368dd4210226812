import { DistillError } from '../errors.js';
import { readFile, type UnreadableFile } from '../files.js';
import { printable } from '../words.js';

/** Bytes of the largest file of labels: far above a name for each of a hundred thousand classes. */
const LARGEST = 16e6;

/**
 * Reads the names of classes from a text file of `index name` lines, in any order: in UTF-8, or in UTF-16 with the byte
 * order mark that Windows writes. Names may contain spaces; blank lines and Windows line ends are fine.
 *
 * @returns The names by index.
 * @throws DistillError `ERR_LABELS` if the file cannot be read or is in another encoding, a line is no `index name`, an
 *   index occurs twice, or one between 0 and the largest is missing.
 */
export async function readLabels(path: string): Promise<string[]> {
  const bytes = await readFile(path, { limit: LARGEST }).catch(
    ({ message, cause }: UnreadableFile) => {
      const { code = `it ${message}` } = (cause ?? {}) as NodeJS.ErrnoException;
      throw new DistillError(
        'ERR_LABELS',
        `The labels file ${path} cannot be read (${code}); name a text file with a line of \`index name\` for each class.`,
        { cause },
      );
    },
  );
  const text = textOf(bytes, path);

  const names = new Map<number, { name: string; line: number }>();
  for (const [i, raw] of text.split(LINE_END).entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const where = `${path}, line ${i + 1}`;
    const { index, name } = /^(?<index>\d+)\s+(?<name>.+)$/.exec(line)?.groups ?? {};
    if (index === undefined || name === undefined) {
      throw new DistillError(
        'ERR_LABELS',
        `${where}: expected an index from 0 on, a space and a name, but found "${shortened(line)}".`,
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

const LINE_END = /\r\n|\n|\r/;

/** Decodes the text of a file, without its byte order mark. */
function textOf(bytes: Uint8Array, path: string): string {
  const mark = Buffer.from(bytes.subarray(0, 2)).toString('hex');
  const encoding = mark === 'fffe' ? 'utf-16le' : mark === 'feff' ? 'utf-16be' : 'utf-8';
  const decode = (fatal: boolean) => new TextDecoder(encoding, { fatal }).decode(bytes);
  const refuse = (found: string, text: string, sign: string) => {
    const line = text.slice(0, text.indexOf(sign)).split(LINE_END).length;
    return new DistillError('ERR_LABELS', `${path}, line ${line}: ${found}; save it as UTF-8.`);
  };
  let text: string;
  try {
    text = decode(true);
  } catch {
    throw refuse(
      `expected text in ${encoding.toUpperCase()}, but it is not`,
      decode(false),
      '\ufffd',
    );
  }
  if (text.includes('\0')) throw refuse('expected text, but it holds NUL characters', text, '\0');
  return text;
}

/** Shortens a line for a message. */
function shortened(line: string): string {
  return printable(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}
