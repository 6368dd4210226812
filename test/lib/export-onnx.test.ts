import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { fromBinary } from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-web';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import {
  convert,
  type DistillWarning,
  exportOnnx,
  inspect,
  type OnnxOptions,
} from '../../lib/index.js';
import { checkModel, findRuntime } from '../../lib/model/onnx/check.js';
import { ModelProtoSchema, TensorProto_DataType } from '../../lib/model/onnx/onnx_pb.js';
import { feed, samplePictures } from '../../lib/model/onnx/pictures.js';
import { STUDENT_TENSORS } from '../../lib/model/onnx/student.js';
import { loadAddon, type NativeTensor, native } from '../../lib/native.js';
import { packageRoot } from '../../lib/package.js';
import { runChild, runCommand } from '../helpers/child.js';
import {
  filesIn,
  mean,
  std,
  temporaryFolder,
  writePicture,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { refusalOf } from '../helpers/outcome.js';
import { writePth } from '../helpers/pth.js';
import { python, pythonWith, runPython } from '../helpers/python.js';
import { parseSafetensors, writeBytes } from '../helpers/safetensors.js';

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);
const out = (name: string) => inFolder('out', name);

const classes = ['ants', 'bees', "dragonfly's", 'ü', 'wasps'];
const metadata = { classes, mean, std, imageSize: 48, epoch: 7 };
const student = inFolder('student.safetensors');
const pth = inFolder('student.pth');
/** Seven pictures. */
const pictures: string[] = [];

/** A student as training leaves them: no statistic is 0 or 1, and its answers differ. */
async function writeTrained(file: string): Promise<void> {
  const fresh = await writeStudent(inFolder('fresh.pth'), { classes: classes.length, seed: 5 });
  const tensors = await native(loadAddon().readTensors(fresh, STUDENT_TENSORS));
  let state = 9;
  const between = (low: number, high: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + ((high - low) * state) / 2 ** 32;
  };
  const change: Record<string, (value: number) => number> = {
    'norm.weight': () => between(0.5, 1.5),
    'norm.bias': () => between(-0.3, 0.3),
    running_mean: () => between(-0.2, 0.2),
    running_var: () => between(0.02, 0.3),
  };
  const changed = STUDENT_TENSORS.map((name, i) => {
    const { shape, data } = tensors[i] as NativeTensor;
    const isNorm = /^features\.(1|5|9|13)\.(weight|bias)$/.test(name);
    const key = isNorm ? `norm.${name.split('.')[2]}` : name.replace(/^features\.\d+\./, '');
    return { name, shape, data: Float32Array.from(data, change[key] ?? ((value) => value)) };
  });
  await native(
    loadAddon().writeTensors({ path: file, tensors: changed, metadata: JSON.stringify(metadata) }),
  );
}

beforeAll(async () => {
  mkdirSync(inFolder('out'));
  await writeTrained(student);
  await convert(student, pth);
  for (let i = 0; i < 7; i++) {
    const colour = [40 * i, 255 - 30 * i, 128];
    pictures.push(await writePicture(inFolder(`pictures/${i}.png`), i, { size: 60, colour }));
  }
});

/** The model's answers for pictures of a size, all at once. */
async function answers(
  file: string,
  pixels: Uint8Array,
  { input = 'uint8', size = 48 }: Pick<OnnxOptions, 'input'> & { size?: number } = {},
): Promise<number[][]> {
  const count = pixels.length / (size * size * 3);
  const { type, data, shape } = feed(pixels, count, size, { input, mean, std });
  const session = await ort.InferenceSession.create(readFileSync(file));
  const [inputName = '', outputName = ''] = [...session.inputNames, ...session.outputNames];
  const output = (await session.run({ [inputName]: new ort.Tensor(type, data, shape) }))[
    outputName
  ];
  await session.release();
  expect(output?.dims).toEqual([count, classes.length]);
  return rows(output?.data as Float32Array);
}

const rows = (values: ArrayLike<number>) =>
  Array.from({ length: values.length / classes.length }, (_, i) =>
    Array.from(values).slice(i * classes.length, (i + 1) * classes.length),
  );

function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((value) => Math.exp(value - Math.max(...logits)));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

function expectClose(found: number[][], right: number[][]): void {
  expect(found.length).toBe(right.length);
  for (const [i, row] of right.entries()) {
    for (const [k, value] of row.entries()) {
      expect(Math.abs((found[i]?.[k] ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-4);
    }
  }
}

async function pixelsOf(files: readonly string[], size = 48): Promise<Uint8Array> {
  return Buffer.concat(
    await Promise.all(files.map((file) => decodeCrop(file, { imageSize: size }))),
  );
}

const kinds = (['uint8', 'float', 'normalized'] as const).flatMap((input) =>
  [true, false].flatMap((foldBatchNorm) =>
    [true, false].map((softmax) => ({ input, foldBatchNorm, softmax })),
  ),
);

describe.runIf(python)('PyTorch’s probabilities', () => {
  let right: number[][];
  beforeAll(() => {
    const question = { model: pth, paths: pictures, mean, std, imageSize: 48 };
    const logits = runPython(['test/parity/judge/reference.py', 'logits'], question) as number[][];
    right = logits.map(softmax);
    // The pictures are told apart: answers that do not depend on them would not pass.
    const third = right.map((row) => row[2] ?? 0);
    expect(Math.max(...third) - Math.min(...third)).toBeGreaterThan(0.05);
  });

  test.each(kinds)('are the model’s, one by one and seven at once: %o', async (options) => {
    const file = out('compared.onnx');
    await exportOnnx(student, file, options);
    const { input } = options;
    const finish = (found: number[][]) => (options.softmax ? found : found.map(softmax));
    expectClose(finish(await answers(file, await pixelsOf(pictures), { input })), right);
    for (const [i, picture] of pictures.entries()) {
      const one = await answers(file, await pixelsOf([picture]), { input });
      expectClose(finish(one), right.slice(i, i + 1));
    }
  });

  test('are those of a model of any size, for pictures that are not square', async () => {
    const file = out('any-size.onnx');
    await exportOnnx(pth, file, { dynamicSize: true });
    const [height, width] = [53, 90];
    const pixels = samplePictures(7, 90).subarray(0, 7 * height * width * 3);
    const script = `
import base64, json, sys
import reference, torch
q = json.load(sys.stdin)
pixels = torch.frombuffer(bytearray(base64.b64decode(q["pixels"])), dtype=torch.uint8).view(7, ${height}, ${width}, 3)
mean, std = (torch.tensor(q[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
with torch.no_grad():
    logits = reference.load_student(q["model"]).eval()((pixels.permute(0, 3, 1, 2) / 255 - mean) / std)
print(json.dumps(logits.softmax(1).tolist()))`;
    const question = { model: pth, pixels: Buffer.from(pixels).toString('base64'), mean, std };
    const right = runPython(['-c', script], question) as number[][];
    const session = await ort.InferenceSession.create(readFileSync(file));
    const fed = { pixels: new ort.Tensor('uint8', pixels, [7, height, width, 3]) };
    const { probabilities } = await session.run(fed);
    await session.release();
    expectClose(rows(probabilities?.data as Float32Array), right);
  });
});

describe('a model', () => {
  test('is checked before it is written, on batches of one and more', async () => {
    for (const options of kinds) {
      const { check } = await exportOnnx(student, out('checked.onnx'), options);
      expect(check).toMatchObject({
        runtime: expect.stringMatching(/^onnxruntime-\w+ \d/),
        pictures: 6,
      });
      expect(check?.maxDifference).toBeGreaterThan(0);
      expect(check?.maxDifference).toBeLessThanOrEqual(1e-4);
    }
    const { check } = await exportOnnx(student, out('checked.onnx'), { dynamicSize: true });
    expect(check?.pictures).toBe(12);
    expect(filesIn(inFolder('out')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('says what goes in and what comes out', async () => {
    const file = out('described.onnx');
    const found = await exportOnnx(student, file);
    expect(found).toEqual({
      path: file,
      bytes: readFileSync(file).length,
      opset: 26,
      irVersion: 13,
      input: { name: 'pixels', type: 'uint8', shape: ['N', 48, 48, 3] },
      output: { name: 'probabilities', type: 'float32', shape: ['N', 5] },
      check: expect.anything(),
    });
    const { input, output } = await exportOnnx(student, out('other.onnx'), {
      input: 'float',
      softmax: false,
      dynamicSize: true,
    });
    expect(input).toEqual({ name: 'images', type: 'float32', shape: ['N', 3, 'height', 'width'] });
    expect(output).toEqual({ name: 'logits', type: 'float32', shape: ['N', 5] });
    const session = await ort.InferenceSession.create(readFileSync(file));
    expect(session.inputMetadata).toMatchObject([found.input]);
    expect(session.outputMetadata).toMatchObject([found.output]);
    await session.release();
  });

  test('carries class names and preprocessing', async () => {
    const properties = async (options: OnnxOptions) => {
      await exportOnnx(student, out('properties.onnx'), options);
      const model = fromBinary(ModelProtoSchema, readFileSync(out('properties.onnx')));
      return Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]));
    };
    const found = await properties({});
    expect(found).toMatchObject({
      image_size: '48',
      input: 'uint8 (N, 48, 48, 3): RGB pixels; the model normalises them',
      output: 'float32 (N, 5): probabilities of the classes',
    });
    expect(JSON.parse(found.classes ?? '')).toEqual(classes);
    expect(JSON.parse(found.mean ?? '')).toEqual(mean);
    expect(JSON.parse(found.std ?? '')).toEqual(std);
    expect(JSON.parse(found['distill.json'] ?? '')).toEqual(metadata);

    const labels = ['a', 'b', 'c', 'd', 'e'];
    const other = await properties({
      labels,
      mean: [0.5, 0.5, 0.5],
      imageSize: 64,
      input: 'float',
    });
    expect(JSON.parse(other.classes ?? '')).toEqual(labels);
    expect(JSON.parse(other.mean ?? '')).toEqual([0.5, 0.5, 0.5]);
    expect(other.image_size).toBe('64');
  });

  test('has BatchNorm in its convolutions or apart, as asked', async () => {
    const operators = async (options: OnnxOptions) => {
      await exportOnnx(student, out('operators.onnx'), options);
      const { graph } = fromBinary(ModelProtoSchema, readFileSync(out('operators.onnx')));
      expect(
        graph?.initializer.every(({ dataType }) => dataType === TensorProto_DataType.FLOAT),
      ).toBe(true);
      return graph?.node.map(({ opType }) => opType);
    };
    const folded = await operators({});
    expect(folded).toEqual([
      ...['Transpose', 'Cast', 'Div', 'Sub', 'Div'],
      ...['Conv', 'Relu', 'MaxPool', 'Conv', 'Relu', 'MaxPool', 'Conv', 'Relu', 'MaxPool'],
      ...['Conv', 'Relu', 'GlobalAveragePool', 'Flatten', 'Gemm', 'Relu', 'Gemm', 'Softmax'],
    ]);
    const kept = await operators({ foldBatchNorm: false, softmax: false, input: 'normalized' });
    expect(kept?.filter((name) => name === 'BatchNormalization')).toHaveLength(4);
    expect(kept?.slice(0, 2)).toEqual(['Conv', 'BatchNormalization']);
    expect(kept?.at(-1)).toBe('Gemm');
  });

  test('is the same bytes for the same student, from either of its formats', async () => {
    await exportOnnx(student, out('a.onnx'));
    await exportOnnx(pth, out('b.onnx'));
    expect(readFileSync(out('a.onnx')).equals(readFileSync(out('b.onnx')))).toBe(true);
  });

  test('of a student without metadata is told all by options', async () => {
    const bare = await writeStudent(inFolder('bare.pth'), { classes: 2 });
    const labels = writeBytes(inFolder('labels.txt'), '0 ants\n1 bees\n');
    const options = { labels, mean, std };
    const { input } = await exportOnnx(bare, out('bare.onnx'), options);
    expect(input.shape).toEqual(['N', 224, 224, 3]);
  });
});

describe.runIf(pythonWith('onnx'))('Python’s onnx', () => {
  test('finds nothing wrong, whatever the options and the opset', async () => {
    const files: string[] = [];
    for (const [i, options] of kinds.entries()) {
      files.push(out(`kind-${i}.onnx`));
      await exportOnnx(student, out(`kind-${i}.onnx`), { ...options, dynamicSize: i % 2 === 0 });
    }
    for (let opset = 17; opset <= 26; opset++) {
      files.push(out(`opset-${opset}.onnx`));
      const found = await exportOnnx(student, out(`opset-${opset}.onnx`), { opset });
      expect(found.opset).toBe(opset);
    }
    const script = `
import json, sys
import onnx
for file in json.load(sys.stdin):
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version >= onnx.helper.find_min_ir_version_for(model.opset_import), file
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert inferred.graph.output == model.graph.output, file
print(json.dumps({prop.key: prop.value for prop in model.metadata_props}))`;
    const properties = runPython(['-c', script], files) as Record<string, string>;
    expect(JSON.parse(properties.classes ?? '')).toEqual(classes);
  });
});

describe('a model that would not answer as its student', () => {
  test('is not written, and what was there stays', async () => {
    const broken = inFolder('broken.safetensors');
    const bytes = readFileSync(student);
    const { header, data } = parseSafetensors(bytes);
    // Finite weights whose answers are not.
    const [begin, end] = header['classifier.3.weight'].data_offsets;
    for (let i = begin; i < end; i += 4) data.writeFloatLE(3e38, i);
    writeBytes(broken, bytes);
    mkdirSync(inFolder('kept'));
    const file = writeBytes(inFolder('kept/old.onnx'), 'old');
    const error = await refusalOf(exportOnnx(broken, file, { overwrite: true }));
    expect(error).toMatchObject({
      code: 'ERR_NOT_FINITE',
      message: expect.stringContaining(`The answers of '${broken}' for made-up pictures`),
    });
    expect(readFileSync(file, 'utf8')).toBe('old');
    const logits = await refusalOf(
      exportOnnx(broken, inFolder('kept/new.onnx'), { softmax: false }),
    );
    expect(logits.code).toBe('ERR_NOT_FINITE');
    expect(filesIn(inFolder('kept'))).toEqual(['old.onnx']);
  });

  test('is found out by a difference of more than 1e-4, and by no less', async () => {
    await exportOnnx(student, out('right.onnx'));
    const model = readFileSync(out('right.onnx'));
    const runtime = await findRuntime();
    if (typeof runtime === 'string') throw new Error(runtime);
    const pixels = samplePictures(3, 48);
    const input = feed(pixels, 3, 48, { input: 'uint8', mean, std });
    const [expected = new Float32Array()] = await runtime.run(model, [input]);
    const shifted = (by: number) => expected.map((value, i) => (i === 11 ? value + by : value));
    const check = (by: number) => checkModel(model, runtime, [{ input, expected: shifted(by) }]);
    expect((await check(0)).maxDifference).toBe(0);
    expect((await check(9e-5)).maxDifference).toBeCloseTo(9e-5, 6);
    for (const by of [1.1e-4, -1.1e-4, Number.NaN]) {
      expect((await refusalOf(check(by))).code).toBe('ERR_EXPORT_CHECK');
    }
    // Another model: its mean is not the student's.
    await exportOnnx(student, out('wrong.onnx'), { mean: [0.5, 0.456, 0.406] });
    const wrong = checkModel(readFileSync(out('wrong.onnx')), runtime, [{ input, expected }]);
    expect((await refusalOf(wrong)).code).toBe('ERR_EXPORT_CHECK');
    // And what is no model at all.
    const none = checkModel(Buffer.from('none'), runtime, [{ input, expected }]);
    expect(await refusalOf(none)).toMatchObject({
      code: 'ERR_EXPORT_CHECK',
      message: expect.stringContaining('does not run it'),
    });
  });
});

test('without an onnxruntime the check is said to be skipped', async () => {
  // The package where nothing else is installed but what it needs.
  const modules = inFolder('elsewhere/node_modules');
  mkdirSync(modules, { recursive: true });
  for (const name of readdirSync(path.join(packageRoot, 'node_modules'))) {
    if (/^onnxruntime|^\./.test(name)) continue;
    symlinkSync(path.join(packageRoot, 'node_modules', name), path.join(modules, name));
  }
  cpSync(path.join(packageRoot, 'dist'), inFolder('elsewhere/dist'), { recursive: true });
  cpSync(path.join(packageRoot, 'package.json'), inFolder('elsewhere/package.json'));
  const build = process.env.DISTILL_BUILD || 'build';
  symlinkSync(path.join(packageRoot, build), inFolder(`elsewhere/${build}`));

  const script = `
    const { exportOnnx } = await import(input.module);
    const warnings = [];
    const { check } = await exportOnnx(input.student, input.output, { onWarning: (warning) => warnings.push(warning) });
    await exportOnnx(input.student, input.output);
    console.log(JSON.stringify({ check, warnings }));`;
  const module = pathToFileURL(inFolder('elsewhere/dist/index.js')).href;
  const output = out('unchecked.onnx');
  const ended = await runChild(script, { input: { module, student, output } });
  expect(ended).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('WARN_EXPORT_UNCHECKED'),
  });
  const { check, warnings } = JSON.parse(ended.stdout);
  expect(check).toBeNull();
  expect(warnings).toEqual([
    {
      code: 'WARN_EXPORT_UNCHECKED',
      message:
        'The ONNX model was not checked: neither onnxruntime-node nor onnxruntime-web is installed.',
      path: output,
    },
  ] satisfies DistillWarning[]);
  await exportOnnx(student, out('unchecked-as-well.onnx'));
  expect(readFileSync(output).equals(readFileSync(out('unchecked-as-well.onnx')))).toBe(true);
});

describe('exportOnnx() refuses', () => {
  test.each<[string, unknown[]]>([
    ['input', ['uint16', '', 5, null]],
    ['softmax', [0, 'false', null]],
    ['foldBatchNorm', [0, 'false', null]],
    ['dynamicSize', [1, 'true', null]],
    ['opset', [16, 27, 20.5, '20', null]],
    ['labels', ['', 5, null, [], [5]]],
    ['mean', [[0.5, 0.5], [0.5, 0.5, 1.1], '0.5', null]],
    ['std', [[0.5, 0.5], [0.2, 0, 0.2], '0.5', null]],
    ['imageSize', [0, 31, 4097, '48', null]],
    ['onWarning', ['log', null, {}]],
  ])('a wrong `%s`, saying what it should be', async (name, values) => {
    for (const value of values) {
      const error = await refusalOf(exportOnnx(student, out('never.onnx'), { [name]: value }));
      const message = new RegExp(`^Expected .{5,} for \`${name}\` but received .+\\.$`);
      expect(error).toMatchObject({ code: 'ERR_OPTION', message: expect.stringMatching(message) });
    }
    const error = await refusalOf(
      exportOnnx(student, out('never.onnx'), { [`${name}x`]: 1 } as never),
    );
    expect(error.message).toContain(`did you mean \`${name}\`?`);
  });

  test.each<[string, string, RegExp, () => unknown[] | Promise<unknown[]>]>([
    ['no file', 'ERR_OPTION', /a path for `student`/, () => ['', out('never.onnx')]],
    ['no output', 'ERR_OPTION', /a path for `output`/, () => [student, undefined]],
    [
      'a student that is missing',
      'ERR_CHECKPOINT_NOT_FOUND',
      /no such file/,
      () => [inFolder('none.pth'), out('never.onnx')],
    ],
    [
      'a damaged student',
      'ERR_CHECKPOINT_CORRUPT',
      /damaged/,
      () => [
        writeBytes(inFolder('cut.safetensors'), readFileSync(student).subarray(0, 9999)),
        out('never.onnx'),
      ],
    ],
    [
      'a DenseNet',
      'ERR_MODEL_ARCHITECTURE',
      /holds a densenet121.*torch\.onnx\.export/,
      async () => [await writeTeacher(inFolder('teacher.pth')), out('never.onnx')],
    ],
    [
      'another network',
      'ERR_MODEL_ARCHITECTURE',
      /holds no student/,
      async () => [
        await writePth(inFolder('other.pth'), { a: { shape: [1], data: [1] } }),
        out('never.onnx'),
      ],
    ],
    [
      'an ONNX model',
      'ERR_CHECKPOINT_FORMAT',
      /is an ONNX model/,
      async () => [(await exportOnnx(student, inFolder('itself.onnx'))).path, out('never.onnx')],
    ],
    [
      'a student without its metadata',
      'ERR_NO_METADATA',
      /carries no labels, mean, std/,
      async () => [await writeStudent(inFolder('bare.pth')), out('never.onnx')],
    ],
    [
      'other labels',
      'ERR_LABELS',
      /5 classes, but there are 1 labels/,
      () => [student, out('never.onnx'), { labels: ['a'] }],
    ],
    [
      'NaN',
      'ERR_CHECKPOINT_NOT_FINITE',
      /classifier\.3\.weight/,
      () => {
        const bytes = readFileSync(student);
        const { header, data } = parseSafetensors(bytes);
        data.writeFloatLE(Number.NaN, header['classifier.3.weight'].data_offsets[0]);
        return [writeBytes(inFolder('nan.safetensors'), bytes), out('never.onnx')];
      },
    ],
    [
      'a student that lacks a tensor',
      'ERR_CHECKPOINT_MISMATCH',
      /1 missing \(features\.9\.running_var\)/,
      () => {
        const bytes = readFileSync(student);
        bytes.write('X', bytes.indexOf('features.9.running_var'));
        return [writeBytes(inFolder('lacking.safetensors'), bytes), out('never.onnx')];
      },
    ],
    [
      'an output that is the student',
      'ERR_OPTION',
      /`output` is the student's own file/,
      () => [student, student],
    ],
    [
      'an output in no folder',
      'ERR_WRITE',
      /create its folder/,
      () => [student, inFolder('none/s.onnx')],
    ],
    ['an output that is a folder', 'ERR_WRITE', /is a folder/, () => [student, folder]],
  ])('%s', async (_, code, message, given) => {
    const before = readFileSync(student);
    const call = exportOnnx as (...given: unknown[]) => Promise<unknown>;
    const error = await refusalOf(call(...(await given())));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(filesIn(inFolder('out')).filter((name) => /never|tmp/.test(name))).toEqual([]);
    expect(readFileSync(student).equals(before)).toBe(true);
  });
});

describe('convert()', () => {
  test.each(['student', 'densenet121'])('keeps a %s bit by bit', async (architecture) => {
    const first = inFolder(`${architecture}-1.pth`);
    await loadAddon().createModel({ path: first, architecture, classes: 5, seed: 4 });
    const there = await convert(first, inFolder(`${architecture}-2.safetensors`));
    expect(there).toMatchObject({ format: 'safetensors', architecture, classes: 5 });
    const back = await convert(there.path, inFolder(`${architecture}-3.pt`));
    expect(back.format).toBe('pth');
    expect((await inspect(there.path)).format).toBe('safetensors');
    expect(readFileSync(back.path).equals(readFileSync(first))).toBe(true);
  });

  test('keeps what a run said of a student', async () => {
    expect((await inspect(pth)).metadata).toEqual(metadata);
    expect((await inspect(pth)).format).toBe('zip');
    const again = await convert(pth, out('again.bin'), { format: 'safetensors' });
    expect((await inspect(again.path)).metadata).toEqual(metadata);
  });

  test.each<[string, string, RegExp, () => unknown[] | Promise<unknown[]>]>([
    [
      'a name that says no format',
      'ERR_OPTION',
      /\.pth, \.pt or \.safetensors.*`output`/,
      () => [student, out('never.bin')],
    ],
    [
      'another format',
      'ERR_OPTION',
      /'pth' or 'safetensors' for `format` but received 'onnx'/,
      () => [student, out('never.pth'), { format: 'onnx' }],
    ],
    ['the file itself', 'ERR_OPTION', /`output` is the model's own file/, () => [student, student]],
    [
      'another network',
      'ERR_MODEL_ARCHITECTURE',
      /not those of a student/,
      async () => [
        await writePth(inFolder('other.pth'), { a: { shape: [1], data: [1] } }),
        out('never.pth'),
      ],
    ],
    [
      'an output in no folder',
      'ERR_WRITE',
      /create its folder/,
      () => [student, inFolder('none/s.pth')],
    ],
  ])('refuses %s', async (_, code, message, given) => {
    const call = convert as (...given: unknown[]) => Promise<unknown>;
    const error = await refusalOf(call(...(await given())));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(filesIn(inFolder('out')).filter((name) => /never|tmp/.test(name))).toEqual([]);
  });
});

describe('the command export', () => {
  test('writes ONNX, and says what it takes and that it was checked', async () => {
    const file = out('by-command.onnx');
    const said = await runCommand(['export', student, '-o', file]);
    expect(said).toMatchObject({ code: 0, stderr: '' });
    const [first, second, third] = said.stdout.split('\n');
    expect(first).toMatch(/by-command\.onnx: ONNX opset 26, 1\.7 MB$/);
    expect(second).toBe('Takes pixels uint8 (N, 48, 48, 3), gives probabilities float32 (N, 5)');
    expect(third).toMatch(
      /^Checked: onnxruntime-\w+ [\d.]+ answers as the student within [\d.]+e-\d+$/,
    );
  });

  test('takes every option of the API', async () => {
    const output = out('options.onnx');
    const labels = writeBytes(inFolder('five.txt'), '0 a\n1 b\n2 c\n3 d\n4 e\n');
    const flags = ['--input', 'float', '--no-softmax', '--no-fold-batch-norm', '--dynamic-size'];
    const more = ['--opset', '20', '--labels', labels, '--mean', '0,0,0', '--std', '1,1,1'];
    const given = ['--format', 'onnx', '-o', output, ...flags, ...more, '--image-size', '40'];
    const { code, stdout } = await runCommand(['export', student, ...given, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'export',
      format: 'onnx',
      path: output,
      opset: 20,
      irVersion: 9,
      input: { name: 'images', shape: ['N', 3, 'height', 'width'] },
      output: { name: 'logits' },
      check: { pictures: 12 },
    });
    const model = fromBinary(ModelProtoSchema, readFileSync(output));
    const properties = model.metadataProps.map(({ key, value }) => [key, value]);
    expect(Object.fromEntries(properties)).toMatchObject({
      classes: '["a","b","c","d","e"]',
      mean: '[0,0,0]',
      std: '[1,1,1]',
      image_size: '40',
    });
    expect(model.graph?.node.map(({ opType }) => opType)).toContain('BatchNormalization');
  });

  test('converts, by the name or the format', async () => {
    const named = out('named.pth');
    const { code, stdout } = await runCommand(['export', student, '-o', named]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${named}: student of 5 classes, pth\n` });
    expect(readFileSync(named).equals(readFileSync(pth))).toBe(true);
    const asked = ['export', pth, '--format', 'safetensors', '-o', out('asked.bin'), '--json'];
    const said = await runCommand(asked);
    expect(JSON.parse(said.stdout)).toEqual({
      event: 'export',
      path: out('asked.bin'),
      format: 'safetensors',
      architecture: 'student',
      classes: 5,
    });
  });

  test.each<[string, number, RegExp, () => string[]]>([
    ['no output', 2, /export needs --output\./, () => [student]],
    [
      'a name that says nothing',
      2,
      /ends in none of \.onnx, \.pth, \.pt, \.safetensors; pass --format/,
      () => [student, '-o', out('never')],
    ],
    [
      'an unknown format',
      2,
      /onnx, pth, safetensors/,
      () => [student, '-o', out('never'), '--format', 'tf'],
    ],
    [
      'options of ONNX for another format',
      2,
      /--no-softmax is of ONNX, not of --format pth/,
      () => [student, '-o', out('never.pth'), '--no-softmax'],
    ],
    [
      'a wrong opset',
      2,
      /17\.\.26 for --opset but received 9/,
      () => [student, '-o', out('never.onnx'), '--opset', '9'],
    ],
    [
      'a missing student',
      1,
      /no such file.*ERR_CHECKPOINT_NOT_FOUND/,
      () => [inFolder('none.pth'), '-o', out('never.onnx')],
    ],
  ])('with %s fails', async (_, expected, says, given) => {
    const { code, stdout, stderr } = await runCommand(['export', ...given()]);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(says);
    expect(filesIn(inFolder('out')).filter((name) => /never/.test(name))).toEqual([]);
  });
});
