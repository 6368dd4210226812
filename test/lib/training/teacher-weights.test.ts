import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { inspect, teach } from '../../../lib/index.js';
import { filesIn, mean, std, writeStudent, writeTeacher } from '../../helpers/dataset.js';
import { type PthTensor, writePth } from '../../helpers/pth.js';
import { python, runPython } from '../../helpers/python.js';
import { folder, judge, noise, options, refusal, tensorsOf } from '../../helpers/teach.js';

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
        /student\.pth' holds a student; give the teacher .* as `weights`/,
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
        averaged: false,
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
