import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  compare,
  convert,
  type DistillOptions,
  distill,
  exportOnnx,
  inspect,
  sweep,
} from '../../lib/index.js';
import { smallRun, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { collect } from '../helpers/predict.js';
import { refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);
let base: Awaited<ReturnType<typeof smallRun>>;
const options = <More extends Partial<DistillOptions>>(more: More) =>
  ({ ...base, ...more }) satisfies DistillOptions;
const quietly = { onWarning: () => {} };

beforeAll(async () => {
  base = await smallRun(folder);
});

/** The parameters of the CNN of a width, for two classes. */
function parametersOf(width: number): number {
  const c = 32 * width;
  const convolutions = [3, c, 2 * c, 4 * c].map((from, i) => (9 * from + 3) * c * 2 ** i);
  return convolutions.reduce((sum, one) => sum + one) + (8 * c + 1) * 4 * c + (4 * c + 1) * 2;
}

describe('a student of half the width', () => {
  const width = 0.5;
  const student = inFolder('out/narrow.pth');

  beforeAll(async () => {
    await distill(options({ student, width })).on('warning', () => {});
  });

  test('says so in its file', async () => {
    const found = await inspect(student);
    expect(found).toMatchObject({ architecture: 'cnn', width, classes: 2 });
    expect(found.parameters).toBe(parametersOf(width));
    expect(found.metadata?.options).toMatchObject({ width, dropRate: 0.2 });
  });

  test('is one of the usual width where none is given, of which the file says nothing', async () => {
    const usual = inFolder('out/usual.pth');
    await distill(options({ student: usual })).on('warning', () => {});
    const found = await inspect(usual);
    expect(found).toMatchObject({ architecture: 'cnn', width: 1 });
    expect(found.parameters).toBe(parametersOf(1));
    const recorded = Object.keys(found.metadata?.options ?? {});
    expect(recorded).not.toContain('width');
    expect(recorded).not.toContain('architecture');
  });

  test('predicts, also from the other format', async () => {
    const images = inFolder('dataset/val/ants');
    const other = inFolder('out/narrow.safetensors');
    await convert(student, other);
    const [first, second] = await Promise.all([
      collect({ student, images }),
      collect({ student: other, images }),
    ]);
    expect(first).toHaveLength(4);
    expect(second).toEqual(first);
    const back = inFolder('out/back.pth');
    await convert(other, back);
    expect(readFileSync(back)).toEqual(readFileSync(student));
  });

  test('becomes an ONNX model that answers alike', async () => {
    const { check } = await exportOnnx(student, inFolder('out/narrow.onnx'), quietly);
    expect(check).not.toBeNull();
  });

  test('goes on from its own width alone', async () => {
    const next = inFolder('out/next.pth');
    const given = { student: next, initialStudent: student, epochs: 1 };
    await distill(options({ ...given, width })).on('warning', () => {});
    expect((await inspect(next)).width).toBe(width);
    const refused = await refusalOf(distill(options(given)));
    expect(refused.code).toBe('ERR_CHECKPOINT_MISMATCH');
    expect(refused.message).toBe(
      `Expected a student with 2 classes in '${student}' (initialStudent), but it holds a student with 2 classes and width 0.5.`,
    );
  });

  test('is swept and compared, which says its width and cost', async () => {
    const { student: _, seed: __, ...rest } = base;
    const swept = await sweep({ ...rest, width, epochs: 1 });
    expect(swept.options).toMatchObject({ width });
    const compared = await compare({ ...rest, width, epochs: 1, seeds: 1 });
    expect(compared.options).toMatchObject({ width });
    expect(compared.costs.student?.parameters).toBe(parametersOf(width));
  });

  test('replaces a student of another width, and is replaced by one', async () => {
    const target = inFolder('out/replaced.pth');
    await distill(options({ student: target, epochs: 1 })).on('warning', () => {});
    await distill(options({ student: target, epochs: 1, width })).on('warning', () => {});
    expect((await inspect(target)).width).toBe(width);
  });
});

describe('options of the network', () => {
  test('a width goes with the CNN alone', async () => {
    const refused = await refusalOf(distill(options({ architecture: 'resnet18', width: 2 })));
    expect(refused.code).toBe('ERR_OPTION');
    expect(refused.message).toBe(
      "The `architecture` 'resnet18' has no `width`; leave it out, or take 'cnn'.",
    );
  });

  test('an unknown name is refused with those that there are', async () => {
    const refused = await refusalOf(distill(options({ architecture: 'resnet19' })));
    expect(refused.code).toBe('ERR_OPTION');
    expect(refused.message).toMatch(
      /^Expected 'cnn', 'resnet20', .* or a path that ends in \.pt2 for `architecture` but received 'resnet19'/,
    );
  });

  test('a network of another name is no student to start from', async () => {
    const initialStudent = await writeStudent(inFolder('two.pth'));
    const given = { architecture: 'resnet18', initialStudent };
    const refused = await refusalOf(distill(options(given)));
    expect(refused.code).toBe('ERR_CHECKPOINT_MISMATCH');
    expect(refused.message).toContain('Expected a resnet18 with 2 classes in');
  });
});
