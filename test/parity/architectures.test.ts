import { readdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { inspect } from '../../lib/index.js';
import { packageRoot } from '../../lib/package.js';
import { mean, std, temporaryFolder } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';

// The networks whose graphs are part of the addon, beside those that torchvision and PyTorch make.

const addon = loadAddon();
const folder = temporaryFolder();
const classes = 5;
const size = 64;
const seed = 11;
const count = 3;

const fromTorchvision = [
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mobilenet_v3_large',
  'efficientnet_b0',
  'shufflenet_v2_x0_5',
  'resnet20',
  'resnet32',
];
const fresh = [
  'resnet18',
  'mobilenet_v3_small',
  'shufflenet_v2_x0_5',
  'resnet20',
  'efficientnet_b0',
];
const all = readdirSync(path.join(packageRoot, 'native/core/models/architectures'))
  .map((file) => path.basename(file, '.json'))
  .filter((name) => name !== 'cnn');
const pixels = Uint8Array.from({ length: count * size * size * 3 }, (_, i) =>
  Math.floor(((i * i * 31 + i * 17) % 65521) / 256),
);

const fileOf = (name: string): string => path.join(folder, `${name}.pth`);

describe.skipIf(python === null)('compared with PyTorch', () => {
  let expected: { logits: Record<string, number[][]>; alike: Record<string, boolean> };

  beforeAll(async () => {
    const files: Record<string, string> = {};
    for (const architecture of fresh) {
      const file = fileOf(`${architecture}-fresh`);
      await addon.createModel({ path: file, architecture, classes, seed });
      files[architecture] = file;
    }
    const script = path.join(packageRoot, 'test/parity/judge/architectures.py');
    expected = runPython([script], {
      folder,
      classes,
      size,
      seed,
      mean,
      std,
      pixels: Buffer.from(pixels).toString('hex'),
      names: fromTorchvision,
      shapes: all,
      fresh: files,
    }) as typeof expected;
  });

  test('fresh weights are those that a seed gives in PyTorch', () => {
    expect(expected.alike).toEqual(Object.fromEntries(fresh.map((name) => [name, true])));
  });

  test('each architecture is recognised by its own names and shapes', async () => {
    for (const name of all) {
      const { architecture, classes: found } = await inspect(fileOf(`${name}-shapes`));
      expect({ architecture, found }).toEqual({ architecture: name, found: 5 });
    }
  });

  test.each(fromTorchvision)('%s gives the same logits', async (model) => {
    const classifier = new addon.Classifier({
      averaged: false,
      model: fileOf(model),
      imageSize: size,
      mean,
      std,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await classifier.load();
    const logits = await classifier.logits(pixels);
    await classifier.close();
    const wanted = expected.logits[model]?.flat() ?? [];
    expect(logits).toHaveLength(count * classes);
    expect(Math.max(...wanted.map(Math.abs))).toBeGreaterThan(0.1);
    for (const [i, value] of wanted.entries()) {
      expect(Math.abs((logits[i] ?? Number.NaN) - value)).toBeLessThan(1e-4);
    }
  });
});
