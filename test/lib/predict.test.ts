import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { scanPictures } from '../../lib/data/dataset.js';
import { decodeBatches } from '../../lib/data/decode.js';
import {
  type DistillWarning,
  distill,
  type Prediction,
  type PredictOptions,
  predict,
} from '../../lib/index.js';
import { loadAddon } from '../../lib/native.js';
import { runChild } from '../helpers/child.js';
import { filesIn, smallRun, std, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { refusalOf } from '../helpers/outcome.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
/** 7 pictures in two folders. */
let images: string;
let files: string[];
/** A student without metadata that knows four classes. */
let plain: string;
const preprocessing = { mean: [0.5, 0.4, 0.6], std, imageSize: 32 } as const;
const labels = ['ants', 'bees', 'cicadas', 'damselflies'];

beforeAll(async () => {
  base = await smallRun(folder);
  await distill(base);
  images = path.join(base.dataset, 'val');
  files = await scanPictures(images);
  plain = await writeStudent(path.join(folder, 'plain.pth'), { classes: 4, seed: 3 });
});

async function collect(options: Omit<PredictOptions, 'device' | 'threads'>): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for await (const one of predict({ ...options, device: 'cpu', threads: 1 })) predictions.push(one);
  return predictions;
}

/** Probabilities do not depend on which pictures go together, but for rounding. */
function expectClose(found: Prediction[], expected: Prediction[]) {
  expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
  for (const [i, { probability }] of found.entries()) {
    expect(probability).toBeCloseTo(expected[i]?.probability as number, 5);
  }
}

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

describe('pictures', () => {
  const given = () => ({ student: plain, labels, ...preprocessing });

  test('are classified as their logits say', async () => {
    const classifier = new (loadAddon().Classifier)({
      ...preprocessing,
      model: plain,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await classifier.load();
    let logits = new Float32Array();
    for await (const { pixels } of decodeBatches(files, {
      preprocessing: { imageSize: 32 },
      batchSize: 32,
    })) {
      logits = Float32Array.from(await classifier.logits(pixels));
    }
    await classifier.close();

    const predictions = await collect({ ...given(), images });
    expect(predictions).toHaveLength(7);
    for (const [i, { top }] of predictions.entries()) {
      const row = Array.from(logits.subarray(4 * i, 4 * i + 4), Math.exp);
      const sum = row.reduce((total, value) => total + value);
      const ranked = row
        .map((value, index) => ({ index, probability: value / sum }))
        .sort((a, b) => b.probability - a.probability);
      expect(top.map(({ index }) => index)).toEqual(ranked.map(({ index }) => index));
      for (const [rank, { label, index, probability }] of top.entries()) {
        expect(label).toBe(labels[index]);
        expect(probability).toBeCloseTo(ranked[rank]?.probability as number, 5);
      }
    }
  });

  test('may be files, folders, bytes, and lists of these, whose order is kept', async () => {
    const [first = '', second = ''] = files;
    const all = await collect({ ...given(), images });
    const bytes = readFileSync(second);
    const mixed = await collect({
      ...given(),
      images: [bytes, path.join(images, 'bees'), first, new Uint8Array(bytes), images],
    });
    expect(mixed.map(({ source }) => source)).toEqual([0, 1, 1, 1, 2, 3, ...files.map(() => 4)]);
    expect(mixed.map((prediction) => prediction.path)).toEqual([
      null,
      ...files.slice(4),
      first,
      null,
      ...files,
    ]);
    const expected = [all[1], ...all.slice(4), all[0], all[1], ...all] as Prediction[];
    expectClose(mixed, expected);
    expectClose(await collect({ ...given(), images: second }), all.slice(1, 2));
    expectClose(await collect({ ...given(), images: bytes }), all.slice(1, 2));
  });

  test.each([1, 3, 7, 100])('go through the student %i at a time', async (batchSize) => {
    const expected = await collect({ ...given(), images });
    expectClose(await collect({ ...given(), images, batchSize }), expected);
  });

  test.each([
    [1, 1],
    [3, 3],
    [9, 4],
  ])('get the %i most probable classes, of which there are %i', async (topK, classes) => {
    const all = await collect({ ...given(), images });
    for (const [i, { top }] of (await collect({ ...given(), images, topK })).entries()) {
      expect(top).toEqual(all[i]?.top.slice(0, classes));
      expect(top).toHaveLength(classes);
    }
  });

  test('are answered one by one, and not further than they are asked for', async () => {
    const many = Array.from({ length: 300 }, (_, i) => files[i % files.length] as string);
    const seen: string[] = [];
    for await (const { path: file } of predict({ ...given(), images: many, batchSize: 2 })) {
      seen.push(file as string);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(many.slice(0, 3));
    // What was begun has been put down in good order: the next works.
    expect(await collect({ ...given(), images })).toHaveLength(7);
  });

  test('are looked at until the signal is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const seen: unknown[] = [];
    const iterate = async () => {
      const options = { ...given(), images, batchSize: 1, signal: controller.signal };
      for await (const prediction of predict(options)) {
        seen.push(prediction);
        controller.abort(reason);
      }
    };
    const aborted = { code: 'ERR_ABORTED', name: 'AbortError', cause: reason };
    await expect(iterate()).rejects.toMatchObject(aborted);
    expect(seen).toHaveLength(1);
    const already = { ...given(), images, signal: AbortSignal.abort(reason) };
    await expect(collect(already)).rejects.toMatchObject(aborted);
    expect(await refusalOf(predict(already))).toMatchObject(aborted);
  });

  test('of a batch that is answered are not told once the signal is aborted', async () => {
    const controller = new AbortController();
    const seen: unknown[] = [];
    const iterate = async () => {
      for await (const one of predict({ ...given(), images, signal: controller.signal })) {
        seen.push(one);
        controller.abort();
        if (seen.length === 3) break;
      }
    };
    expect(await refusalOf(iterate())).toMatchObject({ code: 'ERR_ABORTED' });
    expect(seen).toHaveLength(1);
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
      message: `'${plain}' carries no ${message} as options.`,
    });
    const { mean, std } = preprocessing;
    const given = { student: plain, images };
    await expect(collect(given)).rejects.toMatchObject(refused('labels, mean, std; pass them'));
    await expect(collect({ ...given, labels, mean })).rejects.toMatchObject(
      refused('std; pass it'),
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

describe('a picture that does not decode', () => {
  let damaged: string;
  let some: string;
  const given = () => ({ student: base.student, images: some });
  beforeAll(() => {
    some = path.join(folder, 'some');
    cpSync(images, some, { recursive: true });
    damaged = path.join(some, 'ants/2.png');
    writeFileSync(damaged, readFileSync(damaged).subarray(0, 400));
  });

  test('ends the iteration, after the pictures before its batch', async () => {
    const seen: (string | null)[] = [];
    const iterate = async () => {
      for await (const { path: file } of predict({ ...given(), batchSize: 2 })) seen.push(file);
    };
    await expect(iterate()).rejects.toMatchObject({
      name: 'DistillError',
      code: 'ERR_BAD_IMAGE',
      message: expect.stringContaining(damaged),
    });
    expect(seen.map((file) => path.relative(some, file as string))).toEqual([
      'ants/0.png',
      'ants/1.png',
    ]);
  });

  test('is passed over with a warning where that is asked for', async () => {
    const warnings: DistillWarning[] = [];
    const predictions = await collect({
      ...given(),
      onBadImage: 'skip',
      onWarning: (warning) => warnings.push(warning),
    });
    expect(predictions.map(({ path: file }) => path.relative(some, file as string))).toEqual(
      ['ants/0', 'ants/1', 'ants/3', 'bees/0', 'bees/1', 'bees/2'].map((name) => `${name}.png`),
    );
    expect(warnings).toEqual([
      { code: 'WARN_IMAGE_SKIPPED', message: expect.stringContaining(damaged), path: damaged },
    ]);
  });

  test('warns through the process where nobody listens, and bytes have no path', async () => {
    const warned = new Promise<Error & { code?: string }>((resolve) =>
      process.once('warning', resolve),
    );
    const bytes = readFileSync(damaged);
    const good = readFileSync(files[0] as string);
    const predictions = await collect({
      ...given(),
      images: [images, bytes, good],
      onBadImage: 'skip',
    });
    expect(predictions.map(({ source }) => source)).toEqual([...files.map(() => 0), 2]);
    expect(await warned).toMatchObject({
      name: 'DistillWarning',
      code: 'WARN_IMAGE_SKIPPED',
      message: expect.stringContaining('images[1]'),
    });
  });
});

test('files that look like pictures and are passed over are told of once, with their number', async () => {
  const mixed = path.join(folder, 'mixed');
  cpSync(images, mixed, { recursive: true });
  const heic = ['ants/a.heic', 'ants/b.HEIC', 'bees/c.avif'].map((name) => path.join(mixed, name));
  for (const file of [...heic, path.join(mixed, 'bees/notes.txt')]) writeFileSync(file, '');
  const warnings: DistillWarning[] = [];
  const onWarning = (warning: DistillWarning) => warnings.push(warning);
  const predictions = await collect({ student: base.student, images: mixed, onWarning });
  expect(predictions).toHaveLength(files.length);
  expect(warnings).toEqual([
    {
      code: 'WARN_FILES_IGNORED',
      path: heic[0],
      message: `3 files that look like a picture (.avif, .heic; the first is ${heic[0]}) are passed over: convert to JPEG or PNG what is to count.`,
    },
  ]);

  for (const file of filesIn(path.join(mixed, 'ants'))) {
    if (file.endsWith('.png')) rmSync(path.join(mixed, 'ants', file));
  }
  await expect(
    collect({ student: base.student, images: path.join(mixed, 'ants') }),
  ).rejects.toMatchObject({
    code: 'ERR_IMAGES_NOT_FOUND',
    message: expect.stringMatching(/it has none\. 2 files that look like a picture \(\.heic; /),
  });
});

test('pictures that are not there are refused by name', async () => {
  const empty = path.join(folder, 'empty');
  mkdirSync(empty);
  for (const nothing of [empty, path.join(folder, 'nowhere')]) {
    await expect(
      collect({ student: base.student, images: [images, nothing] }),
    ).rejects.toMatchObject({
      name: 'DistillError',
      code: 'ERR_IMAGES_NOT_FOUND',
      message: expect.stringContaining(nothing),
    });
  }
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
