import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import {
  compare,
  convert,
  type DistillOptions,
  distill,
  doctor,
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

  test('goes into a .pt2, with the sizes of its weights', async () => {
    const exported = inFolder('out/narrow.pt2');
    await convert(student, exported);
    expect(await inspect(exported)).toMatchObject({ architecture: 'cnn', width, classes: 2 });
    const program = JSON.parse(await loadAddon().readGraph(exported));
    const { sizes, strides } = program.graph_module.graph.tensor_values.p_features_4_weight;
    expect(sizes).toEqual([32, 16, 3, 3].map((size) => ({ as_int: size })));
    expect(strides).toEqual([144, 9, 3, 1].map((stride) => ({ as_int: stride })));
    expect(await collect({ student: exported, images: images() })).toEqual(
      await collect({ student, images: images() }),
    );
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

/** Distils, and returns the result and the codes of its warnings. */
async function distilled(given: Partial<DistillOptions> & { student: string }) {
  const codes: string[] = [];
  const run = distill(options({ epochs: 1, ...given })).on('warning', ({ code }) =>
    codes.push(code),
  );
  return { result: await run, codes };
}

const images = () => inFolder('dataset/val/ants');

describe.each(['resnet20', 'shufflenet_v2_x0_5'])('a %s', (architecture) => {
  const student = inFolder(`out/${architecture}.pth`);

  test('is trained, saved and asked, in each format', async () => {
    const { result } = await distilled({ student, architecture });
    const found = await inspect(student);
    expect(result).toMatchObject({ architecture, parameters: found.parameters });
    expect(found).toMatchObject({ architecture, classes: 2, width: null, graph: null });
    expect(found.metadata?.options).toMatchObject({ architecture });
    expect(found.metadata?.options).not.toHaveProperty('dropRate');
    const answers = await collect({ student, images: images() });
    expect(answers).toHaveLength(4);
    for (const ending of ['safetensors', 'pt2', 'pth']) {
      const other = inFolder(`out/${architecture}-again.${ending}`);
      await convert(student, other);
      expect(await inspect(other)).toMatchObject({ architecture, metadata: found.metadata });
      expect(await collect({ student: other, images: images() })).toEqual(answers);
    }
  });

  test('is gone on from, and replaces another student', async () => {
    const next = inFolder('out/next-network.pth');
    await distilled({ student: next });
    const { result } = await distilled({ student: next, architecture, initialStudent: student });
    expect(result.initial).not.toBeNull();
    expect((await inspect(next)).architecture).toBe(architecture);
  });
});

describe('a network of an exported program', () => {
  const program = path.resolve(import.meta.dirname, '../fixtures/student.pt2');
  const student = inFolder('out/own.pth');

  test('starts from its weights, with a fresh last layer for other classes', async () => {
    const { result, codes } = await distilled({ student, architecture: program });
    expect(codes).toContain('WARN_FRESH_HEAD');
    const parameters = 3 * 8 * 9 + 2 * 8 + 9 * 2;
    expect(result).toMatchObject({ architecture: 'Tiny', parameters });
    const found = await inspect(student);
    expect(found).toMatchObject({ architecture: 'Tiny', classes: 2, parameters, format: 'zip' });
    expect(found.graph).toMatchObject({ imageSize: null, refusal: null });
    expect(found.graph?.operators).toMatchObject({ 'aten.conv2d': 1, 'aten.linear': 1 });
    expect(found.metadata?.options).toMatchObject({ architecture: 'student.pt2' });
  });

  test('is asked, in each format', async () => {
    const answers = await collect({ student, images: images() });
    expect(answers).toHaveLength(4);
    for (const ending of ['safetensors', 'pt2', 'pth']) {
      const other = inFolder(`out/own-again.${ending}`);
      await convert(student, other);
      expect(await inspect(other)).toMatchObject({ architecture: 'Tiny', classes: 2 });
      expect(await collect({ student: other, images: images() })).toEqual(answers);
    }
  });

  test('is written as an exported program, from which another training starts', async () => {
    const first = inFolder('out/first.pt2');
    await distilled({ student: first, architecture: program });
    expect(await inspect(first)).toMatchObject({ format: 'pt2', classes: 2 });
    const second = inFolder('out/second.pt2');
    const { codes } = await distilled({ student: second, architecture: first });
    expect(codes).not.toContain('WARN_FRESH_HEAD');
    const { result } = await distilled({
      student: inFolder('out/third.pth'),
      architecture: program,
      initialStudent: second,
    });
    expect(result.initial).not.toBeNull();
  });

  test('is compared and swept', async () => {
    const { student: _, seed: __, ...rest } = base;
    const given = { ...rest, architecture: program, epochs: 1, seeds: 1 };
    const compared = await compare(given).on('warning', () => {});
    expect(compared.costs.student).toMatchObject({ architecture: 'Tiny' });
    expect(compared.options).toMatchObject({ architecture: 'student.pt2' });
    const swept = await sweep({ ...given, student: inFolder('out/swept.pt2') }).on(
      'warning',
      () => {},
    );
    expect(swept.points).toHaveLength(1);
    expect((await inspect(inFolder('out/swept.pt2'))).architecture).toBe('Tiny');
  });

  test.each<[string, Partial<DistillOptions>, string, RegExp]>([
    ['is not there', { architecture: 'none.pt2' }, 'ERR_CHECKPOINT_NOT_FOUND', /none\.pt2/],
    [
      'takes pictures of another size',
      { architecture: path.resolve(import.meta.dirname, '../fixtures/pt2/torch-2.13.pt2') },
      'ERR_GRAPH',
      /takes pictures of 8 x 8 pixels, and imageSize is 32: set imageSize to 8/,
    ],
    [
      'is asked for batches of one',
      { architecture: program, batchSize: 1 },
      'ERR_OPTION',
      /Expected a `batchSize` of at least 2/,
    ],
    [
      'starts from another network',
      { architecture: program, initialStudent: inFolder('out/usual.pth') },
      'ERR_CHECKPOINT_MISMATCH',
      /usual\.pth/,
    ],
    [
      'has no dropout',
      { architecture: 'resnet20', dropRate: 0.5 },
      'ERR_GRAPH',
      /has no dropout.*leave dropRate out/,
    ],
  ])('that %s is refused before pictures are prepared', async (_, given, code, message) => {
    let isPreparing = false;
    const run = distill(options({ student: inFolder('out/never.pth'), ...given }))
      .on('warning', () => {})
      .on('prepare', () => {
        isPreparing = true;
      });
    const refused = await refusalOf(run);
    expect(refused).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(isPreparing).toBe(false);
    expect(existsSync(inFolder('out/never.pth'))).toBe(false);
  });

  test('is examined', async () => {
    const { findings, time } = await doctor({ ...base, architecture: program });
    const student = findings.filter(({ check }) => check === 'student');
    expect(student).toMatchObject([
      { status: 'warning', message: expect.stringContaining('has 5 classes') },
    ]);
    expect(time).not.toBeNull();
  });
});
