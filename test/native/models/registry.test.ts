import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { ARCHITECTURES } from '../../../lib/options/teach.js';
import { mean, std, temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

// Architectures of native/core/models/registry.cpp are made, recognised, written again and asked: all that have a source
// of their own, and some of those that are graphs. test/parity/architectures.test.ts has all of these.

const addon = loadAddon();
const folder = temporaryFolder();
const architectures = await addon.architectures();
const GRAPHS = ['resnet20', 'mobilenet_v3_small', 'resnet10t'];
const tested = architectures.filter(
  ({ name, roles }) => roles.length === 1 || GRAPHS.includes(name),
);
const classes = 3;

test('teachers are those that the option `architecture` names', () => {
  const teachers = architectures.filter(({ roles }) => roles.includes('teacher'));
  expect(teachers.map(({ name }) => name)).toEqual([...ARCHITECTURES]);
});

test('another name is refused', async () => {
  const file = path.join(folder, 'another.pth');
  const refusal = await refusalOf(
    native(addon.createModel({ path: file, architecture: 'resnet1202', classes, seed: 1 })),
  );
  expect(refusal.code).toBe('ERR_MODEL_ARCHITECTURE');
});

describe.each(tested)('$name', ({ name, roles }) => {
  const file = path.join(folder, `${name}.pth`);
  const converted = path.join(folder, `${name}.safetensors`);

  test('is recognised in a file, and in one that it is converted to', async () => {
    await addon.createModel({ path: file, architecture: name, classes, seed: 1 });
    await addon.convert({ from: file, to: converted, format: 'safetensors', averaged: false });
    const [before, after] = [
      await addon.inspect(file, false),
      await addon.inspect(converted, false),
    ];
    for (const { architecture, classes: found } of [before, after]) {
      expect({ architecture, found }).toEqual({ architecture: name, found: classes });
    }
    // safetensors orders tensors by their type.
    const byName = (contents: typeof before) =>
      contents.tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(byName(after)).toEqual(byName(before));
  });

  test('answers for pictures, from both files alike', async () => {
    const pixels = new Uint8Array(2 * 32 * 32 * 3).map((_, i) => (i * 37) % 256);
    const answers = [];
    for (const model of [file, converted]) {
      const classifier = new addon.Classifier({
        averaged: false,
        model,
        imageSize: 32,
        mean,
        std,
        device: 'cpu',
        precision: 'fp32',
        threads: 1,
      });
      await classifier.load();
      answers.push(await classifier.logits(pixels));
      await classifier.close();
    }
    expect(answers[0]).toHaveLength(2 * classes);
    expect(answers[0]?.every(Number.isFinite)).toBe(true);
    expect(answers[1]).toEqual(answers[0]);
  });

  const teaches = roles.includes('teacher');
  test(teaches ? 'teaches' : 'does not teach', async () => {
    const session = new addon.Session({
      imageSize: 32,
      mean,
      std,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await session.open();
    const loading = session.loadTeacher(file, false);
    if (teaches) {
      expect(await loading).toMatchObject({ architecture: name, classes });
    } else {
      expect((await refusalOf(native(loading))).code).toBe('ERR_TEACHER_ARCHITECTURE');
    }
    await session.close();
  });
});
