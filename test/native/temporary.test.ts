import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { built, canMount, runChild } from '../helpers/child.js';
import { filesIn, temporaryFolder } from '../helpers/dataset.js';
import { halfMadeIn, stopWhile } from '../helpers/stopping.js';

const folder = temporaryFolder();
const newFolder = () => mkdtempSync(path.join(folder, 'place-'));

const checkWritable = (file: string) => native(loadAddon().checkWritable(file));
const write = (file: string, text: string) =>
  native(loadAddon().writeFile(file, Buffer.from(text)));
const refusalOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it was accepted'),
    (error) => error,
  );

describe('what a killed run has left', () => {
  /** Starts a process and stops it once something under a temporary name is there. */
  async function start(place: string, text: string): Promise<ChildProcess> {
    const module = `import { loadAddon } from '${new URL('addon.js', built)}';\n${text}`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', module, '--', place], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await stopWhile(child, () => halfMadeIn(place).length > 0);
    return child;
  }
  const kill = async (child: ChildProcess) => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };

  const writing = `
    const bytes = new Uint8Array(20_000_000);
    for (;;) await loadAddon().writeFile(process.argv[1] + '/file', bytes);`;
  const inFolder = `
    const { path } = await loadAddon().makeTemporaryFolder(process.argv[1]);
    await import('node:fs').then(({ writeFileSync }) => writeFileSync(path + '/student.pth', 'x'));
    setInterval(() => {}, 1000);`;

  test.each([
    ['a half-written file', writing],
    ['a folder with files in it', inFolder],
  ])('%s goes with the next run, but not while it is being made', async (_, text) => {
    const place = newFolder();
    const child = await start(place, text);
    try {
      const live = filesIn(place);
      await checkWritable(path.join(place, 'other'));
      expect(filesIn(place)).toEqual(live);
    } finally {
      await kill(child);
    }
    expect(halfMadeIn(place)).toHaveLength(1);
    await checkWritable(path.join(place, 'other'));
    expect(filesIn(place).filter((name) => name !== 'file')).toEqual([]);
  });

  test('is known by its whole name, and is no link, pipe or device', async () => {
    const place = newFolder();
    const at = (name: string) => path.join(place, name);
    const movie = path.join(newFolder(), 'movie.mkv');
    writeFileSync(movie, 'a movie');
    for (const name of [
      'movie.mkv.part',
      `${'0'.repeat(64)}.AbCdEf.part`,
      '.distill-1-1.tmp',
      '.node-distill-AbCdEf.part.bak',
      '.node-distill-AbCdE.part',
      '.node-distill-AbCdE_.part',
      'x.node-distill-AbCdEf.part',
    ]) {
      writeFileSync(at(name), name);
    }
    symlinkSync(movie, at('.node-distill-link00.part'));
    symlinkSync(path.dirname(movie), at('.node-distill-link01.part'));
    symlinkSync('nowhere', at('.node-distill-link02.part'));
    execFileSync('mkfifo', [at('.node-distill-pipe00.part'), at('pipe.part')]);
    mkdirSync(at('folder.part'));
    const before = filesIn(place);

    writeFileSync(at('.node-distill-AbCdEf.part'), 'left over');
    mkdirSync(at('.node-distill-folder.part'));
    symlinkSync(movie, at('.node-distill-folder.part/movie.mkv'));
    symlinkSync(path.dirname(movie), at('.node-distill-folder.part/movies'));
    await checkWritable(at('file'));
    expect(filesIn(place)).toEqual(before);
    expect(readFileSync(movie, 'utf8')).toBe('a movie');
  });

  test('that another user has left stays', async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can make files for others');
    const place = newFolder();
    const file = path.join(place, '.node-distill-AbCdEf.part');
    writeFileSync(file, '');
    execFileSync('chown', ['12345', file]);
    await checkWritable(path.join(place, 'file'));
    expect(filesIn(place)).toEqual([path.basename(file)]);
  });
});

describe('a file that is written', () => {
  test('lies where a dangling link leads, by any number of links', async () => {
    const place = newFolder();
    const at = (name: string) => path.join(place, name);
    mkdirSync(at('deep'));
    symlinkSync('deep', at('folder'));
    symlinkSync('../c', at('deep/b'));
    symlinkSync('folder/b', at('a'));
    await checkWritable(at('a'));
    expect(filesIn(place)).toEqual(['a', 'deep', 'folder']);
    for (const text of ['new', 'newer']) {
      await write(at('a'), text);
      expect(readFileSync(at('c'), 'utf8')).toBe(text);
      expect(lstatSync(at('c')).isFile()).toBe(true);
      expect([readlinkSync(at('a')), readlinkSync(at('deep/b'))]).toEqual(['folder/b', '../c']);
    }
    expect([filesIn(place), filesIn(at('deep'))]).toEqual([['a', 'c', 'deep', 'folder'], ['b']]);
  });

  test('cannot lie where a link leads to no folder, or round and round', async () => {
    const place = newFolder();
    const at = (name: string) => path.join(place, name);
    symlinkSync('none/file', at('lost'));
    symlinkSync('round', at('round'));
    for (let i = 0; i < 60; i++) symlinkSync(`${i + 1}`, at(`${i}`));
    const before = filesIn(place);
    for (const [name, says] of [
      ['lost', `${at('none/file')}' cannot be written: No such file or directory; create its`],
      ['round', 'symbolic links'],
      ['0', 'symbolic links'],
    ] as const) {
      for (const attempt of [checkWritable(at(name)), write(at(name), 'new')]) {
        const { code, message } = await refusalOf(attempt);
        expect(code).toBe('ERR_WRITE');
        expect(message).toContain(`'${at(name)}'`);
        expect(message).toContain(says);
      }
    }
    expect(filesIn(place)).toEqual(before);
  });

  test('keeps the permissions and the owner of the one it replaces', async () => {
    const place = newFolder();
    const file = path.join(place, 'file');
    await write(file, 'new');
    expect(statSync(file).mode & 0o777).toBe(0o666 & ~process.umask());
    for (const mode of [0o600, 0o640, 0o664, 0o444]) {
      chmodSync(file, mode);
      await write(file, `${mode}`);
      expect(statSync(file).mode & 0o777).toBe(mode);
      expect(readFileSync(file, 'utf8')).toBe(`${mode}`);
    }
    if (process.getuid?.() !== 0) return;
    execFileSync('chown', ['12345:54321', file]);
    await write(file, 'theirs');
    expect(statSync(file)).toMatchObject({ uid: 12345, gid: 54321 });
  });

  test('is a file: a folder, a pipe, a device and an open file are refused by name', async () => {
    const place = newFolder();
    const at = (name: string) => path.join(place, name);
    mkdirSync(at('folder'));
    execFileSync('mkfifo', [at('pipe')]);
    symlinkSync('pipe', at('link'));
    for (const [name, says] of [
      ['folder', 'it is a folder'],
      ['pipe', 'it is a pipe'],
      ['link', 'it is a pipe'],
      ['/dev/null', 'it is a device'],
    ] as const) {
      const file = path.resolve(place, name);
      for (const attempt of [checkWritable(file), write(file, 'new')]) {
        const { code, message } = await refusalOf(attempt);
        expect(code).toBe('ERR_WRITE');
        expect(message).toContain(`'${file}' cannot be written: ${says}`);
      }
    }
    expect(filesIn(place)).toEqual(['folder', 'link', 'pipe']);
    rmSync(at('pipe'));
  });

  test('is not the one that standard output goes to', async () => {
    const place = newFolder();
    const file = path.join(place, 'out.txt');
    const ended = await runChild(
      `const { loadAddon } = await import('${new URL('addon.js', built)}');
       for (const name of ['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']) {
         for (const call of ['checkWritable', 'writeFile']) {
           const error = await loadAddon()[call](name, new Uint8Array(1)).catch((error) => error);
           console.log(name, error?.code, error?.message);
         }
       }`,
      { command: ['sh', '-c', `exec "$@" > "${file}"`, 'sh'] },
    );
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines).toHaveLength(6);
    for (const line of lines) {
      expect(line).toMatch(/^(\S+) ERR_WRITE '\1' cannot be written: it is an open file/);
    }
    expect(filesIn(place)).toEqual(['out.txt']);
  });

  test('that could not be replaced in the end is refused at once', async () => {
    const place = newFolder();
    const at = (name: string) => path.join(place, name);
    const refuse = async (file: string, command: string[], says: string) => {
      const ended = await runChild(
        `const { loadAddon } = await import('${new URL('addon.js', built)}');
         loadAddon(); // LibTorch may be out of another user's reach
         if (input.user && process.getuid() === 0) process.setuid(input.user);
         for (const call of ['checkWritable', 'writeFile']) {
           const error = await loadAddon()[call](input.file, new Uint8Array(1)).catch((error) => error);
           console.log(error?.code, error?.message);
         }`,
        { command, input: { file, user: says.includes('another user') ? 12345 : 0 } },
      );
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      const line = expect.stringContaining(`ERR_WRITE '${file}' cannot be written: ${says}`);
      expect(ended.stdout.trim().split('\n')).toEqual([line, line]);
    };

    if (canMount) {
      for (const name of ['file', 'other']) writeFileSync(at(name), name);
      const script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
      const mounting = ['unshare', '-rm', 'sh', '-c', script, 'sh', at('other'), at('file')];
      await refuse(at('file'), mounting, 'it is mounted by itself');
    }
    if (process.getuid?.() === 0) {
      mkdirSync(at('sticky'));
      chmodSync(at('sticky'), 0o1777);
      for (const open of [folder, place]) chmodSync(open, 0o755);
      writeFileSync(at('sticky/file'), 'theirs');
      await refuse(at('sticky/file'), [], "it is another user's");
    }
  });
});
