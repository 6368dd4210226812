import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-web';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import { feed, sampleImages } from '../../lib/export-onnx/samples.js';
import { exportOnnx, type OnnxOptions } from '../../lib/index.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { mean, std } from '../helpers/dataset.js';
import { classes, kinds, out, pictures, pth, softmax, student } from '../helpers/onnx.js';
import { python, pythonWith, runPython } from '../helpers/python.js';

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
    await Promise.all(files.map((file) => decodeCrop(file, centerCropOf(size)))),
  );
}

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
    const pixels = sampleImages(7, 90).subarray(0, 7 * height * width * 3);
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
    for (const opset of [17, 18, 20, 23, 26]) {
      files.push(out(`picture-${opset}.onnx`));
      const resize = opset === 17 ? false : opset;
      await exportOnnx(student, out(`picture-${opset}.onnx`), { input: 'picture', opset, resize });
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
