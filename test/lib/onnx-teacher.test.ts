import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { sampleImages } from '../../lib/export-onnx/samples.js';
import {
  compare,
  distill,
  doctor,
  exportOnnx,
  inspect,
  type OnnxOptions,
  predict,
  sweep,
  teacherLogits,
} from '../../lib/index.js';
import type { ModelProto } from '../../lib/model/onnx/onnx_pb.js';
import { readOnnx, sha256OfOnnx } from '../../lib/model/onnx-teacher/model.js';
import { OnnxNetwork } from '../../lib/model/onnx-teacher/network.js';
import { centerCropOf, type Preprocessing, UNNORMALIZED } from '../../lib/model/preprocessing.js';
import { copyAlone } from '../helpers/alone.js';
import { runChild } from '../helpers/child.js';
import { smallRun } from '../helpers/dataset.js';
import { epochsOf } from '../helpers/distill.js';
import { classes, folder, inFolder, metadata, out, student } from '../helpers/onnx.js';
import {
  answersFor,
  type ModelOptions,
  moveOut,
  setPort,
  weights,
  writeModel,
} from '../helpers/onnx-model.js';
import { refusalOf } from '../helpers/results.js';

const size = 20;
const images = 18; // more than a batch
const pixels = sampleImages(images, size);
const plain: Preprocessing = { ...centerCropOf(size), ...UNNORMALIZED };
const normalized: Preprocessing = {
  ...centerCropOf(size),
  mean: [0.4, 0.5, 0.6],
  std: [0.2, 0.3, 0.1],
};

const open: OnnxNetwork[] = [];
afterEach(() => Promise.all(open.splice(0).map((network) => network.close())));

/** Opens a model that is closed after the test. */
async function opened(file: string, preprocessing = plain, more = {}): Promise<OnnxNetwork> {
  const network = await OnnxNetwork.open(await readOnnx(file), preprocessing, {
    threads: 1,
    ...more,
  });
  open.push(network);
  return network;
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4) {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs((found[i] ?? Number.NaN) - (expected[i] ?? 0)), `${i}`).toBeLessThan(tolerance);
  }
}

describe('a model', () => {
  const values = (of: Preprocessing) =>
    Float32Array.from(
      pixels,
      (value, i) => (value / 255 - (of.mean[i % 3] ?? 0)) / (of.std[i % 3] ?? 1),
    );

  test('is fed normalised pictures, channels first or last, in batches of any size or one', async () => {
    const expected = answersFor(values(normalized), images);
    for (const [layout, shape] of [
      ['NCHW', undefined],
      ['NCHW', [5, 3, size, size]],
      ['NCHW', ['N', 'C', 'H', 'W']],
      ['NHWC', undefined],
    ] as const) {
      const file = writeModel(out('fed.onnx'), { layout, ...(shape && { shape: [...shape] }) });
      const network = await opened(file, normalized);
      expect(network.classes).toBe(2);
      expectClose(await network.logits(pixels), expected);
    }
  });

  test('of uint8 is fed the pixels', async () => {
    for (const layout of ['NCHW', 'NHWC'] as const) {
      const file = writeModel(out('bytes.onnx'), { layout, ofBytes: true });
      const logits = await (await opened(file, normalized)).logits(pixels);
      expectClose(logits, answersFor(pixels, images), 1e-2);
    }
  });

  test('that ends with a softmax answers with logarithms, of which none is infinite', async () => {
    const file = writeModel(out('softmax.onnx'), { last: 'Softmax' });
    const loud = { ...plain, std: [0.001, 0.001, 0.001] } as const;
    const logits = await (await opened(file, loud)).logits(pixels);
    const expected = answersFor(values(loud), images);
    expect([...logits].every(Number.isFinite)).toBe(true);
    for (let i = 0; i < logits.length; i += 2) {
      const [a = 0, b = 0] = logits.subarray(i, i + 2);
      const gap = Math.max(-87.4, Math.min(87.4, (expected[i] ?? 0) - (expected[i + 1] ?? 0)));
      expect(Math.abs(a - b - gap)).toBeLessThan(0.1);
    }
  });

  test('with several outputs answers with the one that has the classes', async () => {
    const file = writeModel(out('several.onnx'), {
      change: ({ graph }) => {
        const [output] = graph?.output ?? [];
        if (!graph || !output) return;
        const features = graph.node[1]?.output[0] ?? '';
        graph.output.unshift({ ...output, name: features });
        graph.output[0] = structuredClone(graph.output[0] as typeof output);
        setPort(graph.output[0], ['N', 3]);
      },
    });
    expect((await opened(file, plain, { classes: 2 })).classes).toBe(2);
    expect((await opened(file, plain, { classes: 3 })).classes).toBe(3);
    const { code, message } = await refusalOf(opened(file, plain, { classes: 7 }));
    expect(code).toBe('ERR_ONNX');
    expect(message).toMatch(
      /'Flatten_1' float32 \(N, 3\), 'logits' float32 \(N, 2\).* none is logits \(N, 7\)/,
    );
  });

  test('may have weights in a file beside it, whose bytes count', async () => {
    const data = out('weights.data');
    const file = writeModel(out('external.onnx'), {
      change: ({ graph }) => {
        writeFileSync(data, moveOut(graph?.initializer[0], 'weights.data'));
      },
    });
    expectClose(await (await opened(file)).logits(pixels), answersFor(values(plain), images));
    const before = await readOnnx(file);
    expect(before.bytes).toBe(readFileSync(file).length + 24);
    const digest = await sha256OfOnnx(before);
    const changed = Float32Array.from(weights, (weight) => -weight);
    writeFileSync(data, new Uint8Array(changed.buffer));
    expect(await sha256OfOnnx(await readOnnx(file))).not.toBe(digest);
  });

  test('answers beside the event loop, and stops between batches', async () => {
    const network = await opened(writeModel(out('beside.onnx')));
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await network.logits(sampleImages(64, size));
    isDone = true;
    expect(turns).toBeGreaterThan(3);
    const stopping = new AbortController();
    const asked = network.logits(sampleImages(64, size), stopping.signal);
    const reason = new Error('enough');
    stopping.abort(reason);
    await expect(asked).rejects.toBe(reason);
  });
});

describe('a student that exportOnnx() wrote', () => {
  const picture = { input: 'picture', softmax: false } as const;
  test.each<[string, OnnxOptions]>([
    ['uint8', { input: 'uint8', softmax: false }],
    ['uint8 with softmax', {}],
    ['float', { input: 'float', softmax: false, dynamicSize: true }],
    ['normalized', { input: 'normalized', softmax: false }],
    ['picture that is resized', { ...picture, resize: 60, interpolation: 'bicubic' }],
    [
      'picture that is resized to the nearest',
      { ...picture, resize: 60, interpolation: 'nearest' },
    ],
  ])('teaches as it answers: %s', async (_, options) => {
    const file = out('own.onnx');
    await exportOnnx(student, file, options);
    const model = await readOnnx(file);
    expect(model).toMatchObject({ classes: classes.length, metadata: { classes, imageSize: 48 } });
    const { mean, std } = metadata;
    const crops = sampleImages(3, 48);
    const shape = { ...centerCropOf(48), mean, std };
    const logits = await (await opened(file, shape)).logits(crops);
    const execution = { device: 'cpu', precision: 'fp32', threads: 1 } as const;
    const classifier = new (loadAddon().Classifier)({
      averaged: false,
      model: student,
      mean,
      std,
      imageSize: 48,
      ...execution,
    });
    await native(classifier.load());
    const expected = await native(classifier.logits(crops));
    await classifier.close();
    const shift = (row: ArrayLike<number>, i: number) =>
      options.softmax === false ? 0 : (row[i - (i % classes.length)] ?? 0);
    expectClose(
      logits.map((logit, i) => logit - shift(logits, i)),
      expected.map((logit, i) => logit - shift(expected, i)),
    );
  });

  test('is told with the preprocessing of the export, not of its training', async () => {
    const file = out('other-steps.onnx');
    const other = { mean: [0.1, 0.2, 0.3], std: [1, 1, 1], resize: 60 } as const;
    await exportOnnx(student, file, other);
    const { metadata: found } = await readOnnx(file);
    expect(found).toMatchObject({ ...other, classes, imageSize: 48, epoch: 7 });
  });
});

describe('with an ONNX teacher', () => {
  let base: Awaited<ReturnType<typeof smallRun>>;
  let teacher: string;
  beforeAll(async () => {
    base = await smallRun(path.join(folder, 'run'));
    teacher = writeModel(inFolder('run/teacher.onnx'));
  });

  test('distill(), sweep() and compare() learn from its answers', async () => {
    const epochs = await epochsOf({ ...base, teacher });
    const logits = inFolder('run/logits.safetensors');
    const { dataset, mean, std, imageSize } = base;
    const written = await teacherLogits({ teacher, dataset, mean, std, imageSize, output: logits });
    expect(written).toMatchObject({ architecture: 'onnx', images: { train: 11, val: 7 } });
    const { teacher: _, ...rest } = base;
    expect(await epochsOf({ ...rest, teacherLogits: logits })).toEqual(epochs);
    const { student: __, seed: ___, ...trials } = { ...base, teacher, epochs: 1, seeds: [1] };
    const { best } = await sweep({ ...trials, temperature: [1, 2] }).on('warning', () => {});
    expect(best).not.toBeNull();
    const compared = await compare(trials).on('warning', () => {});
    expect(compared.costs.teacher).toMatchObject({ architecture: 'onnx', parameters: 6 });
    expect(compared.teacherScores?.accuracy).toBeGreaterThanOrEqual(0);
  });

  test('a kept store is taken over for the same bytes only', async () => {
    const cacheDir = inFolder('run/stores');
    const run = async () => {
      const { store, imagesPerSecond } = await distill({
        ...base,
        teacher,
        cacheDir,
        epochs: 1,
      }).on('warning', () => {});
      return { store, isReused: imagesPerSecond.prepare === 0 };
    };
    const first = await run();
    expect(first.isReused).toBe(false);
    expect(await run()).toEqual({ store: first.store, isReused: true });
    const other = writeModel(inFolder('run/teacher.onnx'), { last: 'Softmax' });
    expect(other).toBe(teacher);
    expect((await run()).store).not.toBe(first.store);
    writeModel(teacher);
  });

  test('doctor() asks it', async () => {
    const { findings, teacher: found, time } = await doctor({ ...base, teacher });
    const named = (check: string) => findings.find((finding) => finding.check === check);
    expect(named('teacher')?.message).toMatch(
      /teacher\.onnx' holds an ONNX model for 2 classes, run by onnxruntime-\w+ \d/,
    );
    expect(named('accuracy')?.message).toMatch(/^The teacher is right for /);
    expect(found).toMatchObject({ architecture: 'onnx', classes: 2, scores: { images: 7 } });
    expect(time?.imagesPerSecond.teacher).toBeGreaterThan(0);
  });

  test('without an onnxruntime, the run and doctor() name the remedy', async () => {
    const script = `
      const alone = await import(input.module);
      const refused = await alone.distill(input.options).then(() => null, ({ code, message }) => ({ code, message }));
      const { findings } = await alone.doctor(input.options);
      console.log(JSON.stringify({ refused, problem: findings.find(({ status }) => status === 'problem') }));`;
    const module = copyAlone(inFolder('alone'));
    const { stdout, stderr } = await runChild(script, {
      input: { module, options: { ...base, teacher } },
    });
    expect(stderr).toBe('');
    const { refused, problem } = JSON.parse(stdout);
    const expected = {
      code: 'ERR_ONNX_RUNTIME',
      message: expect.stringMatching(
        /neither onnxruntime-node nor onnxruntime-web is installed; run `npm install onnxruntime-node`\.$/,
      ),
    };
    expect(refused).toEqual(expected);
    expect(problem).toMatchObject({
      ...expected,
      check: 'teacher',
      remedy: 'Install `onnxruntime-node`, or `onnxruntime-web`, beside the package.',
    });
  });

  test('an answer that is no finite number is refused with the picture', async () => {
    const broken = writeModel(inFolder('run/broken.onnx'), { last: 'Log' });
    const { code, message } = await refusalOf(distill({ ...base, teacher: broken }));
    expect(code).toBe('ERR_NOT_FINITE');
    expect(message).toMatch(/broken\.onnx' for the picture train\/ants\/0\.png are not finite/);
  });

  test('a run can be aborted while it answers', async () => {
    const aborting = new AbortController();
    const run = distill({ ...base, teacher, signal: aborting.signal });
    run.on('prepare', () => aborting.abort());
    const { code } = await refusalOf(run);
    expect(code).toBe('ERR_ABORTED');
  });

  test.each<[string, ModelOptions, RegExp, string?]>([
    [
      'another number of classes',
      { change: threeClasses },
      /has 3 classes, but/,
      'ERR_TEACHER_CLASSES',
    ],
    [
      'pictures of another size',
      { shape: ['N', 3, 48, 48] },
      /takes pictures of 48 x 48 pixels, but `imageSize` is 32; set `imageSize` to 48 \(--image-size 48\)/,
    ],
    ['no squares', { shape: ['N', 3, 32, 48] }, /pictures are squares here/],
    [
      'grey pictures',
      { shape: ['N', 1, 32, 32] },
      /takes 'images' float32 \(N, 1, 32, 32\), not pictures/,
    ],
    ['a sigmoid', { last: 'Sigmoid' }, /ends with a sigmoid/],
    [
      'another type',
      { change: ({ graph }) => setPort(graph?.input[0], ['N', 3, 32, 32], 11) },
      /takes 'images' float64/,
    ],
    [
      'two inputs',
      {
        change: ({ graph }) => {
          graph?.input.push({
            ...(graph.input[0] as NonNullable<(typeof graph.input)[0]>),
            name: 'more',
          });
        },
      },
      /has 2 inputs \('images' float32 \(N, 3, any, any\), 'more' float32/,
    ],
    [
      'no logits',
      { change: ({ graph }) => setPort(graph?.output[0], ['N', 2, 7, 7]) },
      /none of which is logits/,
    ],
    [
      'huge batches',
      { shape: [100_000_000, 3, 32, 32] },
      /takes batches of 100000000 pictures, and 1024 are the most/,
    ],
    [
      'an unknown operator',
      {
        change: ({ graph }) => {
          if (graph?.node[0]) graph.node[0].opType = 'Frobnicate';
        },
      },
      /is not run by onnxruntime-\w+ .*Frobnicate/,
    ],
    [
      'weights elsewhere',
      { change: ({ graph }) => void moveOut(graph?.initializer[0], '../../etc/passwd') },
      /not in a file of its own folder/,
    ],
    [
      'weights that are missing',
      { change: ({ graph }) => void moveOut(graph?.initializer[0], 'gone.data') },
      /has weights in 'gone\.data', which is not there/,
    ],
  ])(
    'a model of %s is refused before a picture is decoded',
    async (_, options, expected, wanted = 'ERR_ONNX') => {
      const file = writeModel(inFolder('run/refused.onnx'), options);
      let decoded = 0;
      const run = distill({ ...base, teacher: file }).on('prepare', () => decoded++);
      const { code, message } = await refusalOf(run);
      expect({ code, message }).toEqual({ code: wanted, message: expect.stringMatching(expected) });
      expect(decoded).toBe(0);
    },
  );

  test('doctor() finds what the run would be refused for', async () => {
    const file = writeModel(inFolder('run/large.onnx'), { shape: ['N', 3, 48, 48] });
    const { findings } = await doctor({ ...base, teacher: file });
    expect(findings.find(({ status }) => status === 'problem')).toMatchObject({
      code: 'ERR_ONNX',
      message: expect.stringContaining('set `imageSize` to 48'),
    });
  });

  test('a file that is none, or a model elsewhere than as the teacher, is refused by its name', async () => {
    const text = inFolder('run/text.onnx');
    writeFileSync(text, 'no model');
    expect((await refusalOf(distill({ ...base, teacher: text }))).code).toBe('ERR_ONNX');
    const absent = inFolder('run/absent.onnx');
    const { code } = await refusalOf(distill({ ...base, teacher: absent }));
    expect(code).toBe('ERR_CHECKPOINT_NOT_FOUND');
    for (const call of [inspect(teacher), predict({ student: teacher, images: base.dataset })]) {
      const { code, message } = await refusalOf(call);
      expect(code).toBe('ERR_CHECKPOINT_FORMAT');
      expect(message).toMatch(/is an ONNX model, which can only be given as `teacher`/);
    }
  });

  test('damaged files give an error with a code, whatever is changed', async () => {
    const whole = readFileSync(teacher);
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const file = inFolder('run/damaged.onnx');
    for (let i = 0; i < 500; i++) {
      const bytes = Buffer.from(
        whole.subarray(0, i % 4 === 0 ? random(whole.length) : whole.length),
      );
      for (let k = 0; k <= random(4) && bytes.length > 0; k++)
        bytes[random(bytes.length)] = random(256);
      writeFileSync(file, bytes);
      const error = await readOnnx(file).then(
        () => null,
        (error: { code?: string }) => error,
      );
      if (error) expect(error.code).toMatch(/^ERR_(ONNX|CHECKPOINT_CORRUPT)$/);
    }
  });
});

function threeClasses({ graph }: ModelProto): void {
  const matrix = graph?.initializer[0];
  if (!matrix) return;
  matrix.dims = [3n, 3n];
  matrix.rawData = new Uint8Array(36);
  setPort(graph?.output[0], ['N', 'classes']);
}
