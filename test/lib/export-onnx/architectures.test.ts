import path from 'node:path';
import { expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { exportOnnx, type OnnxOptions } from '../../../lib/index.js';
import { mean, std, temporaryFolder } from '../../helpers/dataset.js';

const folder = temporaryFolder();
const labels = ['ants', 'bees', 'wasps'];

const kinds: OnnxOptions[] = [
  {},
  { input: 'float', softmax: false, dynamicSize: true, opset: 17 },
  { input: 'picture', resize: 48, foldBatchNorm: false },
];

// The last is of timm, whose average pooling rounds up.
test.each(['cnn', 'resnet20', 'resnet18', 'mobilenet_v3_small', 'shufflenet_v2_x0_5', 'resnet14t'])(
  'a %s is written as ONNX with each kind of input',
  async (architecture) => {
    const model = path.join(folder, `${architecture}.safetensors`);
    const output = path.join(folder, `${architecture}.onnx`);
    await native(
      loadAddon().createModel({ path: model, architecture, classes: labels.length, seed: 1 }),
    );
    for (const kind of kinds) {
      const options = { ...kind, labels, mean, std, imageSize: 40, overwrite: true };
      const { check, input, output: answers } = await exportOnnx(model, output, options);
      expect(check?.maxDifference).toBeLessThanOrEqual(kind.resize ? 1e-2 : 1e-4);
      expect(input.shape).toContain(kind.resize ? 'height' : 'N');
      expect(answers.shape.at(-1)).toBe(labels.length);
    }
  },
);
