// For the tests of stored teacher logits: a small run, and a file of its teacher's answers, made before a file's first
// test.
import path from 'node:path';
import { beforeAll } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import {
  type DistillOptions,
  type DistillWarning,
  distill,
  inspect,
  type TeacherLogitsOptions,
  teacherLogits,
} from '../../lib/index.js';
import { mean, smallRun, std, temporaryFolder, writePicture } from './dataset.js';

export const folder = temporaryFolder();
export const inFolder = (...names: string[]) => path.join(folder, ...names);
export const file = inFolder('logits.safetensors');
export let base: Awaited<ReturnType<typeof smallRun>>;
export let asking: TeacherLogitsOptions;
export let learning: Omit<DistillOptions, 'teacher'>;
export let written: Awaited<ReturnType<typeof teacherLogits>>;

beforeAll(async () => {
  base = await smallRun(folder);
  // More than one batch of the teacher's, and names of all sorts.
  for (let i = 0; i < 8; i++)
    await writePicture(`${base.dataset}/train/ants/more/é ${i}.png`, 90 + i);
  const { teacher, dataset, imageSize, device, threads, ...rest } = base;
  asking = { teacher, dataset, mean, std, imageSize, device, threads, output: file };
  learning = { dataset, imageSize, device, threads, ...rest };
  written = await teacherLogits(asking);
});

/** Trains a student, and returns the run's numbers and the tensors that it saved. */
export async function learn(options: DistillOptions) {
  const epochs: number[][] = [];
  const warnings: DistillWarning[] = [];
  const result = await distill(options)
    .on('epoch', ({ trainLoss, valLoss, valAccuracy }) =>
      epochs.push([trainLoss, valLoss, valAccuracy]),
    )
    .on('warning', (warning) => warnings.push(warning));
  const { tensors, metadata } = await inspect(options.student);
  const weights = await Promise.all(
    tensors.map(async ({ name }) => {
      const { data } = await native(loadAddon().readTensor(options.student, name));
      return [name, Buffer.from(data.buffer).toString('base64')];
    }),
  );
  return { result, epochs, warnings, metadata, weights: Object.fromEntries(weights) };
}

/** Reads the logits of a file, their shape and the pictures' names. */
export async function read(from: string) {
  const [logits, paths] = await native(loadAddon().readTensors(from, ['logits', 'paths'], false));
  return {
    shape: logits?.shape,
    logits: logits?.data as Float32Array,
    names: new TextDecoder().decode(paths?.data).split('\0'),
  };
}
