import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { scanImages } from '../../lib/data/images.js';
import { distill, type Prediction, predict } from '../../lib/index.js';
import { runChild } from '../helpers/child.js';
import { smallRun, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { collect, labels, preprocessing } from '../helpers/predict.js';
import { refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
/** 7 pictures in two folders. */
let images: string;
let files: string[];
/** A student without metadata that knows four classes. */
let plain: string;

beforeAll(async () => {
  base = await smallRun(folder);
  await distill(base);
  images = path.join(base.dataset, 'val');
  files = (await scanImages(images)).files as string[];
  plain = await writeStudent(path.join(folder, 'plain.pth'), { classes: 4, seed: 3 });
});

describe('a student that distill() wrote', () => {
  test('names each picture’s class without being told anything else', async () => {
    const predictions = await collect({ student: base.student, images });
    expect(predictions.map((prediction) => prediction.path)).toEqual(files);
    for (const { label, index, probability, top } of predictions) {
      expect(['ants', 'bees'][index]).toBe(label);
      expect(top[0]).toEqual({ label, index, probability });
      expect(top.map((candidate) => candidate.label).sort()).toEqual(['ants', 'bees']);
      expect(top.reduce((sum, candidate) => sum + candidate.probability, 0)).toBeCloseTo(1, 5);
    }
  });

  test('can be told other names, normalisation and size', async () => {
    const plainly = await collect({ student: base.student, images });
    const names = await collect({ student: base.student, images, labels: ['Ameise', 'Biene'] });
    expect(names.map(({ label }) => label)).toEqual(
      plainly.map(({ label }) => (label === 'ants' ? 'Ameise' : 'Biene')),
    );
    for (const other of [{ mean: [0, 0, 0] }, { std: [1, 1, 1] }, { imageSize: 64 }] as const) {
      const predictions = await collect({ student: base.student, images, ...other });
      expect(predictions[0]?.probability).not.toBe(plainly[0]?.probability);
    }
  });
});

describe('predictions', () => {
  const given = () => ({
    student: plain,
    labels,
    images,
    ...preprocessing,
    device: 'cpu',
    threads: 1,
  });

  test('come to all of them where they are awaited', async () => {
    const all = await collect(given());
    expect(await predict(given())).toEqual(all);
    // Written by mistake, it does the same.
    const found: Prediction[] = [];
    for await (const one of await predict(given())) found.push(one);
    expect(found).toEqual(all);
    const [first] = await predict({ ...given(), images: readFileSync(files[0] as string) });
    expect(first).toMatchObject({ label: all[0]?.label, path: null, source: 0 });
  });

  test('begin with the first use: one that nobody uses rejects nothing and does nothing', async () => {
    const { code, stdout, stderr } = await runChild(
      `const unused = predict({ student: 'none', images: 'none' });
       await new Promise((resolve) => setTimeout(resolve, 50));
       await unused.return();
       for await (const one of unused) console.log(one);
       console.log('ended');`,
    );
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'ended\n', stderr: '' });
  });

  test('are for one iteration, and for as many awaits as there are', async () => {
    const consumed = { name: 'DistillError', code: 'ERR_CONSUMED' };
    const iterate = async (all: AsyncIterable<Prediction>) => {
      for await (const _ of all) break;
    };
    const iterated = predict(given());
    await iterate(iterated);
    expect(await refusalOf(iterate(iterated))).toMatchObject(consumed);
    expect(await refusalOf(iterated)).toMatchObject(consumed);

    const awaited = predict(given());
    const all = await awaited;
    expect(await awaited).toBe(all);
    expect(await awaited.finally(() => {})).toBe(all);
    expect(await refusalOf(iterate(awaited))).toMatchObject(consumed);
  });

  test('are refused where they are awaited as where they are iterated', async () => {
    const wrong = { ...given(), images: path.join(folder, 'nowhere') };
    const { code, message } = await refusalOf(collect(wrong));
    expect(await refusalOf(predict(wrong))).toMatchObject({ code, message });
    expect(await predict(wrong).catch((error: unknown) => (error as { code: string }).code)).toBe(
      code,
    );
  });
});

describe('labels', () => {
  const given = () => ({ student: plain, images, ...preprocessing });

  test('come from a list or a file of `index name` lines', async () => {
    const file = path.join(folder, 'labels.txt');
    writeFileSync(file, '3 damselflies\n0 ants\n1 bees\n2 cicadas\n');
    expect(await collect({ ...given(), labels: file })).toEqual(
      await collect({ ...given(), labels }),
    );
  });

  test.each([
    ['too few', 3],
    ['too many', 5],
  ] as const)('that are %s are refused', async (_, count) => {
    const wrong = Array.from({ length: count }, (_, i) => `class ${i}`);
    await expect(collect({ ...given(), labels: wrong })).rejects.toMatchObject({
      name: 'DistillError',
      code: 'ERR_LABELS',
      message: `'${plain}' has 4 classes, but there are ${count} labels.`,
    });
    const file = path.join(folder, 'wrong-labels.txt');
    writeFileSync(file, wrong.map((name, i) => `${i} ${name}\n`).join(''));
    await expect(collect({ ...given(), labels: file })).rejects.toMatchObject({
      code: 'ERR_LABELS',
      message: expect.stringContaining(file),
    });
  });

  test('in a file that is missing or malformed are refused', async () => {
    const malformed = path.join(folder, 'malformed.txt');
    writeFileSync(malformed, '0 ants\nbees\n');
    for (const file of [malformed, path.join(folder, 'none.txt')]) {
      await expect(collect({ ...given(), labels: file })).rejects.toMatchObject({
        code: 'ERR_LABELS',
        message: expect.stringContaining(file),
      });
    }
  });
});

describe('a model', () => {
  test('whose file does not say what predicting needs: that is asked for', async () => {
    const refused = (message: string) => ({
      name: 'DistillError',
      code: 'ERR_NO_METADATA',
      message: `'${plain}' has no ${message}.`,
    });
    const { mean, std } = preprocessing;
    const given = { student: plain, images };
    await expect(collect(given)).rejects.toMatchObject(
      refused('labels, mean, std; pass them as options'),
    );
    await expect(collect({ ...given, labels, mean })).rejects.toMatchObject(
      refused('std; pass it as an option'),
    );
    // 224 pixels, where neither says otherwise.
    expect(await collect({ ...given, labels, mean, std, images: files.slice(0, 1) })).toHaveLength(
      1,
    );
  });

  test('may be a teacher', async () => {
    const predictions = await collect({
      student: base.teacher,
      images,
      labels: ['ants', 'bees'],
      ...preprocessing,
    });
    expect(predictions).toHaveLength(7);
    for (const { top } of predictions) {
      expect((top[0]?.probability ?? 0) + (top[1]?.probability ?? 0)).toBeCloseTo(1, 5);
    }
  });

  test.each([
    ['is missing', 'ERR_CHECKPOINT_NOT_FOUND', () => path.join(folder, 'none.pth')],
    ['is a folder', 'ERR_CHECKPOINT_FORMAT', () => folder],
    [
      'is cut short',
      'ERR_CHECKPOINT_CORRUPT',
      () => {
        const file = path.join(folder, 'short.pth');
        writeFileSync(file, readFileSync(base.student).subarray(0, -1000));
        return file;
      },
    ],
  ])('that %s is refused by name', async (_, code, make) => {
    const student = make();
    await expect(collect({ student, images })).rejects.toMatchObject({
      name: 'DistillError',
      code,
      message: expect.stringContaining(`'${student}'`),
    });
  });
});

test('a process may exit while predictions are under way', async () => {
  const ended = await runChild(
    `let seen = 0;
    const classify = async () => {
      for await (const _ of predict(input)) if (++seen === 20) setImmediate(() => process.exit(6));
    };
    await Promise.all([classify(), classify()]);`,
    {
      input: {
        // The larger network, so that it is at work when the process exits.
        student: base.teacher,
        labels: ['ants', 'bees'],
        ...preprocessing,
        batchSize: 4,
        device: 'cpu',
        images: Array.from({ length: 400 }, (_, i) => files[i % files.length]),
      },
    },
  );
  expect(ended).toEqual({ code: 6, signal: null, stdout: '', stderr: '' });
});
