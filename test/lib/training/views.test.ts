import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { type DistillOptions, distill, inspect } from '../../../lib/index.js';
import type { NativeAugmentation } from '../../../lib/native.js';
import { batchOf, storeOf, trainConfigOf } from '../../helpers/contract.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeStudent,
} from '../../helpers/dataset.js';
import { numbersOf } from '../../helpers/results.js';

// Augmented views of each picture, with the teacher's answers for exactly these pixels.

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

let count = 0;
function options<More extends Partial<DistillOptions>>(more: More = {} as More) {
  return { ...base, student: path.join(folder, 'out', `${count++}.pth`), ...more };
}

async function epochsOf(given: DistillOptions) {
  const epochs = [];
  for await (const epoch of distill(given).on('warning', () => {})) epochs.push(numbersOf(epoch));
  return epochs;
}

test('each epoch shows one view of each picture, in turn, with the teacher’s answer for its pixels', async () => {
  const [pictures, from, imageSize, views] = [6, 40, 32, 2];
  const augment: NativeAugmentation = { crop: 'resized', minScale: 0.3, flip: true };
  const pixels = Uint8Array.from(
    { length: pictures * from * from * 3 },
    (_, i) => ((i * i * 31 + i * 17) % 65521) >> 8,
  );
  const labels = Int32Array.from({ length: pictures }, (_, i) => i % 2);
  const sources = labels.map((_, i) => i);
  const student = await writeStudent(path.join(folder, 'initial.pth'));
  const execution = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
  const { Session, Classifier, augment: cut, gradients } = loadAddon();

  const session = new Session({ mean, std, imageSize, ...execution });
  await session.open();
  await session.loadTeacher(base.teacher, false);
  await session.createStore(
    storeOf({
      imageSize,
      classes: 2,
      trainCapacity: pictures,
      valCapacity: pictures,
      views,
      view: augment,
      place: 'memory',
      folder: '',
      fingerprint: '',
    }),
  );
  await session.append(batchOf({ split: 'train', pixels, size: from, labels, sources }));
  const val = pixels.subarray(0, pictures * imageSize * imageSize * 3);
  await session.append(batchOf({ split: 'val', pixels: val, labels, sources }));
  await session.sealStore();
  const losses: number[] = [];
  await session.train(
    trainConfigOf({
      // All pictures in one step that changes nothing.
      epochs: 3,
      lr: 1e-30,
      dropRate: 0,
      temperature: 2,
      alpha: 0.7,
      batchSize: pictures,
      sampler: 'sequential',
      seed: 5,
      initialStudent: student,
      metadata: '{}',
      files: [path.join(folder, 'out/views.pth')],
    }),
    ({ stepLosses }) => losses.push(...stepLosses),
  );
  await session.close();

  const teacher = new Classifier({
    model: base.teacher,
    averaged: false,
    mean,
    std,
    imageSize,
    ...execution,
  });
  await teacher.load();
  const expected: number[] = [];
  for (const epoch of [0, 1]) {
    const view = await cut({
      mean,
      std,
      imageSize,
      from,
      pixels,
      augment,
      seed: 0,
      epoch,
      threads: 1,
    });
    const teacherLogits = await teacher.logits(view.pixels);
    const { loss } = await gradients({
      loss: 'distillation',
      classWeights: null,
      mean,
      std,
      imageSize,
      student,
      labels,
      teacherLogits,
      temperature: 2,
      alpha: 0.7,
      pixels: view.pixels,
    });
    expected.push(loss);
  }
  await teacher.close();
  expect(losses).toHaveLength(3);
  const [first = 0, second = 0] = expected;
  expect(Math.abs(first - second)).toBeGreaterThan(1e-4);
  for (const [i, loss] of [first, second, first].entries()) {
    expect(Math.abs((losses[i] as number) - loss), `epoch ${i + 1}`).toBeLessThan(1e-6);
  }
});

test('a teacher outside of the addon is shown the pixels that go into the store', async () => {
  const [pictures, from, imageSize, views] = [3, 40, 32, 2];
  const augment: NativeAugmentation = { crop: 'resized', minScale: 0.3, flip: true };
  const pixels = Uint8Array.from({ length: pictures * from * from * 3 }, (_, i) => (i * i) % 251);
  const sources = Int32Array.of(0, 1, 2);
  const { Session, augment: cut } = loadAddon();
  const session = new Session({
    mean,
    std,
    imageSize,
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
  });
  await session.open();
  await session.createStore(
    storeOf({
      imageSize,
      classes: 2,
      trainCapacity: pictures,
      valCapacity: 0,
      views,
      view: augment,
    }),
  );
  const shown = await session.views({ pixels, size: from, sources });
  // The others in their turn, as the windows follow from each picture's place alone.
  const last = await session.views({
    pixels: pixels.slice(-from * from * 3),
    size: from,
    sources: sources.slice(-1),
  });
  const batch = batchOf({
    split: 'train',
    pixels,
    size: from,
    labels: Int32Array.of(0, 1, 0),
    sources,
  });
  await expect(
    session.append({ ...batch, teacherLogits: new Float32Array(pictures * 2) }),
  ).rejects.toThrow('teacherLogits are 6 numbers, but the pictures need 12');
  await session.close();

  const bytes = imageSize * imageSize * 3;
  for (let view = 0; view < views; view++) {
    const expected = await cut({
      mean,
      std,
      imageSize,
      from,
      pixels,
      augment,
      seed: 0,
      epoch: view,
      threads: 1,
    });
    for (let i = 0; i < pictures; i++) {
      const at = (i * views + view) * bytes;
      const right = expected.pixels.subarray(i * bytes, (i + 1) * bytes);
      expect(Buffer.compare(shown.subarray(at, at + bytes), right)).toBe(0);
    }
  }
  expect(Buffer.compare(last, shown.subarray(-views * bytes))).toBe(0);
});

describe('views', () => {
  test('of one are the pictures themselves, unless something is done to them', async () => {
    const plain = await epochsOf(options());
    expect(await epochsOf(options({ views: 1 }))).toEqual(plain);
    expect(await epochsOf(options({ augment: [] }))).toEqual(plain);
    expect(await epochsOf(options({ augment: ['flip'] }))).not.toEqual(plain);
    expect(await epochsOf(options({ views: 2 }))).not.toEqual(plain);
  });

  test('give the same numbers in memory, in a file, and from a file', async () => {
    const cacheDir = path.join(folder, 'stores');
    process.env.DISTILL_CACHE = path.join(folder, 'cache');
    const views = { views: 3, augment: ['resized-crop', 'flip'], epochs: 4 } as const;
    const expected = await epochsOf(options(views));
    expect(await epochsOf(options({ ...views, cacheMemory: 0 }))).toEqual(expected);
    expect(await epochsOf(options({ ...views, cacheDir }))).toEqual(expected);
    const reused: number[] = [];
    const run = distill(options({ ...views, cacheDir }));
    const { last } = await run.on('prepare', ({ done }) => reused.push(done));
    expect(reused).toEqual([18]);
    expect(numbersOf(last)).toEqual(expected.at(-1));
  });

  test('are the same for every seed, so that a kept store serves all; others are another store', async () => {
    const cacheDir = path.join(folder, 'other-stores');
    const stores = (more: Partial<DistillOptions>) =>
      distill(options({ views: 2, cacheDir, epochs: 1, ...more }))
        .on('warning', () => {})
        .then(({ store }) => path.basename(store as string));
    const first = await stores({});
    expect(await stores({ seed: 2, lr: 1e-3, temperature: 4 })).toBe(first);
    const others = [
      await stores({ views: 3 }),
      await stores({ augment: ['crop'] }),
      await stores({ storeSize: 48 }),
      await stores({ augment: ['resized-crop'] }),
      await stores({ augment: ['resized-crop'], cropScale: 0.5 }),
      await stores({ views: 1 }),
    ];
    expect(new Set([first, ...others]).size).toBe(7);
    expect(filesIn(cacheDir)).toEqual([first, ...others].sort());
  });

  test('are told in the student’s file', async () => {
    const given = options({ views: 2 });
    await distill(given).on('warning', () => {});
    expect((await inspect(given.student)).metadata?.options).toMatchObject({
      views: 2,
      augment: ['crop', 'flip'],
      storeSize: 40,
    });
  });

  test('are counted as pictures are', async () => {
    const progress: unknown[] = [];
    const run = distill(options({ views: 2 })).on('warning', () => {});
    const { images } = await run.on('prepare', (prepare) => progress.push(prepare));
    expect(images).toEqual({ train: 11, val: 7 });
    expect(progress.at(-1)).toEqual({ done: 18, total: 18 });
  });

  test.each([
    [
      { views: 2, augment: [] },
      'Without `augment` all 2 `views` of a picture would be the same; leave one of them out.',
    ],
    [
      { views: 2, storeSize: 31 },
      'Expected a whole number of pixels in 32..4096 for `storeSize` but received 31.',
    ],
    [
      { views: 2, imageSize: 64, storeSize: 48 },
      'Expected a `storeSize` of at least `imageSize`, 64, but received 48.',
    ],
    [
      { storeSize: 64 },
      "`storeSize` 64 is larger than `imageSize`, 32, but nothing is cropped; name 'crop' or 'resized-crop' in `augment`.",
    ],
  ] as [Partial<DistillOptions>, string][])('%o are refused', async (more, message) => {
    await expect(distill(options(more))).rejects.toMatchObject({ code: 'ERR_OPTION', message });
  });
});
