import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { distill, inspect, predict } from '../../lib/index.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { parseSafetensors, writeBytes } from '../helpers/safetensors.js';
import { readAll } from '../helpers/tensors.js';

const folder = temporaryFolder();

describe('a run', () => {
  let base: Awaited<ReturnType<typeof smallRun>>;
  beforeAll(async () => {
    base = await smallRun(folder);
  });
  const inOut = (name: string) => path.join(folder, 'out', name);

  test('learns from a safetensors teacher and start what it learns from .pth ones', async () => {
    const initial = { pth: inOut('initial.pth'), safetensors: inOut('initial.safetensors') };
    for (const file of Object.values(initial)) await writeStudent(file, { seed: 3 });
    const teacher = await writeTeacher(path.join(folder, 'teacher.safetensors'));
    expect((await inspect(teacher)).format).toBe('safetensors');

    const pth = inOut('by-pth.pth');
    const first = await distill({ ...base, student: pth, initialStudent: initial.pth });
    const student = inOut('by-safetensors.safetensors');
    const options = { ...base, teacher, student, initialStudent: initial.safetensors };
    const second = await distill(options);
    expect(second.last?.trainLoss).toBe(first.last?.trainLoss);
    expect(second.last?.valLoss).toBe(first.last?.valLoss);

    const [a, b] = [await inspect(pth), await inspect(student)];
    expect([a.format, b.format]).toEqual(['zip', 'safetensors']);
    expect(await readAll(student)).toEqual(await readAll(pth));
    const { teacher: saidA, ...restA } = a.metadata ?? {};
    const { teacher: saidB, ...restB } = b.metadata ?? {};
    expect(restB).toEqual(restA);
    expect([saidA?.file, saidB?.file]).toEqual(['teacher.pth', 'teacher.safetensors']);
    expect(filesIn(path.join(folder, 'out')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('writes the same bytes for the same weights', async () => {
    const [a, b] = [inOut('same-a.safetensors'), inOut('same-b.safetensors')];
    await writeStudent(a);
    await writeStudent(b);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    // As the reference implementation lays them out: aligned, the larger elements first.
    const { header, data } = parseSafetensors(readFileSync(a));
    expect((readFileSync(a).length - data.length) % 8).toBe(0);
    expect(header.__metadata__).toEqual({ format: 'pt' });
    expect(header['features.1.num_batches_tracked'].data_offsets[0]).toBe(0);
  });

  test('predicts from either format alike', async () => {
    const images = path.join(base.dataset, 'val');
    const of = async (student: string) => {
      const found = [];
      const given = { labels: ['a', 'b'], mean, std, imageSize: 32, device: 'cpu', threads: 1 };
      for await (const prediction of predict({ student, images, ...given })) found.push(prediction);
      return found;
    };
    const pth = await writeStudent(inOut('one.pth'));
    const safe = await writeStudent(inOut('one.safetensors'));
    expect(await of(safe)).toEqual(await of(pth));
  });

  test('refuses NaN in weights as it does in a .pth', async () => {
    const file = await writeStudent(inOut('nan.safetensors'));
    const copy = path.join(folder, 'with-nan.safetensors');
    cpSync(file, copy);
    const bytes = readFileSync(copy);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    writeBytes(copy, bytes);
    const given = { student: copy, images: path.join(base.dataset, 'val'), labels: ['a', 'b'] };
    const predicting = predict({ ...given, mean, std, imageSize: 32 });
    await expect(predicting).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT_NOT_FINITE',
      message: expect.stringContaining(copy),
    });
  });
});
