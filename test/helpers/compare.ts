import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { decodeCrop } from '../../lib/data/decode.js';
import type { CompareResult, DistillOptions } from '../../lib/index.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { mean, smallRun, std, temporaryFolder, writePicture, writeTeacher } from './dataset.js';

export const folder = temporaryFolder();
export const inFolder = (...names: string[]) => path.join(folder, ...names);
export let base: Omit<DistillOptions, 'student' | 'seed' | 'alpha'> & {
  teacher: string;
  dataset: string;
};
/** The validation pictures. */
export let pictures: { file: string; label: number }[];
/** The teacher's logits for each of them. */
export let teacherSays: Float32Array[];

beforeAll(async () => {
  const { student, seed, ...rest } = await smallRun(folder);
  base = { ...rest, epochs: 4, lr: 1e-3 };
  pictures = [0, 1].flatMap((label) =>
    Array.from({ length: 4 - label }, (_, i) => ({
      file: path.join(base.dataset, 'val', label ? 'bees' : 'ants', `${i}.png`),
      label,
    })),
  );
  // An untrained teacher says the same of all noise; with dark and bright pictures among them, it does not.
  for (const [i, { file }] of pictures.entries()) {
    if (i % 4 !== 0)
      await writePicture(file, 50 + i, { colour: i % 2 ? [0, 0, 0] : [255, 255, 0] });
  }
  base.teacher = await teacherOfTwoMinds();
  teacherSays = await answersOf(base.teacher);
});

/** Returns a model's logits for each validation picture by itself. */
export async function answersOf(model: string): Promise<Float32Array[]> {
  const classifier = new (loadAddon().Classifier)({
    averaged: false,
    model,
    mean,
    std,
    imageSize: 32,
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
  });
  await native(classifier.load());
  const answers: Float32Array[] = [];
  for (const { file } of pictures) {
    answers.push(await native(classifier.logits(await decodeCrop(file, centerCropOf(32)))));
  }
  await classifier.close();
  return answers;
}

export const classOf = (logits: Float32Array) =>
  (logits[1] as number) > (logits[0] as number) ? 1 : 0;

/** Writes an untrained teacher that does not say the same class of all validation pictures. */
async function teacherOfTwoMinds(): Promise<string> {
  for (let seed = 1; seed < 50; seed++) {
    const teacher = await writeTeacher(inFolder('teacher.pth'), { seed });
    const says = (await answersOf(teacher)).map(classOf);
    if (new Set(says).size === 2) return teacher;
  }
  return expect.unreachable('every teacher says one class of all pictures');
}

/** Reads a comparison's report. */
export const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as CompareResult;
