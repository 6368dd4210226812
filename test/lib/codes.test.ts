// One table of codes: each that is thrown is in it, and each in it is thrown somewhere.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DistillError, ERRORS, toDistillError } from '../../lib/errors.js';
import { packageRoot } from '../../lib/package.js';
import { WARNINGS } from '../../lib/warnings.js';

/** Node's own codes, which synchronous calls of the addon throw as Node does: as a TypeError or a RangeError. */
const OF_NODE = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];

/** All codes in quotes in a folder's sources, but for those that something is compared with. The tables' keys have none. */
function codesIn(folder: string, endings: string[]): string[] {
  const root = path.join(packageRoot, folder);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => endings.includes(path.extname(file)))
    .map((file) => readFileSync(path.join(root, file), 'utf8'))
    .flatMap((source) => [...source.matchAll(/(?<![!=]== )['"]((?:ERR|WARN)_[A-Z_]*[A-Z])['"]/g)])
    .map(([, code]) => code as string);
}

describe('the tables of codes', () => {
  const thrown = new Set([...codesIn('lib', ['.ts']), ...codesIn('native', ['.cpp', '.h'])]);
  const known = [...Object.keys(ERRORS), ...Object.keys(WARNINGS)];

  test('have every code that is thrown', () => {
    const unknown = [...thrown].filter((code) => !known.includes(code));
    expect(unknown.filter((code) => !OF_NODE.includes(code))).toEqual([]);
  });

  test('have no code that nobody throws', () => {
    expect(known.filter((code) => !thrown.has(code))).toEqual([]);
  });

  test('say a sentence of each', () => {
    for (const { meaning, remedy } of [...Object.values(ERRORS), ...Object.values(WARNINGS)]) {
      expect(meaning).toMatch(/^[A-Z`o].*\.$/);
      expect(remedy).toMatch(/^[A-Z`].*\.$/);
    }
  });
});

describe('an error from elsewhere', () => {
  test('keeps a code of the table', () => {
    const cause = Object.assign(new Error('no room'), { code: 'ERR_WRITE' });
    const error = toDistillError(cause);
    expect(error).toBeInstanceOf(DistillError);
    expect(error).toMatchObject({ code: 'ERR_WRITE', message: 'no room', cause });
  });

  test('is internal where its code is unknown, and says which', () => {
    const denied = Object.assign(new Error('not permitted'), { code: 'EPERM' });
    const message = 'not permitted (EPERM)';
    expect(toDistillError(denied)).toMatchObject({ code: 'ERR_INTERNAL', message, cause: denied });
    const inherited = Object.assign(new Error('x'), { code: 'toString' });
    expect(toDistillError(inherited).code).toBe('ERR_INTERNAL');
    expect(toDistillError(new Error('x')).code).toBe('ERR_INTERNAL');
  });

  test('stays where it is one of the package already', () => {
    const error = new DistillError('ERR_OPTION', 'x');
    expect(toDistillError(error)).toBe(error);
  });
});
