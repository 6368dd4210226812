import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { findCycle } from '../helpers/cycles.js';

// The folders of lib/ import each other in one direction only, as data flows. A file that lies in lib/ itself counts as a
// room of its own.

const lib = path.resolve(import.meta.dirname, '../../lib');

/** Returns the room of a file: 'data' of 'data/store.ts', 'errors' of 'errors.ts'. */
const roomOf = (file: string): string => file.split(path.sep)[0]?.replace(/\.ts$/, '') ?? '';

/** Maps each room to those that it imports from. */
function importsOfRooms(): Map<string, Set<string>> {
  const imports = new Map<string, Set<string>>();
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    const imported = imports.get(roomOf(file)) ?? new Set();
    imports.set(roomOf(file), imported);
    const source = readFileSync(path.join(lib, file), 'utf8');
    for (const [, specifier = ''] of source.matchAll(/\bfrom '(\.[^']+)\.js'/g)) {
      const room = roomOf(path.join(path.dirname(file), specifier));
      if (room !== roomOf(file)) imported.add(room);
    }
  }
  return imports;
}

test('the rooms of lib import each other in one direction', () => {
  const imports = importsOfRooms();
  expect([...imports.keys()]).toEqual(expect.arrayContaining(['data', 'options', 'training']));
  expect(findCycle(imports)).toBeNull();
});

test('nothing but the command line imports the command line', () => {
  const importers = [...importsOfRooms()].filter(([, imported]) => imported.has('cli'));
  expect(importers.map(([room]) => room)).toEqual([]);
});
