import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { ModelProtoSchema } from '../../../lib/model/onnx/onnx_pb.js';
import { runCommand } from '../../helpers/child.js';
import { filesIn } from '../../helpers/dataset.js';
import { inFolder, out, pth, student } from '../../helpers/onnx.js';
import { writeBytes } from '../../helpers/safetensors.js';

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
      check: { images: 12 },
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
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${named}: cnn of 5 classes, pth\n` });
    expect(readFileSync(named).equals(readFileSync(pth))).toBe(true);
    const asked = ['export', pth, '--format', 'safetensors', '-o', out('asked.bin'), '--json'];
    const said = await runCommand(asked);
    expect(JSON.parse(said.stdout)).toEqual({
      event: 'export',
      path: out('asked.bin'),
      format: 'safetensors',
      architecture: 'cnn',
      classes: 5,
    });
  });

  test.each<[string, number, RegExp, () => string[]]>([
    ['no output', 2, /export needs --output\./, () => [student]],
    [
      'a name that says nothing',
      2,
      /ends in none of \.onnx, \.pth, \.pt, \.safetensors, \.pt2; pass --format/,
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
