import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { decodeCrop } from '../../lib/data/decode.js';
import {
  type DistillWarning,
  distill,
  inspect,
  type TeacherLogitsOptions,
  teacherLogits,
} from '../../lib/index.js';
import { centerCropOf } from '../../lib/model/preprocessing.js';
import { filesIn, mean, std, writeStudent, writeTeacher } from '../helpers/dataset.js';
import {
  asking,
  base,
  file,
  folder,
  inFolder,
  learn,
  learning,
  read,
  written,
} from '../helpers/logits.js';
import { writePth } from '../helpers/pth.js';
import { refusalOf } from '../helpers/results.js';
import { parseSafetensors, safetensors, writeBytes } from '../helpers/safetensors.js';

describe('a file of logits', () => {
  test('has a row for every picture, and says whose they are', async () => {
    expect(written).toMatchObject({
      path: file,
      architecture: 'densenet121',
      classes: ['ants', 'bees'],
      skipped: [],
      images: { train: 19, val: 7 },
    });
    const { shape, names } = await read(file);
    expect(shape).toEqual([26, 2]);
    expect(names.slice(0, 6)).toEqual(
      [0, 1, 2, 3, 4].map((i) => `train/ants/${i}.png`).concat('train/ants/more/é 0.png'),
    );
    expect(names.at(-1)).toBe('val/bees/2.png');
    expect(new Set(names).size).toBe(26);
    expect(await inspect(file)).toMatchObject({
      format: 'safetensors',
      architecture: null,
      metadata: {
        classes: ['ants', 'bees'],
        mean,
        std,
        imageSize: 32,
        teacher: { file: 'teacher.pth', architecture: 'densenet121' },
      },
    });
  });

  test('holds what the teacher says', async () => {
    const { logits } = await read(file);
    const classifier = new (loadAddon().Classifier)({
      averaged: false,
      model: base.teacher,
      mean,
      std,
      imageSize: 32,
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    await native(classifier.load());
    const said = await native(
      classifier.logits(await decodeCrop(`${base.dataset}/val/bees/2.png`, centerCropOf(32))),
    );
    await classifier.close();
    for (const [i, value] of said.entries()) expect(logits.at(i - 2)).toBeCloseTo(value, 4);
  });

  test('teaches what its teacher teaches, to the bit', async () => {
    const byTeacher = await learn({ ...base, student: inFolder('by-teacher.pth') });
    const byLogits = await learn({
      ...learning,
      teacherLogits: file,
      student: inFolder('by-logits.pth'),
    });
    expect(byLogits.epochs).toEqual(byTeacher.epochs);
    expect(byLogits.weights).toEqual(byTeacher.weights);
    expect(byLogits.warnings).toEqual([]);
    expect(byLogits.metadata?.teacher).toEqual({
      ...byTeacher.metadata?.teacher,
      logits: 'logits.safetensors',
      logitsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    // And another teacher teaches otherwise: the equality above is not that of a run without one.
    const other = await writeTeacher(inFolder('other.pth'), { seed: 2 });
    const byOther = await learn({ ...base, teacher: other, student: inFolder('by-other.pth') });
    expect(byOther.epochs).not.toEqual(byTeacher.epochs);
  });

  test('may have its rows in any order, in another type, and more of them than needed', async () => {
    const { logits, names } = await read(file);
    const reversed = names.toReversed().concat('train/wasps/0.png');
    const values = Array.from({ length: names.length }, (_, i) =>
      Array.from(logits.subarray(i * 2, i * 2 + 2)),
    );
    const paths = Buffer.from(reversed.join('\0'));
    const doubles = Float64Array.from([...values.toReversed().flat(), 1, 2]);
    const other = writeBytes(
      inFolder('reversed.safetensors'),
      safetensors({
        paths: { dtype: 'U8', shape: [paths.length], data: paths },
        logits: { dtype: 'F64', shape: [27, 2], data: doubles },
      }),
    );
    const options = { ...learning, epochs: 1 };
    const a = await learn({ ...options, teacherLogits: other, student: inFolder('a.pth') });
    const b = await learn({ ...options, teacherLogits: file, student: inFolder('b.pth') });
    expect(a.epochs).toEqual(b.epochs);
  });

  test('serves the same pictures given as two folders', async () => {
    const { dataset, ...rest } = asking;
    const folders = { train: path.join(base.dataset, 'train'), val: `${base.dataset}/val/` };
    const output = inFolder('two-folders.safetensors');
    await teacherLogits({ ...rest, ...folders, output });
    expect(readFileSync(output).equals(readFileSync(file))).toBe(true);
    const { dataset: _, ...learningRest } = learning;
    await distill({ ...learningRest, ...folders, epochs: 1, teacherLogits: output });
  });

  test('may be a student’s', async () => {
    const teacher = await writeStudent(inFolder('student-teacher.safetensors'));
    const output = inFolder('by-student.safetensors');
    expect(await teacherLogits({ ...asking, teacher, output })).toMatchObject({
      architecture: 'cnn',
    });
  });

  test('takes mean, std and image size from the teacher’s file, where it says them', async () => {
    const teacher = inFolder('learnt.safetensors');
    await distill({ ...base, epochs: 1, student: teacher });
    const { mean: _mean, std: _std, imageSize: _size, ...rest } = asking;
    const output = inFolder('by-learnt.safetensors');
    await teacherLogits({ ...rest, teacher, output });
    expect((await inspect(output)).metadata).toMatchObject({ mean, std, imageSize: 32 });
  });

  test('passes over a picture that does not decode, and so does the run', async () => {
    const dataset = inFolder('with-bad');
    cpSync(base.dataset, dataset, { recursive: true });
    const bad = path.join(dataset, 'train/bees/3.png');
    writeFileSync(bad, 'no picture');
    const output = inFolder('with-bad.safetensors');
    const warnings: DistillWarning[] = [];
    const options = {
      ...asking,
      dataset,
      output,
      onWarning: (w: DistillWarning) => warnings.push(w),
    };
    expect((await refusalOf(teacherLogits(options))).code).toBe('ERR_BAD_IMAGE');
    expect(filesIn(folder)).not.toContain('with-bad.safetensors');

    const found = await teacherLogits({ ...options, onBadImage: 'skip' });
    expect(found).toMatchObject({ skipped: [bad], images: { train: 18, val: 7 } });
    expect(warnings).toMatchObject([{ code: 'WARN_IMAGE_SKIPPED', path: bad }]);
    const given = { ...learning, dataset, teacherLogits: output, student: inFolder('bad.pth') };
    const { result } = await learn({ ...given, epochs: 1, onBadImage: 'skip' });
    expect(result.skipped).toEqual([bad]);
    // With the picture there again, an answer is missing.
    cpSync(path.join(base.dataset, 'train/bees/3.png'), bad);
    const error = await refusalOf(distill({ ...given, onBadImage: 'skip' }));
    expect(error).toMatchObject({
      code: 'ERR_TEACHER_LOGITS',
      message: expect.stringContaining("'train/bees/3.png'"),
    });
  });

  test('of a kept store is part of what the store is known by', async () => {
    const cacheDir = inFolder('stores');
    const { logits, names } = await read(file);
    const copy = inFolder('copy.safetensors');
    const writeCopy = (scale: number) => {
      const paths = Buffer.from(names.join('\0'));
      writeBytes(
        copy,
        safetensors({
          logits: { dtype: 'F32', shape: [26, 2], data: logits.map((value) => value * scale) },
          paths: { dtype: 'U8', shape: [paths.length], data: paths },
        }),
      );
    };
    const run = async () => {
      const student = inFolder('cached.pth');
      return learn({ ...learning, epochs: 1, teacherLogits: copy, student, cacheDir });
    };
    writeCopy(1);
    const first = await run();
    const again = await run();
    expect(again.result.store).toBe(first.result.store);
    expect(again.result.imagesPerSecond.prepare).toBe(0);
    expect(again.epochs).toEqual(first.epochs);
    writeCopy(3);
    const changed = await run();
    expect(changed.result.store).not.toBe(first.result.store);
    expect(changed.epochs).not.toEqual(first.epochs);
    expect(filesIn(cacheDir)).toHaveLength(2);
  });

  test('for other preprocessing is used with a warning', async () => {
    const options = { ...learning, imageSize: 40, epochs: 1, student: inFolder('other-size.pth') };
    const { warnings } = await learn({ ...options, teacherLogits: file });
    expect(warnings).toMatchObject([
      {
        code: 'WARN_LOGITS_PREPROCESSING',
        message: expect.stringMatching(/imageSize 32.*student.*40/),
        path: file,
      },
    ]);
  });
});

/** A teacher that overflows. */
async function writeInfiniteTeacher(): Promise<string> {
  const teacher = await writeTeacher(inFolder('infinite.safetensors'));
  const bytes = readFileSync(teacher);
  const { header, data } = parseSafetensors(bytes);
  const [begin, end] = header['features.norm5.weight'].data_offsets;
  for (let i = begin; i < end; i += 4) data.writeFloatLE(1e38, i);
  return writeBytes(teacher, bytes);
}

describe('teacherLogits() refuses', () => {
  test.each<
    [
      string,
      string,
      RegExp,
      () => Promise<Partial<TeacherLogitsOptions>> | Partial<TeacherLogitsOptions>,
    ]
  >([
    [
      'a teacher that is none',
      'ERR_TEACHER_ARCHITECTURE',
      /neither a DenseNet nor a student.*docs\/teachers-and-students/,
      async () => ({
        teacher: await writePth(inFolder('none.pth'), { a: { shape: [1], data: [1] } }),
      }),
    ],
    [
      'a teacher of other classes',
      'ERR_TEACHER_CLASSES',
      /3 classes/,
      async () => ({ teacher: await writeTeacher(inFolder('three.pth'), { classes: 3 }) }),
    ],
    [
      'a teacher that does not say its mean',
      'ERR_NO_METADATA',
      /has no mean;/,
      () => ({ mean: undefined }),
    ],
    [
      'a teacher whose answers are infinite',
      'ERR_NOT_FINITE',
      /not finite/,
      async () => ({ teacher: await writeInfiniteTeacher() }),
    ],
    ['no folder', 'ERR_OPTION', /either `dataset`/, () => ({ dataset: undefined })],
    [
      'a dataset that is not there',
      'ERR_DATASET_NOT_FOUND',
      /none/,
      () => ({ dataset: inFolder('none') }),
    ],
    [
      'an output in no folder',
      'ERR_WRITE',
      /create its folder/,
      () => ({ output: inFolder('none/l.safetensors') }),
    ],
    ['an output that is a folder', 'ERR_WRITE', /is a folder/, () => ({ output: folder })],
    [
      'an output that is the teacher',
      'ERR_OPTION',
      /`output` is the teacher's own file/,
      () => ({ output: base.teacher }),
    ],
  ])('%s', async (_, code, message, more) => {
    const output = inFolder('out/refused.safetensors');
    const error = await refusalOf(teacherLogits({ ...asking, output, ...(await more()) }));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(filesIn(inFolder('out')).filter((name) => /refused|tmp/.test(name))).toEqual([]);
  });

  test('to go on once it is aborted, and leaves the old file', async () => {
    const output = writeBytes(inFolder('old.safetensors'), 'old');
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = () => controller.abort(reason);
    const { signal } = controller;
    const work = teacherLogits({ ...asking, output, overwrite: true, signal, onProgress });
    await expect(work).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      name: 'AbortError',
      cause: reason,
    });
    expect(readFileSync(output, 'utf8')).toBe('old');
  });
});
