import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  convert,
  distill,
  doctor,
  exportOnnx,
  inspect,
  predict,
  teach,
  teacherLogits,
} from '../../lib/index.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { numbersOf } from '../helpers/results.js';
import { parseSafetensors, safetensorsBytes } from '../helpers/safetensors.js';

// Files that hold a network's weights and their averages: `averaged` chooses between them in every call.

const folder = temporaryFolder();
const inFolder = (name: string) => path.join(folder, name);

/** Writes the weights of two files into one, under names that say which are averages. */
async function bothIn(file: string, plain: string, averaged: string): Promise<string> {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let end = 0;
  for (const [prefix, from] of [
    ['model.', plain],
    ['ema_model.module.', averaged],
  ] as const) {
    const { path: converted } = await convert(from, `${from}.safetensors`);
    const read = parseSafetensors(readFileSync(converted));
    for (const [name, entry] of Object.entries<{ data_offsets: number[] }>(read.header)) {
      if (name === '__metadata__') continue;
      header[prefix + name] = {
        ...entry,
        data_offsets: entry.data_offsets.map((at) => at + end),
      };
    }
    parts.push(read.data);
    end += read.data.length;
  }
  writeFileSync(file, safetensorsBytes(header, Buffer.concat(parts)));
  return file;
}

const preprocessing = { mean, std, imageSize: 32, labels: ['ants', 'bees'] };
let base: Awaited<ReturnType<typeof smallRun>>;
let teachers: { plain: string; averaged: string; both: string };
let students: { plain: string; averaged: string; both: string };

beforeAll(async () => {
  base = await smallRun(folder);
  const write = { teacher: writeTeacher, student: writeStudent };
  const make = async (kind: 'teacher' | 'student') => {
    const plain = await write[kind](inFolder(`${kind}-plain.pth`), { seed: 1 });
    const averaged = await write[kind](inFolder(`${kind}-averaged.pth`), { seed: 2 });
    const both = await bothIn(inFolder(`${kind}-both.safetensors`), plain, averaged);
    return { plain, averaged, both };
  };
  teachers = await make('teacher');
  students = await make('student');
});

describe.each([false, true])('averaged %s', (averaged) => {
  const kind = averaged ? 'averaged' : 'plain';
  const out = (name: string) => inFolder(`out/${kind}-${name}`);

  test('is shown by inspect()', async () => {
    const { weights, passedOver, architecture } = await inspect(teachers.both, { averaged });
    const plain = { key: '', prefix: 'model.', head: null, averaged: false };
    const other = { ...plain, prefix: 'ema_model.module.', averaged: true };
    expect(architecture).toBe('densenet121');
    expect(weights).toEqual(averaged ? other : plain);
    expect(passedOver).toEqual([averaged ? 'model.' : 'ema_model.']);
  });

  test('predict(), convert() and exportOnnx() take these weights', async () => {
    const images = path.join(base.dataset ?? '', 'val');
    const one = await predict({ ...preprocessing, student: students[kind], images });
    const same = await predict({ ...preprocessing, student: students.both, averaged, images });
    expect(same).toEqual(one);

    await convert(students.both, out('converted.pth'), { averaged });
    expect(readFileSync(out('converted.pth')).equals(readFileSync(students[kind]))).toBe(true);

    const options = { ...preprocessing, onWarning: () => {} };
    await exportOnnx(students[kind], out('one.onnx'), options);
    await exportOnnx(students.both, out('same.onnx'), { ...options, averaged });
    expect(readFileSync(out('same.onnx')).equals(readFileSync(out('one.onnx')))).toBe(true);
  });

  test('teacherLogits(), distill() and teach() take these weights', async () => {
    const { dataset, imageSize } = base;
    const asking = { dataset: dataset ?? '', mean, std, imageSize, threads: 1 };
    const logitsOf = async (teacher: string, name: string) => {
      await teacherLogits({ ...asking, teacher, averaged, output: out(name) });
      return parseSafetensors(readFileSync(out(name))).data;
    };
    const one = await logitsOf(teachers[kind], 'one.safetensors');
    expect((await logitsOf(teachers.both, 'same.safetensors')).equals(one)).toBe(true);

    const lossesOf = async (teacher: string, name: string) => {
      const student = out(`${name}.pth`);
      const result = await distill({ ...base, teacher, averaged, student, seed: 1, epochs: 1 });
      expect((await inspect(student)).metadata?.options?.averaged).toBe(averaged || undefined);
      return numbersOf(result.last);
    };
    expect(await lossesOf(teachers.both, 'same')).toEqual(await lossesOf(teachers[kind], 'one'));

    const trainedOf = async (weights: string, name: string) => {
      const teacher = out(`${name}-teacher.pth`);
      const run = { ...asking, weights, averaged, teacher, seed: 1, epochs: 1 };
      return numbersOf((await teach(run)).last);
    };
    expect(await trainedOf(teachers.both, 'same')).toEqual(await trainedOf(teachers[kind], 'one'));
  });
});

test('a kept store is for the weights that answered', async () => {
  const cacheDir = inFolder('stores');
  const options = { ...base, teacher: teachers.both, student: inFolder('out/kept.pth'), cacheDir };
  for (const averaged of [false, true, true]) {
    await distill({ ...options, averaged, seed: 1, epochs: 1 });
  }
  expect(filesIn(cacheDir)).toHaveLength(2);
});

test('doctor() asks the teacher with these weights', async () => {
  const { student, ...others } = { ...base, student: undefined };
  const { findings } = await doctor({ ...others, teacher: teachers.both, averaged: true });
  expect(findings).toContainEqual(
    expect.objectContaining({ topic: 'teacher', check: 'teacher', status: 'ok' }),
  );
});
