import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { type DistillError, type DistillOptions, distill } from '../../../lib/index.js';
import type { NativeStore } from '../../../lib/native.js';
import { runChild } from '../../helpers/child.js';
import { batchOf, storeOf } from '../../helpers/contract.js';
import { filesIn, mean, smallRun, std, temporaryFolder } from '../../helpers/dataset.js';

const folder = temporaryFolder();
const newFolder = () => mkdtempSync(path.join(folder, 'stores-'));
let base: Awaited<ReturnType<typeof smallRun>>;
/** The epochs' numbers of a run without files. */
let expected: number[][];

beforeAll(async () => {
  process.env.DISTILL_CACHE = path.join(folder, 'cache');
  base = await smallRun(folder);
  expected = await epochsOf(base);
});

async function epochsOf(options: DistillOptions): Promise<number[][]> {
  const epochs: number[][] = [];
  for await (const { trainLoss, trainAccuracy, valLoss, valAccuracy } of distill(options)) {
    epochs.push([trainLoss, trainAccuracy, valLoss, valAccuracy]);
  }
  return epochs;
}

/** A folder with a store for the run, and the store's file. */
async function keep(): Promise<{ cacheDir: string; file: string }> {
  const cacheDir = newFolder();
  await distill({ ...base, cacheDir });
  return { cacheDir, file: path.join(cacheDir, filesIn(cacheDir)[0] as string) };
}

test('a folder of stores keeps the files of others, whatever they are called', async () => {
  const cacheDir = newFolder();
  const movie = path.join(folder, 'movie.mkv');
  writeFileSync(movie, 'a movie');
  const at = (name: string) => path.join(cacheDir, name);
  writeFileSync(at('movie.mkv.part'), 'half a movie');
  symlinkSync(movie, at('link.part'));
  execFileSync('mkfifo', [at('pipe.part')]);
  mkdirSync(at('folder.part'));
  const before = filesIn(cacheDir);
  writeFileSync(at('.node-distill-AbCdEf.part'), 'left by a killed run');

  await distill({ ...base, cacheDir });
  expect(filesIn(cacheDir).filter((name) => !name.endsWith('.store'))).toEqual(before);
  expect(readFileSync(movie, 'utf8')).toBe('a movie');
});

describe('what lies in the place of a store', () => {
  const other = path.join(folder, 'other');
  const isRoot = process.getuid?.() === 0;

  test.each<[string, RegExp, (file: string) => void]>([
    [
      'through a link',
      /it is a link/,
      (file) => {
        renameSync(file, other);
        symlinkSync(other, file);
      },
    ],
    [
      'through a link to nothing',
      /it is a link/,
      (file) => {
        unlinkSync(file);
        symlinkSync('nowhere', file);
      },
    ],
    [
      'as a pipe',
      /device or a pipe/,
      (file) => {
        unlinkSync(file);
        execFileSync('mkfifo', [file]);
      },
    ],
    [
      'as a folder',
      /it is a folder/,
      (file) => {
        unlinkSync(file);
        mkdirSync(file);
      },
    ],
    [
      'under another name as well',
      /hard link/,
      (file) => {
        rmSync(other, { force: true });
        linkSync(file, other);
      },
    ],
    ['for the group to write to', /others? users? may write/, (file) => chmodSync(file, 0o660)],
    ['for all to write to', /others? users? may write/, (file) => chmodSync(file, 0o602)],
    ...(isRoot
      ? [
          [
            'by another user',
            /another user's/,
            (file: string) => execFileSync('chown', ['12345', file]),
          ] as [string, RegExp, (file: string) => void],
        ]
      : []),
  ])('%s is neither taken over nor replaced', async (_, says, plant) => {
    const { cacheDir, file } = await keep();
    plant(file);
    const { ino, mtimeMs } = lstatSync(file);
    const error = (await distill({ ...base, cacheDir }).catch((error) => error)) as DistillError;
    expect(error).toMatchObject({ code: 'ERR_CACHE', message: expect.stringMatching(says) });
    expect(error.message).toContain(`'${file}'`);
    expect(error.message).toContain('remove it, or name another folder as cacheDir');
    expect(lstatSync(file)).toMatchObject({ ino, mtimeMs });
    expect(filesIn(cacheDir)).toEqual([path.basename(file)]);
  });

  test('is for its user alone', async () => {
    const { file } = await keep();
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

describe('a store whose bytes have changed', () => {
  const pictures = { train: 11, val: 7 };
  const [imageSize, classes] = [32, 3];
  let store: NativeStore;
  let file: string;
  let whole: Buffer;
  const newSession = () =>
    new (loadAddon().Session)({
      imageSize,
      mean,
      std,
      threads: 1,
      device: 'cpu',
      precision: 'fp32',
    });

  beforeAll(async () => {
    store = storeOf({
      imageSize,
      classes,
      trainCapacity: pictures.train,
      valCapacity: pictures.val,
      kept: true,
      folder: newFolder(),
      fingerprint: '0123456789abcdef'.repeat(4),
    });
    const session = newSession();
    await native(session.open());
    await native(session.createStore(store));
    for (const split of ['train', 'val'] as const) {
      const count = pictures[split];
      const numbers = Array.from({ length: count }, (_, i) => i);
      await native(
        session.append(
          batchOf({
            split,
            pixels: Uint8Array.from({ length: count * imageSize ** 2 * 3 }, (_, i) => i * 31),
            labels: Int32Array.from(numbers, (i) => i % classes),
            sources: Int32Array.from(numbers),
            answered: true,
            teacherLogits: Float32Array.from({ length: count * classes }, (_, i) => i / 7),
          }),
        ),
      );
    }
    await native(session.sealStore());
    await native(session.close());
    file = path.join(store.folder, `${store.fingerprint}.store`);
    whole = readFileSync(file);
  });

  test('anywhere is not taken over', async () => {
    const session = newSession();
    await native(session.open());
    const reopen = () => native(session.reopenStore(store));
    const page = (bytes: number) => Math.ceil(bytes / 4096) * 4096;
    // The header, then pixels, labels, sources and answers of either half.
    const parts: [number, number][] = [[0, 176]];
    let begin = 4096;
    for (const count of [pictures.train, pictures.val]) {
      for (const bytes of [count * imageSize ** 2 * 3, count * 8, count * 8, count * classes * 4]) {
        parts.push([begin, bytes]);
        begin += page(bytes);
      }
    }
    expect(begin).toBe(whole.length);
    expect(await reopen()).not.toBeNull();

    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const accepted: number[] = [];
    for (let i = 0; i < 405; i++) {
      const bytes = Buffer.from(whole);
      const [first, length] = parts[i % parts.length] as [number, number];
      // One bit; two in different words; or two words changed for each other.
      const at = first + random(length);
      bytes[at] = (bytes[at] as number) ^ (1 << random(8));
      if (i % 3 === 1) {
        const too = first + random(length);
        if (too !== at) bytes[too] = (bytes[too] as number) ^ 0x80;
      }
      writeFileSync(file, bytes);
      if ((await reopen()) !== null) accepted.push(at);
    }
    expect(accepted).toEqual([]);
    writeFileSync(file, whole);
    expect(await reopen()).toEqual({
      train: Int32Array.from({ length: pictures.train }, (_, i) => i),
      val: Int32Array.from({ length: pictures.val }, (_, i) => i),
    });
    await native(session.close());
  });
});

describe.each([
  ['in memory', {}],
  ['in a file without a name', { cacheMemory: 0 }],
])('a run that has taken a store over, and works on it %s,', (_, more) => {
  test('does not mind what becomes of the file', async () => {
    const { cacheDir, file } = await keep();
    const whole = readFileSync(file);
    const damages = [
      () => truncateSync(file, 4096),
      () => writeFileSync(file, Buffer.alloc(whole.length, 0xff)),
      () => truncateSync(file, 0),
      () => unlinkSync(file),
    ];
    const epochs = damages.length + 2;
    const student = path.join(newFolder(), 'student.pth');
    const lines: number[][] = [];
    const ended = await runChild(
      `import { once } from 'node:events';
       const run = distill(input).on('prepare', ({ done, total }) => console.log(JSON.stringify([done, total])));
       for await (const { trainLoss, trainAccuracy, valLoss, valAccuracy } of run) {
         console.log(JSON.stringify([trainLoss, trainAccuracy, valLoss, valAccuracy]));
       }`,
      {
        input: { ...base, ...more, cacheDir, student, epochs },
        onLine: (line) => {
          lines.push(JSON.parse(line));
          // From the moment it was taken over.
          damages.shift()?.();
        },
      },
    );
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    expect(damages).toEqual([]);
    const [prepared, ...numbers] = lines;
    expect(prepared).toEqual([18, 18]);
    expect(numbers).toEqual(await epochsOf({ ...base, epochs }));
  });

  test('makes one in the same way, and takes it over, with the same numbers', async () => {
    const cacheDir = newFolder();
    for (let i = 0; i < 2; i++) {
      expect(await epochsOf({ ...base, ...more, cacheDir })).toEqual(expected);
      expect(filesIn(cacheDir)).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.store$/)]);
    }
  });
});

test('a store cut short while it is being made is whole in the end', async () => {
  const cacheDir = newFolder();
  const run = distill({ ...base, cacheDir }).on('prepare', () => {
    for (const name of filesIn(cacheDir)) {
      if (name.endsWith('.part')) truncateSync(path.join(cacheDir, name), 0);
    }
  });
  const { store } = await run;
  const once = readFileSync(store as string);
  expect(await epochsOf({ ...base, cacheDir })).toEqual(expected);
  expect(readFileSync(store as string).equals(once)).toBe(true);
});
