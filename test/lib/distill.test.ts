import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import {
  type DistillOptions,
  type DistillWarning,
  distill,
  type EpochReport,
  inspect,
  predict,
} from '../../lib/index.js';
import { filesIn, smallRun, temporaryFolder, writePicture } from '../helpers/dataset.js';
import { epochsOf } from '../helpers/distill.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

let count = 0;
/** Options for a run with a student's file of its own. */
function options<More extends Partial<DistillOptions>>(more: More = {} as More) {
  return { ...base, student: path.join(folder, 'out', `${count++}.pth`), ...more };
}

/** Every tensor of a checkpoint, as bytes. */
async function tensorsOf(file: string) {
  const { tensors } = await inspect(file);
  const entries = tensors.map(async ({ name }) => {
    const { data } = await loadAddon().readTensor(file, name);
    return [name, Buffer.from(data.buffer).toString('base64')];
  });
  return Object.fromEntries(await Promise.all(entries));
}

describe('a run', () => {
  test('reports what it found, did and wrote', async () => {
    const given = options({ epochs: 3 });
    const reports: EpochReport[] = [];
    const found: unknown[] = [];
    const progress: unknown[] = [];
    const result = await distill(given)
      .on('dataset', (dataset) => found.push(dataset))
      .on('prepare', (prepare) => progress.push(prepare))
      .on('epoch', (epoch) => reports.push(epoch));

    expect(found).toEqual([{ classes: ['ants', 'bees'], train: 11, val: 7 }]);
    expect(progress).toEqual([
      { done: 11, total: 18 },
      { done: 18, total: 18 },
    ]);
    expect(reports.map(({ epoch, epochs }) => [epoch, epochs])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(result).toMatchObject({
      epochs: 3,
      stopReason: 'completed',
      student: given.student,
      store: null,
      classes: ['ants', 'bees'],
      images: { train: 11, val: 7 },
      skipped: [],
      device: 'cpu',
      precision: 'fp32',
      seed: 1,
    });
    expect(result.last).toEqual(reports[2]);
    expect(result.best).toEqual(reports.findLast(({ saved }) => saved));
    for (const report of reports) {
      expect(report.seconds).toBe(report.trainSeconds + report.valSeconds);
      expect(report.imagesPerSecond).toBeCloseTo(11 / report.trainSeconds);
    }
    const { seconds } = result;
    expect(seconds.prepare).toBeGreaterThan(0);
    expect(seconds.total).toBeGreaterThan(seconds.prepare + seconds.train + seconds.validate);
  });

  test('keeps in the student’s file what predicting needs, and how it was made', async () => {
    const given = options({ epochs: 2, temperature: 3, alpha: 0.25 });
    const { best } = await distill(given);
    const { architecture, classes, metadata } = await inspect(given.student);
    expect([architecture, classes]).toEqual(['cnn', 2]);
    expect(metadata).toMatchObject({
      classes: ['ants', 'bees'],
      mean: [...given.mean],
      std: [...given.std],
      imageSize: 32,
      options: { epochs: 2, lr: 1e-4, dropRate: 0.2, temperature: 3, alpha: 0.25, batchSize: 4 },
      teacher: { file: 'teacher.pth', architecture: 'densenet121' },
      epoch: best?.epoch,
      metrics: { valLoss: best?.valLoss, valAccuracy: best?.valAccuracy },
    });
    expect(metadata?.options).toMatchObject({ seed: 1, shuffle: true });
  });

  test('says `best` of exactly the epochs that are saved, when they are in the file', async () => {
    const given = options({ epochs: 6 });
    const saved: EpochReport[] = [];
    const bestInFile: unknown[] = [];
    await distill(given)
      .on('epoch', (epoch) => epoch.saved && saved.push(epoch))
      .on('best', (best) => {
        expect(filesIn(path.dirname(best.path))).toContain(path.basename(given.student));
        bestInFile.push(best);
      });
    expect(saved.length).toBeGreaterThan(0);
    expect(bestInFile).toEqual(saved.map((epoch) => ({ ...epoch, path: given.student })));
  });

  test('takes `train` and `val` instead of `dataset`', async () => {
    const { dataset, ...given } = options();
    const apart = { train: path.join(dataset, 'train'), val: path.join(dataset, 'val') };
    expect(await epochsOf({ ...given, ...apart })).toEqual(await epochsOf(options()));
  });

  test('tells once of files that look like pictures and are passed over', async () => {
    const dataset = path.join(folder, 'with-gif');
    cpSync(base.dataset, dataset, { recursive: true });
    for (const name of ['train/ants/1.ico', 'val/ants/2.ico', 'val/bees/3.gif', 'val/bees/4.txt'])
      writeFileSync(path.join(dataset, name), '');
    const warnings: DistillWarning[] = [];
    await distill(options({ dataset })).on('warning', (warning) => warnings.push(warning));
    expect(warnings.filter(({ code }) => code === 'WARN_FILES_IGNORED')).toEqual([
      {
        code: 'WARN_FILES_IGNORED',
        path: path.join(dataset, 'train/ants/1.ico'),
        message: expect.stringMatching(
          /^3 files that look like a picture \(\.gif, \.ico; the first/,
        ),
      },
    ]);
  });

  test('keeps class names of any script and punctuation', async () => {
    const dataset = path.join(folder, 'names');
    const names = ['a "quoted" {name}', 'b:, \\ back', 'Ωμέγα 🐜'];
    for (const split of ['train', 'val']) {
      for (const [i, name] of names.slice(0, 2).entries()) {
        const from = path.join(base.dataset, split, ['ants', 'bees'][i] as string);
        cpSync(from, path.join(dataset, split, name), { recursive: true });
      }
    }
    const given = options({ dataset, epochs: 1 });
    const { classes } = await distill(given);
    expect(classes).toEqual(names.slice(0, 2));
    expect((await inspect(given.student)).metadata?.classes).toEqual(classes);
  });
});

describe('a picture that does not decode', () => {
  let dataset: string;
  let damaged: string;
  beforeAll(() => {
    dataset = path.join(folder, 'damaged');
    cpSync(base.dataset, dataset, { recursive: true });
    // In the middle: batches before and after it are whole.
    damaged = path.join(dataset, 'train/bees/2.png');
    writeFileSync(damaged, readFileSync(damaged).subarray(0, 500));
  });

  test('ends the run, which names it and writes nothing', async () => {
    const given = options({ dataset, student: path.join(folder, 'damaged-out', 's.pth') });
    mkdirSync(path.dirname(given.student));
    await expect(distill(given)).rejects.toMatchObject({
      code: 'ERR_BAD_IMAGE',
      message: expect.stringContaining(damaged),
    });
    expect(filesIn(path.dirname(given.student))).toEqual([]);
  });

  test('is passed over with a warning where that is asked for', async () => {
    const given = options({ dataset, onBadImage: 'skip' });
    const warnings: DistillWarning[] = [];
    const run = distill(given).on('warning', (warning) => warnings.push(warning));
    const { skipped, images, epochs } = await run;
    expect(skipped).toEqual([damaged]);
    expect({ images, epochs }).toEqual({ images: { train: 10, val: 7 }, epochs: 2 });
    expect(warnings).toEqual([
      {
        code: 'WARN_IMAGE_SKIPPED',
        message: expect.stringContaining(damaged),
        path: damaged,
      },
    ]);
    // The others' numbers are those of a dataset without it.
    const without = path.join(folder, 'without');
    cpSync(base.dataset, without, { recursive: true });
    renameSync(path.join(without, 'train/bees/2.png'), path.join(folder, 'taken-out.png'));
    expect(await epochsOf(options({ dataset: without }))).toEqual(
      await epochsOf(options({ dataset, onBadImage: 'skip' })),
    );
  });

  test('warns through the process where nobody listens', async () => {
    const warned = new Promise<Error & { code?: string }>((resolve) =>
      process.once('warning', resolve),
    );
    await distill(options({ dataset, onBadImage: 'skip' }));
    expect(await warned).toMatchObject({ name: 'DistillWarning', code: 'WARN_IMAGE_SKIPPED' });
  });

  test('is an error again where a class is left without any', async () => {
    const lost = path.join(folder, 'lost');
    cpSync(base.dataset, lost, { recursive: true });
    for (const file of readdirSync(path.join(lost, 'val/bees'))) {
      writeFileSync(path.join(lost, 'val/bees', file), 'no picture');
    }
    const run = distill(options({ dataset: lost, onBadImage: 'skip' })).on('warning', () => {});
    await expect(run).rejects.toMatchObject({
      code: 'ERR_DATASET_EMPTY_CLASS',
      message: expect.stringMatching(/'bees' in .*val/),
    });
  });
});

describe('pictures that tell their class by colour', () => {
  let coloured: string;
  /** A student that is right about all of them. */
  let trained: DistillOptions;

  beforeAll(async () => {
    coloured = path.join(folder, 'coloured');
    const colours = { ants: [210, 60, 60], bees: [60, 60, 210] };
    for (const [split, pictures] of [
      ['train', 8],
      ['val', 3],
    ] as const) {
      for (const [name, colour] of Object.entries(colours)) {
        for (let i = 0; i < pictures; i++) {
          await writePicture(path.join(coloured, split, name, `${i}.png`), i, { colour });
        }
      }
    }
    // From the labels alone: the teacher knows nothing.
    trained = options({ dataset: coloured, epochs: 100, alpha: 0, lr: 1e-3 });
  });

  test('end the run early, with the student that knows them', async () => {
    const result = await distill(trained);
    expect(result.stopReason).toBe('early-stop');
    expect(result.epochs).toBeLessThan(100);
    expect(result.best).toEqual(result.last);
    expect(result.best?.valAccuracy).toBe(1);
    for await (const { path: file, label } of predict({
      student: trained.student,
      images: path.join(coloured, 'val'),
      device: 'cpu',
    })) {
      expect(path.basename(path.dirname(file as string))).toBe(label);
    }
  });

  test('leave a student that never does well, with a warning', async () => {
    // The training pictures' classes are swapped against those of the validation.
    const swapped = path.join(folder, 'swapped');
    for (const split of ['train', 'val']) {
      cpSync(path.join(coloured, split, 'ants'), path.join(swapped, split, 'bees'), {
        recursive: true,
      });
      cpSync(path.join(coloured, split, 'bees'), path.join(swapped, split, 'ants'), {
        recursive: true,
      });
    }
    const { dataset, ...apart } = options({ epochs: 2, alpha: 0, lr: 1e-3 });
    const folders = { train: path.join(coloured, 'train'), val: path.join(swapped, 'val') };
    const given = { ...apart, ...folders };
    const warnings: DistillWarning[] = [];
    const result = await distill(given).on('warning', (warning) => warnings.push(warning));
    expect(warnings.map(({ code, path }) => [code, path])).toEqual([
      ['WARN_NO_IMPROVEMENT', given.student],
    ]);
    expect(result.best).toEqual(result.last);
    expect(result.best).toMatchObject({ valAccuracy: 0, saved: true, epoch: 2 });
    expect((await inspect(given.student)).metadata?.epoch).toBe(2);
  });
});

test('the file holds the best epoch’s weights, not the last one’s', async () => {
  // 1 to 6 of 7 pictures are classified rightly, and each save needs more than the one before: some of 8
  // epochs are not saved, and up to the first of them the best is not the last.
  const saved: boolean[] = [];
  for await (const epoch of distill(options({ epochs: 8 }))) saved.push(epoch.saved);
  const unsaved = saved.indexOf(false) + 1;
  expect(unsaved).toBeGreaterThan(1);

  const run = options({ epochs: unsaved });
  const runToBest = options({ epochs: unsaved - 1 });
  const { best } = await distill(run);
  expect(best?.epoch).toBe(unsaved - 1);
  await distill(runToBest);
  expect(await tensorsOf(run.student)).toEqual(await tensorsOf(runToBest.student));
});

test('what a run has taken goes back to the system when it ends', async () => {
  let training = 0;
  await distill(options({ imageSize: 224, batchSize: 11 })).on('epoch', () => {
    training = process.memoryUsage().rss;
  });
  // The activations of eleven pictures alone are more.
  expect(training - process.memoryUsage().rss).toBeGreaterThan(100 * 2 ** 20);
});

test('memory does not grow from run to run', async () => {
  for (let i = 0; i < 2; i++) await distill(options());
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 8; i++) await distill(options());
  // A teacher that stayed behind would be 28 MB a run.
  expect(process.memoryUsage().rss - before).toBeLessThan(8 * 14 * 2 ** 20);
});
