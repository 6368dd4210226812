import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { findClang } from '../../scripts/fuzz/program.js';
import { READERS } from '../../scripts/fuzz/readers.js';
import { temporaryFolder } from '../helpers/dataset.js';

// The short form of `npm run check:fuzz`: each reader is given its corpus, and for some seconds what is made of it.

const folder = temporaryFolder();

function fuzz(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = path.join(packageRoot, 'scripts/fuzz/index.js');
  return spawnSync(process.execPath, [script, '--folder', folder, ...args], { encoding: 'utf8' });
}

const namesOf = (kind: string) =>
  READERS.filter((one) => one.kind === kind).map(({ name }) => name);

describe.each(['javascript', 'native'] as const)('readers in %s', (kind) => {
  test('answer or refuse', ({ skip }) => {
    if (kind === 'native' && !findClang()) skip('there is no clang with libFuzzer');
    const names = namesOf(kind);
    const { status, stdout, stderr } = fuzz('--seconds', '1', ...names);
    expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
    for (const name of names) {
      const seeds = path.join(packageRoot, 'test/fuzz/corpus', name);
      const fewest = existsSync(seeds) ? readdirSync(seeds).length : 1;
      const files = new RegExp(`^${name}: (\\d+) files in .*, (\\d+) branches, 0 findings$`, 'm');
      const [, count, branches] = files.exec(stdout) ?? [];
      expect(Number(count), stdout).toBeGreaterThanOrEqual(fewest);
      expect(Number(branches), stdout).toBeGreaterThan(10);
    }
  });
});

test('a finding is kept and named', ({ skip }) => {
  const names = findClang() ? ['bmp', 'safetensors'] : ['bmp'];
  if (names.length === 1) skip('there is no clang with libFuzzer');
  // Without any memory beside four times the file's size.
  const { status, stdout } = fuzz('--seconds', '0', '--slack', '0', ...names);
  expect(status).toBe(1);
  for (const name of names) {
    const line = new RegExp(`^  (\\S+/findings/${name}/\\S+): .*beyond the limit$`, 'm');
    const file = line.exec(stdout)?.[1] ?? stdout;
    expect(existsSync(file), stdout).toBe(true);
    expect(existsSync(`${file}.txt`)).toBe(true);
  }
});

test('an unknown reader is refused', () => {
  const { status, stderr } = fuzz('zap');
  expect(status).toBe(2);
  expect(stderr).toContain("no reader 'zap'; there are safetensors, zip, pickle");
});
