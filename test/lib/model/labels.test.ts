import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readLabels } from '../../../lib/model/labels.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-labels-'));
afterAll(() => rmSync(folder, { recursive: true }));

function labels(text: string | Uint8Array): Promise<string[]> {
  const file = path.join(folder, 'labels.txt');
  writeFileSync(file, text);
  return readLabels(file);
}

test.each([
  ['one name a line', '0 ant\n1 bee\n', ['ant', 'bee']],
  ['any order', '2 wasp\n0 ant\n1 bee', ['ant', 'bee', 'wasp']],
  ['names with spaces', '0 carpenter ant\n1\thoney  bee \n', ['carpenter ant', 'honey  bee']],
  ['names that are numbers', '0 7\n1 0 1', ['7', '0 1']],
  ['any script', '0 Ameise\n1 蜜蜂\n2 🐝', ['Ameise', '蜜蜂', '🐝']],
  ['Windows line ends and a byte order mark', '\uFEFF0 ant\r\n1 bee\r\n', ['ant', 'bee']],
  ['blank lines', '\n\n0 ant\n  \n1 bee\n\n', ['ant', 'bee']],
])('%s', async (_, text, names) => {
  expect(await labels(text)).toEqual(names);
});

test.each([
  [
    'an index twice',
    '0 ant\n1 bee\n0 wasp',
    'line 3: expected every index once, but 0 is "ant" in line 1',
  ],
  [
    'a gap',
    '0 ant\n3 bee\n1 wasp',
    'expected the indices 0 to 3 (line 2) without a gap, but 2 is missing',
  ],
  ['no zero', '1 ant\n2 bee', 'the indices 0 to 2 (line 2) without a gap, but 0 is missing'],
  ['an index beyond memory', '0 ant\n99999999999 bee', 'the indices 0 to 99999999999 (line 2)'],
  ['a negative index', '0 ant\n-1 bee', 'line 2: expected an index from 0 on, a space and a name'],
  ['a fraction', '0 ant\n1.5 bee', 'line 2: expected an index from 0 on'],
  [
    'no index',
    'ant\nbee',
    'line 1: expected an index from 0 on, a space and a name, but found "ant"',
  ],
  [
    'no name',
    '0 ant\n\n1 ',
    'line 3: expected an index from 0 on, a space and a name, but found "1"',
  ],
  ['nothing', '', 'expected lines of `index name`, but it has none'],
  ['blank lines only', ' \n\r\n', 'expected lines of `index name`, but it has none'],
])('%s is an error', async (_, text, message) => {
  await expect(labels(text)).rejects.toMatchObject({
    name: 'DistillError',
    code: 'ERR_LABELS',
    message: expect.stringContaining(message),
  });
});

const bigEndian = (text: string) => Buffer.from(text, 'utf16le').swap16();

test.each([
  ['little-endian, as Windows writes it', Buffer.from('\ufeff0 fourmi\r\n1 guêpe\r\n', 'utf16le')],
  ['big-endian', bigEndian('\ufeff0 fourmi\n1 guêpe')],
])('UTF-16 is read: %s', async (_, bytes) => {
  expect(await labels(bytes)).toEqual(['fourmi', 'guêpe']);
});

test.each([
  [
    'Latin-1',
    Buffer.from('0 fourmi\r\n1 guêpe\r\n', 'latin1'),
    'line 2: expected text in UTF-8, but it is not; save it as UTF-8.',
  ],
  [
    'UTF-16 without a byte order mark',
    Buffer.from('0 fourmi\n1 ant', 'utf16le'),
    'line 1: expected text, but it holds NUL characters; save it as UTF-8.',
  ],
  [
    'half a character of UTF-16',
    Buffer.from('\ufeff0 fourmi\n1 gu\ud800pe', 'utf16le'),
    'line 2: expected text in UTF-16LE, but it is not; save it as UTF-8.',
  ],
  ['a NUL in a name', Buffer.from('0 ant\n1 b\0ee'), 'line 2: expected text, but it holds NUL'],
  ['control characters in no name', Buffer.from('0 ant\n\x1b[31m'), 'but found "\\x1b[31m".'],
])('%s is an error that says where', async (_, bytes, message) => {
  await expect(labels(bytes)).rejects.toMatchObject({
    code: 'ERR_LABELS',
    message: expect.stringContaining(message),
  });
});

test('a name may hold U+FFFD of itself', async () => {
  expect(await labels('0 gu\ufffdpe')).toEqual(['gu\ufffdpe']);
});

test('a file that cannot be read is an error', async () => {
  await expect(readLabels(path.join(folder, 'nothing.txt'))).rejects.toMatchObject({
    code: 'ERR_LABELS',
    message: expect.stringMatching(/nothing\.txt cannot be read \(ENOENT\)/),
    cause: { code: 'ENOENT' },
  });
});

test('a file that is none is refused without being opened, and a large one without being read', async () => {
  const pipe = path.join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const sparse = path.join(folder, 'sparse.txt');
  writeFileSync(sparse, '0 ant\n');
  truncateSync(sparse, 2 ** 40);
  for (const [file, reason] of [
    [pipe, 'it is not a file but a device or a pipe'],
    ['/dev/zero', 'it is not a file but a device or a pipe'],
    [folder, 'it is not a file but a folder'],
    [sparse, 'it is larger than 16 MB: give a smaller one'],
  ] as const) {
    await expect(readLabels(file)).rejects.toMatchObject({
      code: 'ERR_LABELS',
      message: expect.stringContaining(`${file} cannot be read (${reason}); name a text file`),
    });
  }
});
