import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { decodeBatches } from '../../lib/data/decode.js';
import { scanImages } from '../../lib/data/images.js';
import { type DistillWarning, distill, type Prediction, predict } from '../../lib/index.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { filesIn, smallRun, temporaryFolder, writeStudent } from '../helpers/dataset.js';
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

/** Probabilities do not depend on which pictures go together, but for rounding. */
function expectClose(found: Prediction[], expected: Prediction[]) {
  expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
  for (const [i, { probability }] of found.entries()) {
    expect(probability).toBeCloseTo(expected[i]?.probability as number, 5);
  }
}

describe('pictures', () => {
  const given = () => ({ student: plain, labels, ...preprocessing });

  test('are classified as their logits say', async () => {
    const classifier = new (loadAddon().Classifier)({
      averaged: false,
      ...preprocessing,
      model: plain,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await classifier.load();
    let logits = new Float32Array();
    for await (const { pixels } of decodeBatches(files, {
      preprocessing: centerCropOf(32),
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
    // The call that was stopped has ended in good order: the next one works.
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
  const unread = ['ants/a.gif', 'ants/b.GIF', 'bees/c.ico'].map((name) => path.join(mixed, name));
  for (const file of [...unread, path.join(mixed, 'bees/notes.txt')]) writeFileSync(file, '');
  const warnings: DistillWarning[] = [];
  const onWarning = (warning: DistillWarning) => warnings.push(warning);
  const predictions = await collect({ student: base.student, images: mixed, onWarning });
  expect(predictions).toHaveLength(files.length);
  expect(warnings).toEqual([
    {
      code: 'WARN_FILES_IGNORED',
      path: unread[0],
      message: `3 files that look like a picture (.gif, .ico; the first is ${unread[0]}) are passed over: convert to JPEG or PNG what is to count.`,
    },
  ]);

  for (const file of filesIn(path.join(mixed, 'ants'))) {
    if (file.endsWith('.png')) rmSync(path.join(mixed, 'ants', file));
  }
  await expect(
    collect({ student: base.student, images: path.join(mixed, 'ants') }),
  ).rejects.toMatchObject({
    code: 'ERR_IMAGES_NOT_FOUND',
    message: expect.stringMatching(/it has none\. 2 files that look like a picture \(\.gif; /),
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
