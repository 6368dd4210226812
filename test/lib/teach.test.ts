import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type DistillOptions,
  distill,
  type EpochReport,
  inspect,
  predict,
  type TeachOptions,
  teach,
} from '../../lib/index.js';
import { filesIn, mean, std, writePicture, writeTeacher } from '../helpers/dataset.js';
import { numbersOf } from '../helpers/results.js';
import { dataset, folder, options, refusal, tensorsOf } from '../helpers/teach.js';

async function epochsOf(given: TeachOptions) {
  const epochs = [];
  for await (const epoch of teach(given)) epochs.push(numbersOf(epoch));
  return epochs;
}

describe('a run', () => {
  test('reports what it found, did and wrote', async () => {
    const given = options({ epochs: 3 });
    const found: unknown[] = [];
    const progress: unknown[] = [];
    const reports: EpochReport[] = [];
    const saved: string[] = [];
    const result = await teach(given)
      .on('dataset', (dataset) => found.push(dataset))
      .on('prepare', (prepare) => progress.push(prepare))
      .on('epoch', (epoch) => reports.push(epoch))
      .on('best', (best) => {
        expect(filesIn(folder)).toContain(path.basename(best.path));
        saved.push(best.path);
      });

    expect(found).toEqual([{ classes: ['ants', 'bees'], train: 11, val: 7 }]);
    expect(progress.at(-1)).toEqual({ done: 18, total: 18 });
    expect(reports.map(({ epoch, epochs }) => [epoch, epochs])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(result).toMatchObject({
      epochs: 3,
      stopReason: 'completed',
      teacher: given.teacher,
      architecture: 'densenet121',
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
    expect(saved).toHaveLength(reports.filter(({ saved }) => saved).length);
  });

  test('saves each epoch of a better accuracy, or of the same and a lower loss', async () => {
    const reports: EpochReport[] = [];
    await teach(options({ epochs: 8, lr: 3e-3, schedule: 'constant' })).on('epoch', (epoch) =>
      reports.push(epoch),
    );
    let best: EpochReport | undefined;
    for (const report of reports) {
      const isBetter =
        !best ||
        report.valAccuracy > best.valAccuracy ||
        (report.valAccuracy === best.valAccuracy && report.valLoss < best.valLoss);
      expect(report.saved, `epoch ${report.epoch}`).toBe(isBetter);
      if (isBetter) best = report;
    }
    expect(reports).toHaveLength(8); // none ends it early
  });

  test('keeps in the file what distilling and predicting need, and how it was made', async () => {
    const given = options({ labelSmoothing: 0.1, schedule: 'cosine', warmup: 0.5 });
    const { best } = await teach(given);
    const { architecture, classes, metadata } = await inspect(given.teacher);
    expect([architecture, classes]).toEqual(['densenet121', 2]);
    expect(metadata).toMatchObject({
      classes: ['ants', 'bees'],
      mean: [...mean],
      std: [...std],
      imageSize: 32,
      options: {
        epochs: 2,
        lr: 1e-3,
        batchSize: 4,
        optimizer: 'adamw',
        weightDecay: 0.01,
        seed: 1,
        schedule: 'cosine',
        warmup: 0.5,
        labelSmoothing: 0.1,
        freezeEpochs: 0,
        augment: ['crop', 'flip'],
        storeSize: 40,
        precision: 'fp32',
      },
      epoch: best?.epoch,
      metrics: { valLoss: best?.valLoss, valAccuracy: best?.valAccuracy },
    });
    let correct = 0;
    for await (const { path: file, label } of predict({
      student: given.teacher,
      images: path.join(dataset, 'val'),
    })) {
      if (file?.includes(`/${label}/`)) correct += 1;
    }
    expect(correct / 7).toBe(best?.valAccuracy);
  });

  test('repeats with its seed; another gives other numbers', async () => {
    const first = await epochsOf(options());
    expect(await epochsOf(options())).toEqual(first);
    expect(await epochsOf(options({ seed: 2 }))).not.toEqual(first);
    expect(await epochsOf(options({ augment: ['flip'] }))).not.toEqual(first);
  });

  test.each(['densenet161', 'densenet169', 'densenet201'] as const)(
    'trains a %s',
    async (architecture) => {
      const { architecture: trained, best } = await teach(options({ architecture, epochs: 1 }));
      expect(trained).toBe(architecture);
      expect(best?.epoch).toBe(1);
    },
  );

  test('computes in bfloat16 where asked; the file holds float32', async () => {
    const given = options({ precision: 'bf16' });
    const { precision, best } = await teach(given);
    expect([precision, best?.valLoss]).toEqual(['bf16', expect.any(Number)]);
    const { tensors } = await inspect(given.teacher);
    expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(['float32', 'int64']));
  });

  test('leaves out a last batch of one picture', async () => {
    // 11 pictures are batches of 5, 5 and 1, which BatchNorm could compare with nothing.
    const given = options({ batchSize: 5, epochs: 1 });
    const steps: number[] = [];
    const run = teach(given);
    run.on('epoch', () => steps.push(run.progress.steps));
    const { best } = await run;
    expect(Number.isFinite(best?.trainLoss)).toBe(true);
    expect(steps).toEqual([2 + 2]); // and two of validation
    const name = 'features.denseblock4.denselayer1.norm1.num_batches_tracked';
    expect(await tensorsOf(given.teacher, [name])).toEqual({ [name]: [2] });
  });

  test('stops after its batch, with what it has saved', async () => {
    const run = teach(options({ epochs: 1000 }));
    run.on('epoch', ({ epoch }) => epoch === 2 && run.stop());
    const result = await run;
    expect(result.stopReason).toBe('stopped');
    expect(result.epochs).toBeLessThan(5);
    expect((await inspect(result.teacher)).architecture).toBe('densenet121');
  });

  test('aborts by a signal', async () => {
    const controller = new AbortController();
    const run = teach(options({ epochs: 1000, signal: controller.signal }));
    run.on('epoch', () => controller.abort());
    await expect(run).rejects.toMatchObject({ code: 'ERR_ABORTED', name: 'AbortError' });
  });

  test('takes over the pictures that an earlier one has kept', async () => {
    const cacheDir = path.join(folder, 'stores');
    const first = await epochsOf(options({ cacheDir }));
    const prepared: number[] = [];
    const { store, last } = await teach(options({ cacheDir })).on('prepare', ({ done }) =>
      prepared.push(done),
    );
    expect(prepared).toEqual([18]);
    expect(filesIn(cacheDir)).toEqual([path.basename(store as string)]);
    expect(numbersOf(last)).toEqual(first.at(-1));
    // Pictures of another size are others; another rate is not.
    await teach(options({ cacheDir, lr: 1e-4 }));
    expect(filesIn(cacheDir)).toHaveLength(1);
    await teach(options({ cacheDir, storeSize: 36 }));
    expect(filesIn(cacheDir)).toHaveLength(2);
  });
});

describe('bad input', () => {
  test.each([
    [
      'a store below the input',
      { storeSize: 32, imageSize: 48 },
      'Expected a `storeSize` of at least `imageSize`, 48, but received 32.',
    ],
    [
      'a store above it that nothing is cropped from',
      { storeSize: 64, augment: ['flip'] },
      "`storeSize` 64 is larger than `imageSize`, 32, but nothing is cropped; name 'crop' or 'resized-crop' in `augment`.",
    ],
  ] as [string, Partial<TeachOptions>, string][])('%s is refused', async (_, more, message) => {
    expect(await refusal(options(more))).toMatchObject({ code: 'ERR_OPTION', message });
  });

  test('one class is refused', async () => {
    const single = path.join(folder, 'single');
    for (const split of ['train', 'val'])
      await writePicture(path.join(single, split, 'ants/0.png'), 1);
    expect((await refusal(options({ dataset: single }))).code).toBe('ERR_DATASET_CLASSES');
  });

  test('a folder that cannot be written is told before the work begins', async () => {
    const given = options({ teacher: path.join(folder, 'none/teacher.pth') });
    expect((await refusal(given)).code).toBe('ERR_WRITE');
  });
});

describe('a student of a taught teacher', () => {
  let teacher: string;
  const taught = { mean: [0.3, 0.4, 0.5], std: [0.2, 0.3, 0.4] } as const;
  beforeAll(async () => {
    const given = options({ ...taught, epochs: 1 });
    teacher = (await teach(given)).teacher;
  });
  let count = 0;
  const student = (more: Partial<DistillOptions> = {}) =>
    ({
      teacher,
      dataset,
      student: path.join(folder, `student-${count++}.pth`),
      epochs: 2,
      seed: 1,
      device: 'cpu',
      threads: 1,
      ...more,
    }) satisfies DistillOptions;

  test('needs no mean, std and image size; given ones win', async () => {
    const given = student();
    const told = student({ ...taught, imageSize: 32 });
    const [first, second] = [await distill(given), await distill(told)];
    expect(first.last?.trainLoss).toBe(second.last?.trainLoss);
    expect((await inspect(given.student)).metadata).toMatchObject({
      mean: [...taught.mean],
      std: [...taught.std],
      imageSize: 32,
      teacher: { file: path.basename(teacher), architecture: 'densenet121' },
    });
    const other = student({ mean, imageSize: 48 });
    await distill(other);
    expect((await inspect(other.student)).metadata).toMatchObject({
      mean: [...mean],
      std: [...taught.std],
      imageSize: 48,
    });
  });

  test('learns of the same classes only', async () => {
    const renamed = path.join(folder, 'renamed');
    for (const split of ['train', 'val']) {
      for (const name of ['ants', 'wasps']) {
        await writePicture(path.join(renamed, split, name, '0.png'), 1);
      }
    }
    const given = student({ dataset: renamed });
    await expect(distill(given)).rejects.toMatchObject({
      code: 'ERR_TEACHER_CLASSES',
      message: `Class 1 of the teacher '${teacher}' is 'bees', but class folder 1 of '${renamed}/train' is 'wasps'; give the folders that it was trained on.`,
    });
    expect(filesIn(folder)).not.toContain(path.basename(given.student));
  });

  test('of a file that says nothing must be told mean and std', async () => {
    const silent = await writeTeacher(path.join(folder, 'silent.pth'));
    await expect(distill(student({ teacher: silent }))).rejects.toMatchObject({
      code: 'ERR_NO_METADATA',
      message: `'${silent}' has no mean, std; pass them as options.`,
    });
  });
});
