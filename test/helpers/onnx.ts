// For the tests of the ONNX export: a trained student in both formats, and pictures, made before a file's first test.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { convert } from '../../lib/index.js';
import { STUDENT_TENSORS, type StudentTensor } from '../../lib/model/onnx/student.js';
import { mean, std, temporaryFolder, writePicture, writeStudent } from './dataset.js';

export const folder = temporaryFolder();
export const inFolder = (...names: string[]) => path.join(folder, ...names);
export const out = (name: string) => inFolder('out', name);

export const classes = ['ants', 'bees', "dragonfly's", 'ü', 'wasps'];
export const metadata = { classes, mean, std, imageSize: 48, epoch: 7 };
export const student = inFolder('student.safetensors');
export const pth = inFolder('student.pth');
/** The paths of seven pictures, once they are made. */
export const pictures: string[] = [];

/** Writes a student as training leaves them: no statistic is 0 or 1, and its answers differ. */
export async function writeTrained(file: string): Promise<void> {
  const fresh = await writeStudent(inFolder('fresh.pth'), { classes: classes.length, seed: 5 });
  const tensors = await native(loadAddon().readTensors(fresh, STUDENT_TENSORS, false));
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
    const { shape, data } = tensors[i] as StudentTensor;
    const isNorm = /^features\.(1|5|9|13)\.(weight|bias)$/.test(name);
    const key = isNorm ? `norm.${name.split('.')[2]}` : name.replace(/^features\.\d+\./, '');
    return {
      name,
      shape: [...shape],
      data: Float32Array.from(data, change[key] ?? ((value) => value)),
    };
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

export function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((value) => Math.exp(value - Math.max(...logits)));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

/** Every kind of model that an export makes. */
export const kinds = (['uint8', 'float', 'normalized'] as const).flatMap((input) =>
  [true, false].flatMap((foldBatchNorm) =>
    [true, false].map((softmax) => ({ input, foldBatchNorm, softmax })),
  ),
);
