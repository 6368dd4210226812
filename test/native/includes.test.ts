import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findCycle } from '../helpers/cycles.js';

// The folders of native/core include each other in one direction only: what lies low knows nothing of what is
// built upon it. Files that lie in native/core itself count as one folder.

const native = path.resolve(import.meta.dirname, '../../native');

/** The folder of a file of core: 'kernels' of 'core/kernels/rows.h', 'core' of 'core/error.h'. */
const folderOf = (file: string): string => /^core\/(.+)\//.exec(file)?.[1] ?? 'core';

/** The folders that each folder of native/core includes. */
function includesOfCore(): Map<string, Set<string>> {
  const includes = new Map<string, Set<string>>();
  for (const name of readdirSync(path.join(native, 'core'), {
    recursive: true,
    encoding: 'utf8',
  })) {
    if (!/\.(h|cpp)$/.test(name)) continue;
    const file = `core/${name.replaceAll(path.sep, '/')}`;
    const folder = folderOf(file);
    const included = includes.get(folder) ?? new Set();
    includes.set(folder, included);
    for (const [, header = ''] of readFileSync(path.join(native, file), 'utf8').matchAll(
      /^#include "(.+)"/gm,
    )) {
      expect(header, `${file} includes what lies in core`).toMatch(/^core\//);
      if (folderOf(header) !== folder) included.add(folderOf(header));
    }
  }
  return includes;
}

test('a cycle is found and named', () => {
  const includes = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c', 'd'])],
    ['c', new Set<string>()],
    ['d', new Set(['c', 'b'])],
  ]);
  expect(findCycle(includes)).toBe('b → d → b');
  includes.set('d', new Set(['c']));
  expect(findCycle(includes)).toBeNull();
});

test('the folders of native/core include each other in one direction', () => {
  const includes = includesOfCore();
  expect([...includes.keys()]).toEqual(expect.arrayContaining(['nn', 'kernels', 'models']));
  expect(findCycle(includes)).toBeNull();
});

test('layers know neither kernels nor models', () => {
  expect([...(includesOfCore().get('nn') ?? [])]).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/kernels|models/)]),
  );
});
