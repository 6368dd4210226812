import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { temporaryFolder } from '../helpers/dataset.js';

const docs = path.join(packageRoot, 'docs');
const copy = path.join(temporaryFolder(), 'docs');
beforeAll(() => cpSync(docs, copy, { recursive: true }));

function generate(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.js', ...args], {
    cwd: packageRoot,
    encoding: 'utf8',
  });
  return { status, stderr };
}

test('the tables in docs/ are current', () => {
  expect(generate('--check')).toEqual({ status: 0, stderr: '' });
});

test('a table that is not current is found, and mended', () => {
  const file = path.join(copy, 'api.md');
  const changed = readFileSync(file, 'utf8').replace('| `500` |', '| `501` |');
  writeFileSync(file, changed);
  expect(generate('--check', copy)).toEqual({
    status: 1,
    stderr: 'docs: not current: api.md; to write them: npm run docs\n',
  });
  expect(readFileSync(file, 'utf8')).toBe(changed);
  expect(generate(copy)).toEqual({ status: 0, stderr: '' });
  expect(readFileSync(file, 'utf8')).toBe(readFileSync(path.join(docs, 'api.md'), 'utf8'));
});
