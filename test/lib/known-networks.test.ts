import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { distill, inspect, predict, teach } from '../../lib/index.js';
import { mean, std } from '../helpers/dataset.js';
import { dataset, folder, options, refusal, tensorsOf } from '../helpers/teach.js';

// The networks whose graphs are part of the addon, in the public calls.

const resnet = path.join(folder, 'resnet20.pth');

beforeAll(async () => {
  await loadAddon().createModel({ path: resnet, architecture: 'resnet20', classes: 2, seed: 1 });
});

describe('a state dict of a known network', () => {
  test('is inspected and asked', async () => {
    expect(await inspect(resnet)).toMatchObject({ architecture: 'resnet20', classes: 2 });
    const given = { student: resnet, images: dataset, mean, std, imageSize: 32 } as const;
    const answers = [];
    for await (const { probability } of predict({ ...given, labels: ['ants', 'bees'] })) {
      answers.push(probability);
    }
    expect(answers).toHaveLength(18);
    expect(answers.every((probability) => probability >= 0.5)).toBe(true);
  });

  test('teaches a student', async () => {
    const { teacher: _, ...given } = options({ epochs: 1 });
    const student = path.join(folder, 'student.pth');
    const result = await distill({ ...given, teacher: resnet, student, mean, std });
    expect(result.epochs).toBe(1);
    expect(result.last?.trainLoss).toBeGreaterThan(0);
  });
});

describe('teach()', () => {
  test('trains a known network', async () => {
    const given = options({ architecture: 'resnet20' });
    const result = await teach(given);
    expect(result).toMatchObject({ architecture: 'resnet20', epochs: 2 });
    expect(await inspect(given.teacher)).toMatchObject({ architecture: 'resnet20', classes: 2 });
  });

  test('replaces the last layer of its weights, and only that while the rest is frozen', async () => {
    const weights = path.join(folder, 'seven.pth');
    const names = ['layer3.2.conv2.weight', 'bn1.running_mean'];
    await loadAddon().createModel({ path: weights, architecture: 'resnet20', classes: 7, seed: 2 });
    const given = options({ weights, epochs: 1, freezeEpochs: 1 });
    const { architecture } = await teach(given);
    expect(architecture).toBe('resnet20');
    expect((await inspect(given.teacher)).classes).toBe(2);
    expect(await tensorsOf(given.teacher, names)).toEqual(await tensorsOf(weights, names));
  });

  test('refuses the weights of another network than the one named', async () => {
    const error = await refusal(options({ architecture: 'resnet18', weights: resnet }));
    expect(error.code).toBe('ERR_OPTION');
    expect(error.message).toMatch(/Expected a resnet18 .* but it holds a resnet20/);
  });
});
