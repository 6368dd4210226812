import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { teacherLogits } from '../../lib/index.js';
import type { NativeClassifierOptions } from '../../lib/native.js';
import { packageRoot } from '../../lib/package.js';
import { mean, std, temporaryFolder, writeDataset } from '../helpers/dataset.js';
import { epochsOf } from '../helpers/distill.js';
import { python, runPython } from '../helpers/python.js';

// Graphs as torch.export writes them, in several ways, against the modules that they come from.

const judge = fileURLToPath(new URL('judge/graphs.py', import.meta.url));
const folder = temporaryFolder();
const fileOf = (name: string) => path.join(folder, `${name}.pt2`);

/** A network of the judge's, and the way in which it is exported. */
interface Network {
  name: string;
  /** Side of the pictures that it is exported with. */
  size: number;
  /** Sides of those that it is asked about. Default: `size`. */
  sizes?: number[];
  classes: number;
  train?: boolean;
  half?: boolean;
  decomposed?: boolean;
  dynamic?: string[];
}

const common = { size: 64, classes: 7 };
const anySize = { sizes: [64, 72], dynamic: ['batch', 'height', 'width'] };
const networks: Record<string, Network> = {
  resnet: { ...common, name: 'resnet' },
  'resnet in training mode': { ...common, name: 'resnet', train: true },
  'resnet in training mode, decomposed': {
    ...common,
    name: 'resnet',
    train: true,
    decomposed: true,
  },
  'resnet of any size': { ...common, name: 'resnet', ...anySize },
  'resnet in float16': { ...common, name: 'resnet', half: true },
  'resnet that returns a dictionary': { ...common, name: 'dictionary' },
  vit: { name: 'vit', size: 32, classes: 2 },
  'vit, decomposed': { name: 'vit', size: 32, classes: 7, decomposed: true },
  swin: { ...common, name: 'swin', size: 32 },
  'swin v2': { ...common, name: 'swin v2', size: 32 },
  convnext: { ...common, name: 'convnext' },
  shufflenet: { ...common, name: 'shufflenet' },
  mobilenet: { ...common, name: 'mobilenet' },
};
const teacher = fileOf('vit');

/** Models that are refused, and the message's part that tells why. */
const refusals = {
  'fixed batch': 'it holds for batches of 4 alone; export it with torch.export.export(',
  'two inputs': 'its model takes more than one tensor; export a model that takes pictures alone',
  features: 'it is no classifier: of its 1 results, 0 are of the shape (B, classes)',
  'unknown operator':
    "at the node 'fft_fft2' (torch.ops.aten.fft_fft2.default) it calls an operator that is not supported",
  random: "at the node 'rand_like' (torch.ops.aten.rand_like.default) it calls an operator",
  'control flow': "at the node 'cond' (torch.ops.higher_order.cond) it calls a subgraph; export",
};

/** The lines of a document that export a model. */
function shownIn(document: string): string | undefined {
  const text = readFileSync(path.join(packageRoot, document), 'utf8');
  return /^program = torch\.export\.export\(.*\)\ntorch\.export\.save\(.*\)$/m.exec(text)?.[0];
}

/** The logits of a model's file for PyTorch's pictures, beside PyTorch's own. */
async function both(name: string, imageSize: number, precision: 'fp32' | 'bf16') {
  const options: NativeClassifierOptions = {
    model: fileOf(name),
    averaged: false,
    imageSize,
    mean,
    std,
    device: 'cpu',
    precision,
    threads: 1,
  };
  const classifier = new (loadAddon().Classifier)(options);
  await native(classifier.load());
  const read = (kind: string) => readFileSync(path.join(folder, `${name}-${imageSize}.${kind}`));
  const ours = await native(classifier.logits(read('pixels')));
  await classifier.close();
  return { ours: [...ours], theirs: [...new Float32Array(new Uint8Array(read('logits')).buffer)] };
}

function difference(a: number[], b: number[]): number {
  expect(a).toHaveLength(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))));
}

describe.runIf(python)('a graph', () => {
  let dataset: string;
  let teachersLogits: number[][];

  beforeAll(async () => {
    dataset = await writeDataset(path.join(folder, 'dataset'));
    const question = {
      folder,
      networks,
      refused: Object.keys(refusals),
      shown: shownIn('README.md'),
      paths: [0, 1, 2, 3, 4].map((i) => path.join(dataset, `train/ants/${i}.png`)),
      imageSize: 32,
      mean,
      std,
    };
    teachersLogits = runPython([judge], question) as number[][];
  });

  test.each(Object.entries(networks))("of a %s gives PyTorch's logits", async (name, network) => {
    for (const size of network.sizes ?? [network.size]) {
      const { ours, theirs } = await both(name, size, 'fp32');
      const { classes } = network;
      expect(difference(ours.slice(0, classes), ours.slice(classes))).toBeGreaterThan(0.05);
      expect(difference(ours, theirs)).toBeLessThan(1e-4);
    }
  });

  test("of the lines in the documentation gives PyTorch's logits", async () => {
    expect(shownIn('docs/teachers-and-students.md')).toBe(shownIn('README.md'));
    const { ours, theirs } = await both('teacher', 224, 'fp32');
    expect(difference(ours, theirs)).toBeLessThan(1e-4);
  });

  test.each(['resnet', 'vit', 'convnext'])('of a %s is near in bfloat16', async (name) => {
    const { ours, theirs } = await both(name, networks[name]?.size ?? 0, 'bf16');
    expect(difference(ours, theirs)).toBeGreaterThan(1e-4);
    expect(difference(ours, theirs)).toBeLessThan(0.2);
  });

  test.each(Object.entries(refusals))('with %s is refused', async (name, reason) => {
    const refusal = await both(name, 32, 'fp32').catch((error) => error);
    expect(refusal).toMatchObject({ code: 'ERR_GRAPH' });
    expect(refusal.message).toContain(`'${fileOf(name)}'`);
    expect(refusal.message).toContain(reason);
  });

  test('of one size is refused for pictures of another', async () => {
    await expect(both('vit', 40, 'fp32')).rejects.toMatchObject({
      code: 'ERR_GRAPH',
      message: expect.stringContaining('set imageSize to 32'),
    });
  });

  describe('as a teacher', () => {
    const pictures = { mean, std, imageSize: 32, device: 'cpu', threads: 1 } as const;
    const student = path.join(folder, 'student.pth');
    const learning = { ...pictures, student, epochs: 2, seed: 1 };
    const output = path.join(folder, 'logits.safetensors');

    test("gives PyTorch's logits for pictures' files", async () => {
      await teacherLogits({ ...pictures, teacher, dataset, output });
      const [logits] = await native(loadAddon().readTensors(output, ['logits'], false));
      const first = Array.from(logits?.data ?? [], Number).slice(0, 10); // of the ants
      expect(difference(first, teachersLogits.flat())).toBeLessThan(1e-4);
    });

    test('teaches as the file of its logits does', async () => {
      const byTeacher = await epochsOf({ ...learning, dataset, teacher });
      expect(byTeacher).toEqual(await epochsOf({ ...learning, dataset, teacherLogits: output }));
    });

    test('answers for augmented views', async () => {
      const views = { views: 2, augment: ['resized-crop', 'flip'] } as const;
      const epochs = await epochsOf({ ...learning, ...views, dataset, teacher });
      expect(epochs).toHaveLength(2);
      expect(epochs).not.toEqual(await epochsOf({ ...learning, dataset, teacher }));
    });
  });
});
