import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import * as ort from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { sampleImages } from '../../lib/export-onnx/samples.js';
import { type DistillWarning, exportOnnx, type OnnxOptions } from '../../lib/index.js';
import { ModelProtoSchema, TensorProto_DataType } from '../../lib/model/onnx/onnx_pb.js';
import { copyAlone } from '../helpers/alone.js';
import { runChild } from '../helpers/child.js';
import { filesIn, mean, std, writeStudent, writeTeacher } from '../helpers/dataset.js';
import { classes, folder, inFolder, kinds, metadata, out, pth, student } from '../helpers/onnx.js';
import { writePth } from '../helpers/pth.js';
import { refusalOf } from '../helpers/results.js';
import { parseSafetensors, writeBytes } from '../helpers/safetensors.js';

describe('a model', () => {
  test('is checked before it is written, on batches of one and more', async () => {
    for (const options of kinds) {
      const { check } = await exportOnnx(student, out('checked.onnx'), options);
      expect(check).toMatchObject({
        runtime: expect.stringMatching(/^onnxruntime-\w+ \d/),
        images: 6,
      });
      expect(check?.maxDifference).toBeGreaterThan(0);
      expect(check?.maxDifference).toBeLessThanOrEqual(1e-4);
    }
    const { check } = await exportOnnx(student, out('checked.onnx'), { dynamicSize: true });
    expect(check?.images).toBe(12);
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

  test('of whole pictures takes one of any size', async () => {
    const file = out('picture.onnx');
    const { input, output, check } = await exportOnnx(student, file, { input: 'picture' });
    expect(input).toEqual({ name: 'picture', type: 'uint8', shape: ['height', 'width', 3] });
    expect(output).toEqual({ name: 'probabilities', type: 'float32', shape: [1, 5] });
    expect(check?.images).toBe(4);
    expect(check?.maxDifference).toBeLessThanOrEqual(1e-4); // as nothing is resized
    const session = await ort.InferenceSession.create(readFileSync(file));
    const [height, width] = [37, 90];
    const picture = new ort.Tensor('uint8', sampleImages(1, height, width), [height, width, 3]);
    const { probabilities } = await session.run({ picture });
    expect(probabilities?.dims).toEqual([1, 5]);
    await session.release();
  });

  test('of whole pictures resizes as it is told, and says so', async () => {
    const file = out('resizing.onnx');
    const steps = { resize: 60, interpolation: 'bicubic', padding: 2 } as const;
    const { check } = await exportOnnx(student, file, { input: 'picture', ...steps });
    expect(check?.maxDifference).toBeLessThanOrEqual(1e-3);
    const { metadataProps, graph } = fromBinary(ModelProtoSchema, readFileSync(file));
    const properties = Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]));
    expect(properties.input).toBe(
      'uint8 (height, width, 3): RGB pixels of one picture; the model resizes the shorter side to 60 (bicubic), adds black on each side (2, 2, 2, 2), takes the 48 x 48 in the middle and normalises them',
    );
    expect(properties.output).toBe('float32 (1, 5): probabilities of the classes');
    expect(JSON.parse(properties.preprocessing ?? '')).toEqual({ ...steps, padding: [2, 2, 2, 2] });
    expect(graph?.node.filter(({ opType }) => opType === 'Resize')).toHaveLength(2);
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

test('without an onnxruntime the check is said to be skipped', async () => {
  const script = `
    const { exportOnnx } = await import(input.module);
    const warnings = [];
    const { check } = await exportOnnx(input.student, input.output, { onWarning: (warning) => warnings.push(warning) });
    await exportOnnx(input.student, input.output);
    console.log(JSON.stringify({ check, warnings }));`;
  const module = copyAlone(inFolder('elsewhere'));
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
      /holds a densenet121, whose graph.*torch\.onnx\.export/,
      async () => [await writeTeacher(inFolder('teacher.pth')), out('never.onnx')],
    ],
    [
      'another network',
      'ERR_MODEL_ARCHITECTURE',
      /holds no network.*and no graph/,
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
      /has no labels, mean, std/,
      async () => [await writeStudent(inFolder('bare.pth')), out('never.onnx')],
    ],
    [
      'other labels',
      'ERR_LABELS',
      /5 classes, but there are 1 labels/,
      () => [student, out('never.onnx'), { labels: ['a'] }],
    ],
    [
      'any size for whole pictures, which have it',
      'ERR_OPTION',
      /`dynamicSize` is of no use with `input: 'picture'`.*leave it out/,
      () => [student, out('never.onnx'), { input: 'picture', dynamicSize: true }],
    ],
    [
      'a filter that ONNX lacks',
      'ERR_OPTION',
      /'lanczos'.*`input: 'uint8'` and resize each picture/,
      () => [
        student,
        out('never.onnx'),
        { input: 'picture', resize: 60, interpolation: 'lanczos' },
      ],
    ],
    [
      'to resize in an opset that cannot',
      'ERR_OPTION',
      /Expected `opset` 18 or later/,
      () => [student, out('never.onnx'), { input: 'picture', resize: 60, opset: 17 }],
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
