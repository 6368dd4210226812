import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as ort from 'onnxruntime-web';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { exportOnnx, type OnnxOptions } from '../../lib/index.js';
import { networkModel } from '../../lib/model/onnx/network.js';
import { parseProgram, weightsOf } from '../../lib/model/onnx/program.js';
import { CENTER_CROP } from '../../lib/model/preprocessing.js';
import { mean, std, temporaryFolder } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';

// Networks that PyTorch exports, and groups of its operators: onnxruntime answers as PyTorch does.

interface Network {
  name: string;
  /** (3, 3, size, size) */
  shape: number[];
  classes: number;
  /** How many of the logits each operator gives, in order. */
  columns: Record<string, number>;
}

const folder = temporaryFolder();

/** Reads a file of float32. */
const floats = (name: string) =>
  new Float32Array(Uint8Array.from(readFileSync(path.join(folder, name))).buffer);

async function modelOf({ name, shape, classes }: Network, opset: number): Promise<Uint8Array> {
  const file = path.join(folder, `${name}.pt2`);
  const program = parseProgram(await native(loadAddon().readGraph(file)), file);
  const names = weightsOf(program);
  const tensors = await native(loadAddon().readTensors(file, names, false));
  const { bytes } = networkModel({
    program,
    tensors: new Map(tensors.map((tensor, i) => [names[i] ?? '', tensor])),
    preprocessing: { ...CENTER_CROP, imageSize: shape[2] ?? 0, mean, std },
    labels: Array.from({ length: classes }, (_, i) => `${i}`),
    input: 'normalized',
    softmax: false,
    foldBatchNorm: true,
    dynamicSize: name.endsWith('-any'),
    opset,
    metadata: {},
    producerVersion: '',
    name,
  });
  return bytes;
}

/** Returns the operators whose answers differ from PyTorch's, for three pictures at once and for one alone. */
async function differing(network: Network, opset: number): Promise<Record<string, number>> {
  const { name, classes, columns } = network;
  const images = floats(`${name}.images`);
  const logits = floats(`${name}.logits`);
  const [count = 0, ...shape] = network.shape;
  const operators = Object.entries(columns).flatMap(([operator, n]) => Array(n).fill(operator));
  const found: Record<string, number> = {};
  const session = await ort.InferenceSession.create(await modelOf(network, opset), {
    logSeverityLevel: 3,
  });
  for (const [first, n] of [
    [0, count],
    [1, 1],
  ] as const) {
    const size = images.length / count;
    const data = images.slice(first * size, (first + n) * size);
    const fed = { images: new ort.Tensor('float32', data, [n, ...shape]) };
    const answer = (await session.run(fed)).logits as ort.Tensor;
    expect(answer.dims).toEqual([n, classes]);
    for (const [i, value] of (answer.data as Float32Array).entries()) {
      const right = logits[first * classes + i] ?? 0;
      const difference = Math.abs(value - right) / Math.max(1, Math.abs(right));
      if (difference <= 1e-4) continue;
      const operator = operators[i % classes] ?? 'logits';
      found[operator] = Math.max(found[operator] ?? 0, difference);
    }
  }
  await session.release();
  return found;
}

describe.runIf(python)('onnxruntime answers as PyTorch', () => {
  let networks: Network[];
  beforeAll(() => {
    networks = runPython(['test/parity/judge/networks.py'], { folder }) as Network[];
  }, 300_000);

  test.each([
    'resnet18',
    'mobilenet_v3_small',
    'shufflenet_v2_x0_5',
    'efficientnet_b0',
    'resnet-training',
    'resnet-any',
    'vit',
    'vit-core',
    'swin',
    'convnext',
    'convolutions',
    'normalizations',
    'activations',
    'poolings',
    'arithmetic',
    'reductions',
    'shapes',
    'joinings',
    'indexings',
    'creations',
    'resizings',
    'antialias',
    'matrices',
    'writes',
  ])('%s', async (name) => {
    const network = networks.find((other) => other.name === name) as Network;
    for (const opset of [26, name === 'antialias' ? 18 : 17]) {
      expect(await differing(network, opset)).toEqual({});
    }
  });

  test.each<[string, OnnxOptions]>([
    ['vit', { imageSize: 32 }],
    ['vit', { imageSize: 32, input: 'picture', resize: 40, softmax: false, opset: 18 }],
    ['swin', { imageSize: 32, input: 'normalized', foldBatchNorm: false }],
    ['resnet-any', { imageSize: 48, input: 'float', dynamicSize: true }],
  ])('and as the addon: %s.pt2 with %o', async (name, options) => {
    const { classes } = networks.find((network) => network.name === name) as Network;
    const labels = Array.from({ length: classes }, (_, i) => `class ${i}`);
    const output = path.join(folder, `${name}.onnx`);
    const found = await exportOnnx(path.join(folder, `${name}.pt2`), output, {
      labels,
      mean,
      std,
      overwrite: true,
      ...options,
    });
    expect(found.check?.maxDifference).toBeLessThanOrEqual(options.resize ? 1e-2 : 1e-4);
    expect(found.output.shape.at(-1)).toBe(classes);
    expect(readFileSync(output).length).toBe(found.bytes);
  });

  test.each<[string, OnnxOptions, string, RegExp]>([
    ['vit', { imageSize: 48 }, 'ERR_GRAPH', /32/],
    ['vit', { imageSize: 32, dynamicSize: true }, 'ERR_GRAPH', /32/],
    ['vit', { imageSize: 32, labels: ['a', 'b'] }, 'ERR_LABELS', /10 classes.* 2 labels/],
  ])('and refuses %s.pt2 with %o', async (name, options, code, message) => {
    const labels = Array.from({ length: 10 }, (_, i) => `class ${i}`);
    const output = path.join(folder, 'never.onnx');
    const file = path.join(folder, `${name}.pt2`);
    await expect(exportOnnx(file, output, { labels, mean, std, ...options })).rejects.toMatchObject(
      {
        code,
        message: expect.stringMatching(message),
      },
    );
    expect(existsSync(output)).toBe(false);
  });

  test('but for what an older opset lacks', async () => {
    const network = networks.find(({ name }) => name === 'antialias') as Network;
    await expect(modelOf(network, 17)).rejects.toMatchObject({
      code: 'ERR_EXPORT_OPERATOR',
      message: expect.stringMatching(
        /aten\._upsample_bilinear2d_aa.*node '.+'.*opset. 18 or later/,
      ),
    });
  });
});
