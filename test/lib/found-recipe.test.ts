// A recipe that lies beside a model whose own file does not say how its pictures are prepared.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type DistillWarning, distill, inspect, predict, teacherLogits } from '../../lib/index.js';
import { mean, smallRun, std, temporaryFolder, writeTeacher } from '../helpers/dataset.js';
import { read } from '../helpers/logits.js';
import { refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
const beside = path.join(folder, 'hub', 'preprocessor_config.json');
const teacher = path.join(folder, 'hub', 'teacher.pth');
let base: Awaited<ReturnType<typeof smallRun>>;

const bit = {
  image_processor_type: 'BitImageProcessor',
  size: { shortest_edge: 40 },
  crop_size: { height: 33, width: 33 },
  image_mean: mean,
  image_std: std,
};
const steps = { resize: 40, interpolation: 'bicubic', cropRounding: 'down', imageSize: 33 };

beforeAll(async () => {
  base = await smallRun(folder);
  mkdirSync(path.dirname(teacher));
  await writeTeacher(teacher);
});

/** Writes the recipe, asks the teacher, and returns what the file says, its logits and the warnings. */
async function ask(recipe: object | null, options: object = {}) {
  rmSync(beside, { force: true });
  if (recipe) writeFileSync(beside, JSON.stringify(recipe));
  const warnings: DistillWarning[] = [];
  const { device, threads, dataset } = base;
  const output = path.join(folder, 'logits.safetensors');
  await teacherLogits({
    teacher,
    dataset,
    output,
    device,
    threads,
    onWarning: (warning) => warnings.push(warning),
    ...options,
  });
  const { metadata } = await inspect(output);
  return { metadata, warnings, logits: (await read(output)).logits };
}

describe('a recipe beside the teacher', () => {
  test('is taken, and told', async () => {
    const { metadata, warnings, logits } = await ask(bit);
    expect(metadata).toMatchObject({ ...steps, mean, std });
    expect(warnings).toMatchObject([{ code: 'WARN_RECIPE_FOUND', path: beside }]);
    expect(warnings[0]?.message).toMatch(
      /^Pictures are prepared as '.*' \(Hugging Face\) says.*resize 40,/,
    );
    const named = await ask(null, { preprocess: write('named.json', bit) });
    expect(named).toEqual({ metadata, warnings: [], logits });
  });

  test('comes after the options', async () => {
    const { metadata } = await ask(bit, { resize: 50, std: [0.5, 0.5, 0.5] });
    expect(metadata).toMatchObject({ ...steps, resize: 50, mean, std: [0.5, 0.5, 0.5] });
  });

  test('is not looked for where nothing is to be', async () => {
    const plain = { mean, std, imageSize: 32 };
    const { metadata, warnings } = await ask(bit, { preprocess: 'none', ...plain });
    expect(warnings).toEqual([]);
    expect(metadata).toMatchObject(plain);
    expect(metadata).not.toHaveProperty('resize');
  });

  test('is refused where it cannot be honoured', async () => {
    const flipped = { ...bit, do_flip_channel_order: true };
    const error = await refusalOf(ask(flipped));
    expect(error.code).toBe('ERR_PREPROCESS');
    expect(error.message).toContain(`'${beside}' (Hugging Face) cannot be honoured`);
    expect((await ask(flipped, { preprocess: 'none', mean, std })).warnings).toEqual([]);
  });

  test('travels with the student', async () => {
    writeFileSync(beside, JSON.stringify(bit));
    const warnings: DistillWarning[] = [];
    const { dataset, student, device, threads } = base;
    await distill({ teacher, dataset, student, device, threads, epochs: 1, seed: 1 }).on(
      'warning',
      (warning) => warnings.push(warning),
    );
    expect(warnings).toMatchObject([{ code: 'WARN_RECIPE_FOUND', path: beside }]);
    expect((await inspect(student)).metadata).toMatchObject({ ...steps, mean, std });
    const images = path.join(dataset, 'val');
    const own = await predict({ student, images, device, threads });
    expect(await predict({ student, images, device, threads, preprocess: beside })).toEqual(own);
    const other = await predict({ student, images, device, threads, resize: false });
    expect(other).not.toEqual(own);
  });
});

function write(name: string, content: object): string {
  const file = path.join(folder, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
}
