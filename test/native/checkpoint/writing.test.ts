import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { inspect } from '../../../lib/index.js';
import { refusalOf } from '../../helpers/results.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pth`);

describe('writing', () => {
  const create = (file: string) =>
    native(loadAddon().createModel({ path: file, architecture: 'cnn', classes: 2, seed: 1 }));
  const checkWritable = (file: string) => native(loadAddon().checkWritable(file));

  test('replaces the file in one step and leaves nothing else', async () => {
    const place = mkdtempSync(path.join(folder, 'writing-'));
    const file = path.join(place, 'student.pth');
    await checkWritable(file);
    expect(readdirSync(place)).toEqual([]);
    writeFileSync(file, 'old');
    const inode = statSync(file).ino;
    await create(file);
    expect(statSync(file).ino).not.toBe(inode);
    expect((await inspect(file)).architecture).toBe('cnn');
    expect(readdirSync(place)).toEqual(['student.pth']);
  });

  test('gives equal weights equal bytes', async () => {
    const [a, b] = [newPath(), newPath()];
    await create(a);
    await create(b);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });

  test('follows a symbolic link', async () => {
    const place = mkdtempSync(path.join(folder, 'writing-'));
    const [file, link] = [path.join(place, 'a.pth'), path.join(place, 'b.pth')];
    writeFileSync(file, 'old');
    symlinkSync('a.pth', link);
    await create(link);
    expect((await inspect(file)).architecture).toBe('cnn');
    expect(readdirSync(place).sort()).toEqual(['a.pth', 'b.pth']);
  });

  test.each([
    ['a missing folder', path.join(folder, 'no/such/student.pth'), 'create its folder first'],
    ['a folder', folder, 'is a folder'],
    ['a device', '/dev/null', 'is a device'],
    ['a name that is too long', path.join(folder, 'x'.repeat(300)), 'shorter name'],
  ])('refuses %s, and shows so beforehand', async (_, file, says) => {
    for (const attempt of [checkWritable, create]) {
      const error = await refusalOf(attempt(file));
      expect(error.code).toBe('ERR_WRITE');
      expect(error.message).toContain(`'${file}'`);
      expect(error.message).toContain(says);
    }
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });
});
