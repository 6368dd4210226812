import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type DistillOptions,
  type DistillResult,
  distill,
  type PrepareProgress,
} from '../../../lib/index.js';
import { canMount, runChild, withDisk } from '../../helpers/child.js';
import {
  filesIn,
  smallRun,
  temporaryFolder,
  writePicture,
  writeTeacher,
} from '../../helpers/dataset.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
/** The epochs' numbers of a run that keeps its pictures in memory. */
let expected: number[][];

beforeAll(async () => {
  process.env.DISTILL_CACHE = path.join(folder, 'cache');
  base = await smallRun(folder);
  expected = (await observe(base)).epochs;
});

let count = 0;
const newFolder = () => path.join(folder, `stores-${count++}`);

/** A run's result with what it did: the work of preparing, and each epoch's numbers. */
async function observe(options: DistillOptions) {
  const prepared: PrepareProgress[] = [];
  const epochs: number[][] = [];
  const result: DistillResult = await distill(options)
    .on('prepare', (progress) => prepared.push(progress))
    .on('warning', () => {})
    .on('epoch', ({ trainLoss, trainAccuracy, valLoss, valAccuracy }) =>
      epochs.push([trainLoss, trainAccuracy, valLoss, valAccuracy]),
    );
  // With a store that is taken over, all is done at once.
  return { result, epochs, reused: prepared.length === 1 };
}

describe('without cacheDir', () => {
  test('pictures are kept in memory, and no file is made', async () => {
    const { result, reused } = await observe(base);
    expect({ store: result.store, reused }).toEqual({ store: null, reused: false });
    expect(existsSync(path.join(folder, 'cache'))).toBe(false);
  });

  test('beyond cacheMemory they are in a file without a name, with the same numbers', async () => {
    const stores = path.join(folder, 'cache/stores');
    const seen: string[][] = [];
    const epochs: number[][] = [];
    const run = distill({ ...base, cacheMemory: 0 })
      .on('prepare', () => seen.push(filesIn(stores)))
      .on('epoch', ({ trainLoss, trainAccuracy, valLoss, valAccuracy }) => {
        seen.push(filesIn(stores));
        epochs.push([trainLoss, trainAccuracy, valLoss, valAccuracy]);
      });
    expect((await run).store).toBeNull();
    // The folder is there, so a file was wanted; and it has had no name from the first.
    expect(existsSync(stores)).toBe(true);
    expect(seen).toEqual([[], [], [], []]);
    expect(epochs).toEqual(expected);
  });
});

describe('a kept store', () => {
  test('is another one for another precision: the teacher answers otherwise', async () => {
    const cacheDir = newFolder();
    const stores = [];
    for (const precision of ['fp32', 'bf16', 'fp32'] as const) {
      stores.push(await observe({ ...base, cacheDir, precision }));
    }
    expect(stores.map(({ reused }) => reused)).toEqual([false, false, true]);
    expect(new Set(stores.map(({ result }) => result.store)).size).toBe(2);
  });

  test('gives the same numbers as memory, when it is made and when it is taken over', async () => {
    const cacheDir = newFolder();
    const first = await observe({ ...base, cacheDir });
    const file = first.result.store as string;
    expect(path.dirname(file)).toBe(cacheDir);
    expect(filesIn(cacheDir)).toEqual([path.basename(file)]);
    const { ino, mtimeMs } = statSync(file);

    const second = await observe({ ...base, cacheDir });
    expect([first.reused, second.reused]).toEqual([false, true]);
    expect(first.epochs).toEqual(expected);
    expect(second.epochs).toEqual(expected);
    expect(second.result).toMatchObject({
      store: file,
      images: first.result.images,
      imagesPerSecond: { prepare: 0 },
    });
    // Read, not written.
    expect(statSync(file)).toMatchObject({ ino, mtimeMs });
  });

  test('serves every option that does not change what is prepared', async () => {
    const cacheDir = newFolder();
    await observe({ ...base, cacheDir });
    for (const other of [
      { temperature: 5, alpha: 0.1, lr: 1e-3, dropRate: 0 },
      { batchSize: 3, seed: 9, shuffle: false, epochs: 1 },
    ]) {
      const { reused, epochs } = await observe({ ...base, ...other, cacheDir });
      expect(reused).toBe(true);
      expect(epochs).toEqual((await observe({ ...base, ...other })).epochs);
    }
  });

  describe('is not taken over', () => {
    const dataset = path.join(folder, 'changing');
    const cacheDir = newFolder();
    beforeAll(async () => {
      cpSync(base.dataset, dataset, { recursive: true, preserveTimestamps: true });
      await observe({ ...base, dataset, cacheDir });
    });

    test.each<[string, () => Partial<DistillOptions> | Promise<Partial<DistillOptions>>]>([
      ['with another mean', () => ({ mean: [0.4, 0.5, 0.6] })],
      ['with another std', () => ({ std: [0.2, 0.2, 0.2] })],
      ['with another image size', () => ({ imageSize: 33 })],
      [
        'with another teacher',
        async () => ({ teacher: await writeTeacher(path.join(folder, 'other.pth'), { seed: 2 }) }),
      ],
      [
        'after a picture has a new time',
        () => {
          utimesSync(path.join(dataset, 'val/bees/1.png'), 1e9, 1e9);
          return {};
        },
      ],
      [
        'after a picture has other contents',
        async () => {
          await writePicture(path.join(dataset, 'train/bees/1.png'), 999, { size: 40 });
          return {};
        },
      ],
      [
        'after a picture came',
        async () => {
          await writePicture(path.join(dataset, 'train/bees/new.png'), 1000);
          return {};
        },
      ],
      [
        'after a class got another name',
        () => {
          for (const split of ['train', 'val']) {
            renameSync(path.join(dataset, split, 'bees'), path.join(dataset, split, 'wasps'));
          }
          return {};
        },
      ],
    ])('%s', async (_, change) => {
      const kept = filesIn(cacheDir);
      const { reused, result } = await observe({ ...base, dataset, cacheDir, ...(await change()) });
      expect(reused).toBe(false);
      // It has a store of its own beside those that are there.
      expect(filesIn(cacheDir)).toEqual([...kept, path.basename(result.store as string)].sort());
    });
  });

  test('knows what was passed over when it was made', async () => {
    const dataset = path.join(folder, 'damaged');
    cpSync(base.dataset, dataset, { recursive: true });
    const damaged = path.join(dataset, 'train/ants/1.png');
    writeFileSync(damaged, readFileSync(damaged).subarray(0, 400));
    const options = { ...base, dataset, cacheDir: newFolder(), onBadImage: 'skip' as const };
    const first = await observe(options);
    const second = await observe(options);
    expect([first.reused, second.reused]).toEqual([false, true]);
    expect(second.epochs).toEqual(first.epochs);
    for (const { result } of [first, second]) {
      expect(result).toMatchObject({ skipped: [damaged], images: { train: 10, val: 7 } });
    }
  });

  describe('is made anew', () => {
    const cacheDir = newFolder();
    let file: string;
    let whole: Buffer;
    beforeAll(async () => {
      file = (await observe({ ...base, cacheDir })).result.store as string;
      whole = readFileSync(file);
    });

    const invert = (at: number) => (bytes: Buffer) => {
      for (let i = at; i < at + 4; i++) bytes[i] = 255 - (bytes[i] as number);
      return bytes;
    };
    // After the first page and the pages of eleven pictures.
    const labels = 4096 + Math.ceil((11 * 32 * 32 * 3) / 4096) * 4096;

    test.each<[string, (bytes: Buffer) => Buffer]>([
      ['when it is empty', () => Buffer.of()],
      ['when its last byte is missing', (bytes) => bytes.subarray(0, -1)],
      ['when it ends in its header', (bytes) => bytes.subarray(0, 40)],
      ['when it has grown', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
      ['with another magic number', invert(0)],
      ['of another byte order', invert(8)],
      ['when it was not finished', (bytes) => bytes.fill(0, 12, 16)],
      ['of another shape', invert(16)],
      ['with a number of pictures that it cannot hold', invert(48)],
      ['with another fingerprint', invert(64)],
      ['with labels of no class', invert(labels)],
    ])('%s', async (_, damage) => {
      writeFileSync(file, damage(Buffer.from(whole)));
      const again = await observe({ ...base, cacheDir });
      expect(again.reused).toBe(false);
      expect(again.epochs).toEqual(expected);
      expect(readFileSync(file).equals(whole)).toBe(true);
      expect(filesIn(cacheDir)).toEqual([path.basename(file)]);
    });
  });

  test('is only there when it is whole', async () => {
    const cacheDir = newFolder();
    const failing: Partial<DistillOptions>[] = [
      { signal: AbortSignal.abort() },
      { dataset: path.join(folder, 'bad') },
    ];
    cpSync(base.dataset, path.join(folder, 'bad'), { recursive: true });
    writeFileSync(path.join(folder, 'bad/val/bees/1.png'), 'no picture');
    for (const more of failing) {
      await expect(observe({ ...base, ...more, cacheDir })).rejects.toThrow();
      expect(filesIn(cacheDir)).toEqual([]);
    }
    const run = distill({ ...base, cacheDir });
    run.on('prepare', () => run.stop());
    expect((await run).stopReason).toBe('stopped');
    expect(filesIn(cacheDir).filter((name) => !name.endsWith('.store'))).toEqual([]);
  });

  test('that a killed run has left unfinished is swept away by the next', async () => {
    const cacheDir = newFolder();
    const killed = await runChild(
      "distill(input).on('prepare', () => process.kill(process.pid, 'SIGKILL'));",
      { input: { ...base, cacheDir } },
    );
    expect(killed.signal).toBe('SIGKILL');
    expect(filesIn(cacheDir)).toEqual([expect.stringMatching(/\.part$/)]);

    const { reused, epochs } = await observe({ ...base, cacheDir });
    expect(reused).toBe(false);
    expect(epochs).toEqual(expected);
    expect(filesIn(cacheDir)).toEqual([expect.stringMatching(/\.store$/)]);
  });

  test('may be made by several runs and processes at once', async () => {
    const cacheDir = newFolder();
    mkdirSync(path.join(folder, 'out-several'), { recursive: true });
    const options = [0, 1, 2].map((i) => ({
      ...base,
      cacheDir,
      student: path.join(folder, 'out-several', `${i}.pth`),
    }));
    const [here, too, child] = await Promise.all([
      observe(options[0] as DistillOptions),
      observe(options[1] as DistillOptions),
      runChild(
        `for await (const { trainLoss, trainAccuracy, valLoss, valAccuracy } of distill(input)) {
          console.log(JSON.stringify([trainLoss, trainAccuracy, valLoss, valAccuracy]));
        }`,
        { input: options[2] },
      ),
    ]);
    expect(here.epochs).toEqual(expected);
    expect(too.epochs).toEqual(expected);
    expect(child).toMatchObject({ code: 0, stderr: '' });
    expect(
      child.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(expected);
    expect(filesIn(cacheDir)).toEqual([expect.stringMatching(/\.store$/)]);
  });
});

test('a cacheDir that cannot be a folder is refused, and named', async () => {
  const cacheDir = path.join(folder, 'a-file');
  writeFileSync(cacheDir, '');
  for (const impossible of [cacheDir, path.join(cacheDir, 'in-it')]) {
    await expect(distill({ ...base, cacheDir: impossible })).rejects.toMatchObject({
      name: 'DistillError',
      code: 'ERR_CACHE',
      message: expect.stringMatching(/a-file.*cacheDir/),
    });
  }
});

describe.runIf(canMount)('a disk that is too small', () => {
  const disk = path.join(folder, 'disk');
  beforeAll(() => mkdirSync(disk));
  const failing = `
    import { readdirSync } from 'node:fs';
    const error = await distill(input.options).catch((error) => error);
    const { name, code, message } = error;
    console.log(JSON.stringify({ name, code, message, files: readdirSync(input.disk) }));`;

  test.each([
    ['cacheDir', { cacheDir: disk }, disk],
    ['the temporary folder', { cacheMemory: 0 }, path.join(disk, 'stores')],
  ])('for %s ends the run before anything is prepared', async (_, more, named) => {
    const ended = await runChild(failing, {
      input: { disk, options: { ...base, ...more } },
      // Less than the 90 KiB that eighteen small pictures need.
      command: withDisk(disk, 'size=64k'),
      env: { DISTILL_CACHE: disk },
    });
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    const { files, ...error } = JSON.parse(ended.stdout);
    expect(error).toMatchObject({ name: 'DistillError', code: 'ERR_CACHE' });
    expect(error.message).toContain(`'${named}'`);
    expect(error.message).toMatch(/No space left on device.*cacheDir.*cacheMemory/);
    expect(files.filter((name: string) => name !== 'stores')).toEqual([]);
  });
});
