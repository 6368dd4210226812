import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { convert, inspect, teacherLogits } from '../../lib/index.js';
import { RUNTIMES } from '../../lib/model/onnx/runtime.js';
import { readOnnx, sha256OfOnnx } from '../../lib/model/onnx-teacher/model.js';
import { OnnxNetwork } from '../../lib/model/onnx-teacher/network.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { packageRoot } from '../../lib/package.js';
import { mean, smallRun, std, temporaryFolder } from '../helpers/dataset.js';
import { epochsOf } from '../helpers/distill.js';
import { python, pythonWith, runPython } from '../helpers/python.js';
import { alterTensor } from '../helpers/safetensors.js';

// DenseNets as the ONNX models that PyTorch's users would export them to.

const judge = fileURLToPath(new URL('judge/onnx_teacher.py', import.meta.url));
const isPossible = python !== null && pythonWith('onnx');
const runtimes = RUNTIMES.filter((name) =>
  existsSync(path.join(packageRoot, 'node_modules', name)),
);

const folder = temporaryFolder();
const kinds = ['dynamic', 'softmax', 'external', 'half', 'fixed'] as const;
const fileOf = (kind: string) => path.join(folder, `${kind}.onnx`);
const size = 32;
const images = 7;
const pixels = Uint8Array.from(
  { length: images * size * size * 3 },
  (_, i) => ((i * 31 + (i >> 5) * (i >> 9) * 7) >> 1) & 255,
);
const preprocessing = { ...centerCropOf(size), mean, std };
let base: Awaited<ReturnType<typeof smallRun>>;
/** PyTorch's logits of the small DenseNet, (images, 3). */
let expected: number[];

describe.runIf(isPossible)('an ONNX model that PyTorch exported', () => {
  beforeAll(async () => {
    base = await smallRun(folder);
    await teachStrongly(base.teacher);
    expected = runPython([judge], {
      teacher: base.teacher,
      imageSize: size,
      mean,
      std,
      pixels: Buffer.from(pixels).toString('hex'),
      ...Object.fromEntries([...kinds, 'densenet'].map((kind) => [kind, fileOf(kind)])),
    }) as number[];
  });

  test.each(runtimes.flatMap((runtime) => kinds.map((kind) => [kind, runtime] as const)))(
    'answers as PyTorch does: %s, by %s',
    async (kind, runtime) => {
      const model = await readOnnx(fileOf(kind));
      expect(model.classes).toBe(3);
      const options = { threads: 1, runtimes: [runtime] };
      const network = await OnnxNetwork.open(model, preprocessing, options);
      expect(network.runtime).toMatch(new RegExp(`^${runtime} \\d`));
      const logits = await network.logits(pixels);
      await network.close();
      expect(logits.length).toBe(expected.length);
      const tolerance = kind === 'half' ? 2e-2 : 1e-4;
      for (const [i, logit] of logits.entries()) {
        // Logarithms of probabilities differ from the logits by a constant for each picture.
        const first = kind === 'softmax' ? i - (i % 3) : i;
        const difference = kind === 'softmax' ? (expected[first] ?? 0) - (logits[first] ?? 0) : 0;
        expect(Math.abs(logit + difference - (expected[i] ?? Number.NaN))).toBeLessThan(tolerance);
      }
    },
  );

  test('teaches what its checkpoint teaches by views of the pictures', async () => {
    const augment = ['resized-crop', 'flip'] as const;
    const options = { ...base, views: 3, augment, storeSize: 40 };
    const byCheckpoint = await epochsOf(options);
    const byOnnx = await epochsOf({ ...options, teacher: fileOf('densenet') });
    expect(byOnnx.length).toBe(byCheckpoint.length);
    for (const [i, { trainLoss, valLoss }] of byOnnx.entries()) {
      expect(Math.abs(trainLoss - (byCheckpoint[i]?.trainLoss ?? 0))).toBeLessThan(1e-4);
      expect(Math.abs(valLoss - (byCheckpoint[i]?.valLoss ?? 0))).toBeLessThan(1e-4);
    }
  });

  test('answers for a file of logits as its checkpoint does', async () => {
    const { dataset } = base;
    const common = { dataset, mean, std, imageSize: size, threads: 1, device: 'cpu' };
    const written = await Promise.all(
      [base.teacher, fileOf('densenet')].map(async (teacher, i) => {
        const output = path.join(folder, `logits-${i}.safetensors`);
        await teacherLogits({ ...common, teacher, output });
        const [logits] = await native(loadAddon().readTensors(output, ['logits'], false));
        return { output, logits: logits?.data as Float32Array };
      }),
    );
    const [ours, theirs] = written as [(typeof written)[0], (typeof written)[0]];
    for (const [i, logit] of theirs.logits.entries()) {
      expect(Math.abs(logit - (ours.logits[i] ?? Number.NaN))).toBeLessThan(1e-4);
    }
    const { metadata } = await inspect(theirs.output);
    const sha256 = await sha256OfOnnx(await readOnnx(fileOf('densenet')));
    expect(metadata?.teacher).toEqual({ file: 'densenet.onnx', architecture: 'onnx', sha256 });
  });
});

/** Gives an untrained DenseNet answers that differ from picture to picture. */
async function teachStrongly(teacher: string): Promise<void> {
  const copy = path.join(folder, 'strong.safetensors');
  await convert(teacher, copy);
  alterTensor(copy, 'classifier.weight', (i) => 3 * Math.sin(i));
  await convert(copy, teacher, { overwrite: true });
}
