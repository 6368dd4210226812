import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { teach } from '../../lib/index.js';
import { batchOf, storeOf, teachConfigOf } from '../helpers/contract.js';
import { mean, std, writeTeacher } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';
import { dataset, folder, judge, noise, options } from '../helpers/teach.js';

describe.skipIf(!python)('PyTorch', () => {
  // An activation within rounding of zero sends the gradient one way here and the other way there, in all layers before
  // it, which moves them by 1e-3 to 1e-2; PyTorch's own float32 differs from its float64 as much. So of several batches
  // the best counts, which has no such activation; a wrong gradient would be wrong in all.
  test.each([
    { architecture: 'densenet121', size: 32, batch: 6 },
    // One of the pictures has no label.
    { architecture: 'densenet121', size: 32, batch: 6, classWeights: [0.5, 2, 1.25] },
    { architecture: 'densenet121', size: 64, batch: 4 },
    { architecture: 'densenet121', size: 75, batch: 3 }, // odd sides
    { architecture: 'densenet161', size: 64, batch: 4 },
  ])('says the same of a step: %o', async ({ architecture, size, batch, classWeights = null }) => {
    const teacher = path.join(folder, `${architecture}-step.pth`);
    await loadAddon().createModel({ path: teacher, architecture, classes: 3, seed: 7 });
    const labels = Int32Array.from({ length: batch }, (_, i) => i % 3);
    if (classWeights) labels[4] = -1;
    const common = { teacher, mean, std, imageSize: size, labelSmoothing: 0.1, classWeights };
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

  test.each([
    { steps: 7, size: 64, classWeights: null },
    { steps: 4, size: 32, classWeights: [0.5, 2, 1.25] },
  ])('takes the same first steps: %o', async ({ steps, size, classWeights }) => {
    const batchSize = 16;
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
        sampler: 'sequential',
        seed: 1,
        warmup: 0,
        architecture: 'densenet121',
        weights: teacher,
        keepHead: true,
        freezeEpochs: 0,
        labelSmoothing: 0.1,
        classWeights,
        files: [path.join(folder, 'taken.pth')],
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
      classWeights,
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
