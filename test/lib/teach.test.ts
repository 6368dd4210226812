import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
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
import { loadAddon } from '../../lib/native.js';
import { batchOf, storeOf, teachConfigOf } from '../helpers/contract.js';
import {
  filesIn,
  mean,
  std,
  temporaryFolder,
  writeDataset,
  writePicture,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { numbersOf, refusalOf } from '../helpers/outcome.js';
import { type PthTensor, writePth } from '../helpers/pth.js';
import { python, runPython } from '../helpers/python.js';

const judge = fileURLToPath(new URL('../parity/judge/teacher.py', import.meta.url));
const folder = temporaryFolder();
let dataset: string;
beforeAll(async () => {
  dataset = await writeDataset(path.join(folder, 'dataset'));
});

let count = 0;
/** Options for a run of moments, with a teacher's file of its own. */
function options<More extends Partial<TeachOptions>>(more: More = {} as More) {
  return {
    teacher: path.join(folder, `teacher-${count++}.pth`),
    dataset,
    imageSize: 32,
    epochs: 2,
    batchSize: 4,
    seed: 1,
    // One thread and the CPU give the same numbers on every machine and beside other runs.
    device: 'cpu',
    threads: 1,
    ...more,
  } satisfies TeachOptions;
}

async function epochsOf(given: TeachOptions) {
  const epochs = [];
  for await (const epoch of teach(given)) epochs.push(numbersOf(epoch));
  return epochs;
}

/** Tensors of a checkpoint by name. */
async function tensorsOf(file: string, names: string[]) {
  const entries = names.map(async (name) => {
    const { data } = await loadAddon().readTensor(file, name);
    return [name, [...data]] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

const refusal = (given: TeachOptions) => refusalOf(teach(given));

/** uint8 RGB (count, size, size, 3) of noise. */
function noise(count: number, size: number): Uint8Array {
  return Uint8Array.from({ length: count * size * size * 3 }, (_, i) =>
    Math.floor(((i * i * 31 + i * 17) % 65521) / 256),
  );
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

describe('initial weights', () => {
  /** A DenseNet of other classes, as torchvision's for ImageNet. */
  let weights: string;
  beforeAll(async () => {
    weights = await writeTeacher(path.join(folder, 'weights.pth'), { classes: 7, seed: 9 });
  });
  const feature = 'features.denseblock1.denselayer1.conv1.weight';
  const statistics = [
    'features.norm0.running_mean',
    'features.norm5.running_var',
    'features.norm5.num_batches_tracked',
  ];

  test('give all but the last layer, which the seed draws as torch.nn.Linear', async () => {
    // A rate so small that nothing moves.
    const given = options({ weights, epochs: 1, lr: 1e-30, weightDecay: 0 });
    await teach(given);
    expect(await tensorsOf(given.teacher, [feature])).toEqual(await tensorsOf(weights, [feature]));
    const head = ['classifier.weight', 'classifier.bias'];
    const drawn = (await tensorsOf(given.teacher, head)) as Record<string, number[]>;
    expect(drawn['classifier.weight']).toHaveLength(2 * 1024);
    for (const values of Object.values(drawn)) {
      expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(1 / 32); // 1/sqrt(1024)
    }
    expect(drawn['classifier.bias']).not.toEqual([0, 0]);
    const { metadata } = await inspect(given.teacher);
    expect(metadata?.weights).toMatchObject({ file: 'weights.pth', architecture: 'densenet121' });
  });

  test('rest with their statistics in the first epochs, if so asked', async () => {
    const given = options({ weights, lr: 3e-3, epochs: 1, freezeEpochs: 1 });
    const { best } = await teach(given);
    const names = [feature, ...statistics];
    expect(await tensorsOf(given.teacher, names)).toEqual(await tensorsOf(weights, names));
    const fresh = options({ weights, epochs: 1, lr: 1e-30, weightDecay: 0, freezeEpochs: 1 });
    const { best: before } = await teach(fresh);
    expect(best?.valLoss).not.toBe(before?.valLoss); // the last layer has learnt

    const thawed = options({ weights, lr: 3e-3, freezeEpochs: 1, epochs: 2 });
    const saved: boolean[] = [];
    await teach(thawed).on('epoch', (epoch) => saved.push(epoch.saved));
    const after = await tensorsOf(thawed.teacher, names);
    const expected = await tensorsOf(weights, names);
    if (saved[1]) expect(after).not.toEqual(expected);
    else expect(after).toEqual(expected);
  });

  test('with evaluation of the centre: what is done to training pictures does not change it', async () => {
    const losses = [];
    for (const augment of [[], ['flip'], ['crop'], ['resized-crop', 'flip']] as const) {
      const still = { weights, epochs: 1, lr: 1e-30, weightDecay: 0, freezeEpochs: 1 };
      const { best } = await teach(options({ ...still, augment }));
      losses.push(best?.valLoss);
    }
    expect(new Set(losses).size).toBe(1);
  });

  test('keep their last layer where their file names the same classes', async () => {
    const first = options({ mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] });
    await teach(first);
    const { imageSize: _, ...rest } = options({ epochs: 1, lr: 1e-30, weightDecay: 0 });
    const second = { ...rest, weights: first.teacher };
    await teach(second);
    const head = ['classifier.weight', 'classifier.bias'];
    expect(await tensorsOf(second.teacher, head)).toEqual(await tensorsOf(first.teacher, head));
    // And their preprocessing, unless another is asked for.
    expect((await inspect(second.teacher)).metadata).toMatchObject({
      imageSize: 32,
      mean: [0.1, 0.2, 0.3],
      std: [0.4, 0.5, 0.6],
    });
  });

  test('say which architecture it is', async () => {
    const larger = path.join(folder, 'densenet169.pth');
    await loadAddon().createModel({
      path: larger,
      architecture: 'densenet169',
      classes: 3,
      seed: 1,
    });
    const { architecture } = await teach(options({ weights: larger, epochs: 1 }));
    expect(architecture).toBe('densenet169');
    const error = await refusal(options({ weights: larger, architecture: 'densenet121' }));
    expect(error).toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(
        /^Expected a densenet121 in '.*densenet169\.pth' \(weights\), but it holds a densenet169;/,
      ),
    });
  });

  test('of a student are refused, with nothing written', async () => {
    const student = await writeStudent(path.join(folder, 'student.pth'));
    const given = options({ weights: student });
    const before = filesIn(folder);
    expect(await refusal(given)).toMatchObject({
      code: 'ERR_TEACHER_ARCHITECTURE',
      message: expect.stringMatching(
        /student\.pth' holds a student and no DenseNet; give the DenseNet .* as `weights`/,
      ),
    });
    expect(filesIn(folder)).toEqual(before);
  });

  test('with NaN are refused before the pictures are decoded', async () => {
    const broken = path.join(folder, 'broken.pth');
    const { tensors } = await inspect(weights);
    const state: Record<string, PthTensor> = {};
    for (const { name, shape } of tensors) {
      const data = new Float32Array(shape.reduce((product, side) => product * side, 1));
      state[name] = { shape, data };
    }
    (state['features.norm5.bias']?.data as Float32Array)[3] = Number.NaN;
    await writePth(broken, state);
    const prepared: unknown[] = [];
    const run = teach(options({ weights: broken })).on('prepare', (done) => prepared.push(done));
    await expect(run).rejects.toMatchObject({ code: 'ERR_CHECKPOINT_NOT_FINITE' });
    expect(prepared).toEqual([]);
  });

  test('that are damaged are refused', async () => {
    const damaged = path.join(folder, 'damaged.pth');
    writeFileSync(damaged, readFileSync(weights).subarray(0, 1_000_000));
    expect((await refusal(options({ weights: damaged }))).code).toBe('ERR_CHECKPOINT_CORRUPT');
    const none = path.join(folder, 'none.pth');
    expect((await refusal(options({ weights: none }))).code).toBe('ERR_CHECKPOINT_NOT_FOUND');
  });

  test('are not written over', async () => {
    const { size } = statSync(weights);
    expect(await refusal(options({ weights, teacher: weights }))).toMatchObject({
      code: 'ERR_OPTION',
      message: `\`teacher\` is the model's own file '${weights}'; name another to write to.`,
    });
    expect(statSync(weights).size).toBe(size);
  });

  test.skipIf(!python)(
    'in the older format and by the old names are those of PyTorch',
    async () => {
      const legacy = path.join(folder, 'legacy.pth');
      const size = 64;
      const pixels = noise(3, size);
      const theirs = runPython([judge, 'legacy'], {
        teacher: weights,
        architecture: 'densenet121',
        path: legacy,
        mean,
        std,
        imageSize: size,
        pixels: Buffer.from(pixels).toString('hex'),
      }) as number[];
      expect((await inspect(legacy)).format).toBe('legacy');
      const classifier = new (loadAddon().Classifier)({
        model: legacy,
        mean,
        std,
        imageSize: size,
        device: 'cpu',
        precision: 'fp32',
        threads: 0,
      });
      await classifier.load();
      const ours = await classifier.logits(pixels);
      await classifier.close();
      const gap = Math.max(...theirs.map((value, i) => Math.abs(value - (ours[i] as number))));
      expect(gap).toBeLessThan(1e-4);

      const given = { epochs: 1, lr: 1e-30, weightDecay: 0, freezeEpochs: 1 };
      const fromOld = await teach(options({ ...given, weights: legacy }));
      const fromNew = await teach(options({ ...given, weights }));
      expect(fromOld.best?.valLoss).toBe(fromNew.best?.valLoss);
    },
  );
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
      message: `'${silent}' carries no mean, std; pass them as options.`,
    });
  });
});

describe.skipIf(!python)('PyTorch', () => {
  // An activation within rounding of zero sends the gradient one way here and the other way there, in all layers before
  // it, which moves them by 1e-3 to 1e-2; PyTorch's own float32 differs from its float64 as much. So of several batches
  // the best counts, which has no such activation; a wrong gradient would be wrong in all.
  test.each([
    { architecture: 'densenet121', size: 32, batch: 6 },
    { architecture: 'densenet121', size: 64, batch: 4 },
    { architecture: 'densenet121', size: 75, batch: 3 }, // odd sides
    { architecture: 'densenet161', size: 64, batch: 4 },
  ])('says the same of a step: %o', async ({ architecture, size, batch }) => {
    const teacher = path.join(folder, `${architecture}-step.pth`);
    await loadAddon().createModel({ path: teacher, architecture, classes: 3, seed: 7 });
    const labels = Int32Array.from({ length: batch }, (_, i) => i % 3);
    const common = { teacher, mean, std, imageSize: size, labelSmoothing: 0.1 };
    const found = path.join(folder, 'step.bin');
    const medians: number[] = [];
    for (let i = 1; i <= 3; i++) {
      const pixels = noise(batch * i, size).subarray(-batch * size * size * 3);
      const ours = await loadAddon().teacherGradients({
        ...common,
        precision: 'fp32',
        pixels,
        labels,
      });
      const tensors = { ...ours.gradients, ...ours.statistics };
      writeFileSync(
        found,
        Buffer.concat(Object.values(tensors).map((data) => new Uint8Array(data.buffer))),
      );
      const theirs = runPython([judge, 'gradients'], {
        ...common,
        architecture,
        labels: [...labels],
        found,
        names: Object.keys(tensors),
        pixels: Buffer.from(pixels).toString('hex'),
      }) as { loss: number; gaps: Record<string, number> };
      expect(Math.abs(ours.loss - theirs.loss)).toBeLessThan(1e-4);
      const gaps = (of: object) => Object.keys(of).map((name) => theirs.gaps[name] as number);
      expect(Math.max(...gaps(ours.statistics))).toBeLessThan(1e-4);
      const sorted = gaps(ours.gradients).sort((a, b) => a - b);
      medians.push(sorted[Math.floor(sorted.length / 2)] as number);
    }
    medians.sort((a, b) => a - b);
    console.log(`gradients differ by ${medians.map((gap) => gap.toExponential(1)).join(', ')}`);
    expect(medians[0]).toBeLessThan(3e-4);
    expect(medians[2]).toBeLessThan(5e-2);
  });

  test('takes the same first steps', async () => {
    const [steps, batchSize, size] = [7, 16, 64];
    const count = steps * batchSize;
    const teacher = await writeTeacher(path.join(folder, 'first.pth'), { classes: 3, seed: 4 });
    const pixels = noise(count, size);
    const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
    const sources = labels.map((_, i) => i);
    const session = new (loadAddon().Session)({
      mean,
      std,
      imageSize: size,
      device: 'cpu',
      precision: 'fp32',
      threads: 0,
    });
    await session.open();
    await session.createStore(
      storeOf({
        imageSize: size,
        classes: 3,
        trainCapacity: count,
        valCapacity: count,
        hasTeacher: false,
        place: 'memory',
        folder: '',
        fingerprint: '',
      }),
    );
    for (const split of ['train', 'val'] as const) {
      await session.append(batchOf({ split, pixels, labels, sources }));
    }
    await session.sealStore();
    const learning = { lr: 2e-4, schedule: 'one-cycle', weightDecay: 0.05 } as const;
    let ours: number[] = [];
    await session.teach(
      teachConfigOf({
        ...learning,
        optimizer: 'adamw',
        epochs: 1,
        batchSize,
        shuffle: false,
        seed: 1,
        warmup: 0,
        architecture: 'densenet121',
        weights: teacher,
        keepHead: true,
        freezeEpochs: 0,
        labelSmoothing: 0.1,
        teacher: path.join(folder, 'taken.pth'),
        metadata: '{}',
      }),
      ({ stepLosses }) => {
        ours = [...stepLosses];
      },
    );
    await session.close();
    const theirs = runPython([judge, 'steps'], {
      ...learning,
      totalSteps: steps,
      warmupSteps: 0,
      batchSize,
      labelSmoothing: 0.1,
      teacher,
      architecture: 'densenet121',
      mean,
      std,
      imageSize: size,
      pixels: Buffer.from(pixels).toString('hex'),
      labels: [...labels],
    }) as number[];
    console.log(`losses ${ours.map((loss, i) => `${loss.toFixed(5)} (${theirs[i]?.toFixed(5)})`)}`);
    expect(ours).toHaveLength(steps);
    for (const [i, loss] of theirs.entries()) {
      expect(Math.abs((ours[i] as number) - loss) / loss, `step ${i}`).toBeLessThan(1e-2);
    }
  });

  test('loads the saved file strictly, and scores it the same', async () => {
    const given = options({ epochs: 3 });
    const { best } = await teach(given);
    const theirs = runPython([judge, 'evaluate'], {
      teacher: given.teacher,
      architecture: 'densenet121',
      mean,
      std,
      imageSize: 32,
      val: path.join(dataset, 'val'),
    }) as { accuracy: number; loss: number };
    expect(theirs.accuracy).toBe(best?.valAccuracy);
    expect(Math.abs(theirs.loss - (best?.valLoss ?? 0))).toBeLessThan(1e-4);
  });
});
