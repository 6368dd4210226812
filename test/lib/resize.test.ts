import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  compare,
  convert,
  type DistillOptions,
  type DistillWarning,
  datasetStats,
  distill,
  doctor,
  exportOnnx,
  inspect,
  predict,
  sweep,
  teach,
  teacherLogits,
} from '../../lib/index.js';
import { filesIn, mean, smallRun, std, temporaryFolder } from '../helpers/dataset.js';
import { refusalOf } from '../helpers/results.js';

// The steps before the crop travel from the call that says them to every one after it.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const steps = { resize: 40, interpolation: 'bicubic', padding: [1, 2, 3, 4] } as const;
const on = { device: 'cpu', threads: 1 } as const;
let base: Awaited<ReturnType<typeof smallRun>>;
let plain: Omit<typeof base, 'mean' | 'std' | 'imageSize'>;

beforeAll(async () => {
  base = await smallRun(folder);
  const { dataset, epochs, seed, ...given } = base;
  const weights = given.teacher;
  await teach({
    teacher: at('taught.pth'),
    weights,
    dataset,
    mean,
    std,
    imageSize: 32,
    ...steps,
    epochs: 1,
    batchSize: 4,
    seed: 1,
    ...on,
  });
  plain = {
    teacher: at('taught.pth'),
    dataset,
    student: at('out/student.pth'),
    epochs,
    seed,
    ...on,
  };
  await distill({ ...plain, cacheDir: at('stores') });
});

async function warningsOf(options: DistillOptions): Promise<DistillWarning[]> {
  const warnings: DistillWarning[] = [];
  await distill(options).on('warning', (warning) => warnings.push(warning));
  return warnings;
}

describe('preprocessing travels', () => {
  test('into the files of teacher and student', async () => {
    for (const file of [at('taught.pth'), at('out/student.pth')]) {
      const { metadata } = await inspect(file);
      expect(metadata, file).toMatchObject({ ...steps, imageSize: 32 });
      expect(Object.keys(metadata ?? {})).not.toContain('crop');
    }
    await distill({ ...base, student: at('out/unresized.pth'), epochs: 1 });
    const { metadata } = await inspect(at('out/unresized.pth'));
    for (const name of ['resize', 'interpolation', 'padding', 'crop', 'exif']) {
      expect(metadata).not.toHaveProperty(name);
    }
  });

  test('into kept stores, each of its own preprocessing', async () => {
    const cacheDir = at('stores');
    const stores = filesIn(cacheDir);
    expect(stores).toHaveLength(1);
    const again = { ...plain, student: at('out/again.pth'), epochs: 1, cacheDir };
    await distill({ ...again, ...steps });
    expect(filesIn(cacheDir)).toEqual(stores);
    for (const other of [{ resize: 41 }, { padding: 0 }, { exif: 'apply' }] as const) {
      const before = filesIn(cacheDir).length;
      await distill({ ...again, ...other });
      expect(filesIn(cacheDir)).toHaveLength(before + 1);
    }
  });

  test('into files of logits, which warn of another one', async () => {
    const output = at('logits.safetensors');
    const { teacher, student, ...learning } = plain;
    await teacherLogits({ teacher, output, dataset: plain.dataset, ...on });
    expect((await inspect(output)).metadata).toMatchObject({ ...steps, imageSize: 32 });
    const given = {
      ...learning,
      student: at('out/by-logits.pth'),
      teacherLogits: output,
      epochs: 1,
    };
    const codes = async (more: Partial<DistillOptions>) =>
      (await warningsOf({ ...given, ...more })).filter(
        ({ code }) => code === 'WARN_LOGITS_PREPROCESSING',
      );
    expect(await codes({})).toEqual([]);
    expect((await inspect(at('out/by-logits.pth'))).metadata).toMatchObject(steps);
    const [warning] = await codes({ resize: false });
    expect(warning?.message).toContain(
      'with resize 40, but the student is to see them with resize none',
    );
  });

  test('into predictions, which differ without it', async () => {
    const ask = (more: object = {}) =>
      predict({ student: at('out/student.pth'), images: `${base.dataset}/val`, ...more, ...on });
    const [own, same, other] = [await ask(), await ask(steps), await ask({ resize: false })];
    expect(same).toEqual(own);
    expect(other).not.toEqual(own);
  });

  test('through conversion and into ONNX', async () => {
    await convert(at('out/student.pth'), at('converted.safetensors'));
    expect((await inspect(at('converted.safetensors'))).metadata).toEqual(
      (await inspect(at('out/student.pth'))).metadata,
    );
    const { check } = await exportOnnx(at('converted.safetensors'), at('student.onnx'), {
      input: 'picture',
    });
    expect(check?.maxDifference).toBeLessThan(1e-2);
    expect(readFileSync(at('student.onnx')).includes(JSON.stringify(steps))).toBe(true);
  });

  test('into sweeps, comparisons and the doctor', async () => {
    const { student, seed, ...rest } = plain;
    const given = { ...rest, epochs: 1 };
    expect((await sweep(given)).options).toMatchObject(steps);
    expect((await compare({ ...given, seeds: 1 })).options).toMatchObject(steps);
    const { findings } = await doctor({ ...plain, cacheDir: at('stores') });
    const found = findings.find(({ check }) => check === 'preprocessing');
    expect(found).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('to 40 (bicubic)'),
    });
  });

  test('into statistics', async () => {
    const images = `${base.dataset}/train`;
    const [own, resized] = [
      await datasetStats(images, { imageSize: 32 }),
      await datasetStats(images, { imageSize: 32, resize: 16 }),
    ];
    expect(resized.mean[0]).toBeLessThan(own.mean[0]); // a black margin
  });

  test('and warns of a student that has seen pictures otherwise', async () => {
    const given = { ...plain, student: at('out/next.pth'), epochs: 1 };
    const initialStudent = at('out/student.pth');
    const codes = async (more: Partial<DistillOptions>) =>
      (await warningsOf({ ...given, initialStudent, ...more })).map(({ code }) => code);
    expect(await codes({})).not.toContain('WARN_INITIAL_PREPROCESSING');
    expect(await codes({ resize: 36 })).toContain('WARN_INITIAL_PREPROCESSING');
  });
});

describe('the margin of augmentation', () => {
  test('is no wider than the resized pictures', async () => {
    const options = { ...plain, student: at('out/views.pth'), views: 2, epochs: 1 };
    const storeSize = async (more: Partial<DistillOptions>) => {
      await distill({ ...options, ...more });
      return (await inspect(options.student)).metadata?.options?.storeSize;
    };
    expect(await storeSize({ resize: 35 })).toBe(35);
    expect(await storeSize({ resize: 300 })).toBe(40);
    expect(await storeSize({ resize: [32, 32], padding: 0, crop: false })).toBe(32);
    const refused = await refusalOf(distill({ ...options, resize: 35, storeSize: 36 }));
    expect(refused).toMatchObject({ code: 'ERR_OPTION' });
    expect(refused.message).toContain('`storeSize` of at most 35');
  });
});
