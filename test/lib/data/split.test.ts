import { copyFileSync, cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { datasetFolders } from '../../../lib/checks.js';
import { scanDataset } from '../../../lib/data/dataset.js';
import { relativePath } from '../../../lib/data/samples.js';
import {
  type DistillOptions,
  distill,
  doctor,
  inspect,
  sweep,
  teach,
  teacherLogits,
} from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { numbersOf, refusalOf } from '../../helpers/results.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
  mkdirSync(root);
});

function files(...names: string[]): void {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), 'x');
  }
}
const many = (folder: string, number: number, first = 0) =>
  files(...Array.from({ length: number }, (_, i) => `${folder}/${first + i}.jpg`));

type Given = Partial<Parameters<typeof datasetFolders>[0]>;
const split = (given: Given) => scanDataset(datasetFolders({ splitSeed: 0, ...given }));

/** The pictures' paths from the root, of both halves. */
async function halves(given: Given) {
  const { train, val } = await split({ valSplit: 0.2, ...given });
  const pathsOf = (half: typeof train) => half.samples.map((sample) => relativePath(half, sample));
  return { train: pathsOf(train), val: pathsOf(val) };
}

describe('valSplit', () => {
  test('takes the share of each class, in the order of a folder', async () => {
    many('ants', 50);
    many('bees', 24);
    many('wasps', 2);
    const { classes, train, val } = await split({ dataset: root, valSplit: 0.2 });
    expect(classes).toEqual(['ants', 'bees', 'wasps']);
    const countsOf = (half: typeof train) =>
      [0, 1, 2].map((label) => half.samples.filter((sample) => sample.label === label).length);
    expect(countsOf(val)).toEqual([10, 5, 1]);
    expect(countsOf(train)).toEqual([40, 19, 1]);
    const all = await halves({ dataset: root });
    expect([...all.train].sort()).toEqual(all.train.toSorted());
    expect(new Set([...all.train, ...all.val]).size).toBe(76);
  });

  test('gives the same pictures always: these', async () => {
    many('ants', 10);
    many('bees', 10);
    expect((await halves({ dataset: root })).val).toMatchInlineSnapshot(`
      [
        "ants/6.jpg",
        "ants/7.jpg",
        "bees/3.jpg",
        "bees/7.jpg",
      ]
    `);
    const other = await halves({ dataset: root, splitSeed: 1 });
    expect(other.val).not.toEqual((await halves({ dataset: root })).val);
  });

  test('depends on names alone: neither on the place nor on train/ around it', async () => {
    many('a/ants', 20);
    many('a/bees', 20);
    cpSync(path.join(root, 'a'), path.join(root, 'b/train'), { recursive: true });
    const there = await halves({ dataset: path.join(root, 'a') });
    expect(await halves({ dataset: path.join(root, 'b') })).toEqual(there);
    expect(await halves({ train: path.join(root, 'b/train') })).toEqual(there);
  });

  test('moves few pictures where some are added', async () => {
    many('ants', 100);
    many('bees', 100);
    const before = new Set((await halves({ dataset: root })).val);
    many('ants', 10, 100);
    const after = new Set((await halves({ dataset: root })).val);
    const left = [...before].filter((name) => !after.has(name));
    expect(left.length).toBeLessThanOrEqual(10);
    expect([...after].filter((name) => name.startsWith('bees'))).toEqual(
      [...before].filter((name) => name.startsWith('bees')),
    );
  });

  test('keeps a test/ beside train/ out, and knows a class that is called train', async () => {
    many('whole/train/ants', 5);
    many('whole/train/bees', 5);
    many('whole/test/ants', 5);
    expect((await halves({ dataset: path.join(root, 'whole') })).train.length).toBe(8);
    many('vehicles/car', 5);
    many('vehicles/train', 5);
    expect((await split({ dataset: path.join(root, 'vehicles'), valSplit: 0.2 })).classes).toEqual([
      'car',
      'train',
    ]);
  });

  test.each([
    [['train', 'val'], 'leave `valSplit` out.'],
    [['train', 'valid'], 'leave `valSplit` out, and give `train` and `val` instead of `dataset`.'],
    [['Training'], 'give the folder to split as `train` instead of `dataset`.'],
    [['Train', 'test'], 'give the folder to split as `train` instead of `dataset`.'],
  ])('is refused for a dataset of %s', async (names, remedy) => {
    for (const name of names) many(`${name}/ants`, 2);
    const refusal = await refusalOf(split({ dataset: root, valSplit: 0.2 }));
    expect(refusal.code).toBe('ERR_OPTION');
    expect(refusal.message.endsWith(remedy)).toBe(true);
  });

  test('is refused where a class cannot be split', async () => {
    many('ants', 3);
    many('bees', 1);
    expect(await refusalOf(split({ dataset: root, valSplit: 0.5 }))).toMatchObject({
      code: 'ERR_DATASET_EMPTY_CLASS',
      message: `Expected two pictures or more in every class of ${root}, to train and to validate with (\`valSplit\`), but "bees" has one. Add some or remove the class.`,
    });
  });

  test('is refused beside `val`, and `train` alone without it', async () => {
    expect(() => datasetFolders({ train: 'a', val: 'b', valSplit: 0.1, splitSeed: 0 })).toThrow(
      'Expected either `val` or `valSplit`',
    );
    expect(() => datasetFolders({ train: 'a', splitSeed: 0 })).toThrow('or `train` and `valSplit`');
  });
});

describe('every call', () => {
  /** A run whose dataset has both halves in one folder. */
  async function unsplitRun() {
    const options = await smallRun(root);
    const dataset = path.join(root, 'unsplit');
    for (const half of ['train', 'val']) {
      for (const name of ['ants', 'bees']) {
        mkdirSync(path.join(dataset, name), { recursive: true });
        for (let i = 0; i < (half === 'train' ? 5 : 3); i++) {
          copyFileSync(
            path.join(options.dataset, half, name, `${i}.png`),
            path.join(dataset, name, `${half}${i}.png`),
          );
        }
      }
    }
    return { ...options, dataset };
  }

  /** Trains a student; returns the numbers of its epochs. */
  async function train(options: DistillOptions) {
    const epochs: unknown[] = [];
    const result = await distill(options).on('epoch', (report) => epochs.push(numbersOf(report)));
    return { result, epochs };
  }

  test('splits alike, and a student remembers how', async () => {
    const { teacher, dataset, ...rest } = { ...(await unsplitRun()), valSplit: 0.25 };
    const { mean, std, imageSize, device, threads } = rest;
    const run = await train({ ...rest, teacher, dataset });
    expect(run.result.images).toEqual({ train: 12, val: 4 });
    const recorded = (await inspect(rest.student)).metadata?.options;
    expect(recorded).toMatchObject({ valSplit: 0.25 });
    expect(recorded).not.toHaveProperty('splitSeed');

    const output = path.join(root, 'l.safetensors');
    await teacherLogits({
      teacher,
      dataset,
      mean,
      std,
      imageSize,
      device,
      threads,
      output,
      valSplit: 0.25,
    });
    const { epochs } = await train({ ...rest, teacherLogits: output, dataset });
    expect(epochs).toEqual(run.epochs);

    const seeds = [3];
    const { student, seed, ...swept } = rest;
    const points = await sweep({ ...swept, teacher, dataset, seeds, epochs: 1 });
    expect(points.images).toEqual({ train: 12, val: 4 });
    const taught = await teach({
      dataset,
      mean,
      std,
      imageSize,
      device,
      threads,
      valSplit: 0.25,
      splitSeed: 7,
      teacher: path.join(root, 't.pth'),
      epochs: 1,
      batchSize: 4,
    });
    expect(taught.images).toEqual({ train: 12, val: 4 });
    const remembered = (await inspect(path.join(root, 't.pth'))).metadata?.options;
    expect(remembered).toMatchObject({ valSplit: 0.25, splitSeed: 7 });
    const { findings } = await doctor({ ...rest, teacher, dataset, student: undefined });
    expect(findings.find(({ check }) => check === 'counts')?.message).toBe(
      '12 training pictures and 4 validation pictures of 2 classes.',
    );
    expect(findings.filter(({ status }) => status === 'problem')).toEqual([]);
  });

  test('gives the numbers of the same pictures in two folders', async () => {
    const options = await unsplitRun();
    const { val } = await split({ dataset: options.dataset, valSplit: 0.25 });
    const { epochs } = await train({ ...options, valSplit: 0.25 });
    for (const { path: file } of val.samples) {
      const to = file.replace('/unsplit/', '/unsplit/val/');
      mkdirSync(path.dirname(to), { recursive: true });
      renameSync(file, to);
    }
    const { dataset, ...rest } = options;
    const folder = path.join(root, 'train');
    for (const name of ['ants', 'bees']) {
      cpSync(path.join(dataset, name), path.join(folder, name), { recursive: true });
      rmSync(path.join(dataset, name), { recursive: true });
    }
    const apart = await train({ ...rest, train: folder, val: path.join(dataset, 'val') });
    expect(apart.epochs).toEqual(epochs);
  });

  test('on the command line, where doctor says a lost folder once', async () => {
    many('photos/ants', 1);
    many('photos/bees', 3);
    const dataset = path.join(root, 'photos');
    const { stdout } = await runCommand(['doctor', dataset, '--val-split', '0.2', '--json']);
    const problems = stdout
      .split('\n')
      .filter((line) => line.includes('ERR_DATASET') && line.includes('"finding"'));
    expect(problems.length).toBe(1);
    expect(problems[0]).toContain('--val-split');
  });
});
