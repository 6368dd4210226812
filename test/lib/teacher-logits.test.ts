import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../lib/data/decode.js';
import {
  type DistillOptions,
  type DistillWarning,
  distill,
  inspect,
  type TeacherLogitsOptions,
  teacherLogits,
} from '../../lib/index.js';
import { loadAddon, native } from '../../lib/native.js';
import { packageRoot } from '../../lib/package.js';
import { runCommand } from '../helpers/child.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writePicture,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { refusalOf } from '../helpers/outcome.js';
import { writePth } from '../helpers/pth.js';
import { pythonWith, runPython } from '../helpers/python.js';
import { parseSafetensors, safetensors, writeBytes } from '../helpers/safetensors.js';

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);
const file = inFolder('logits.safetensors');
let base: Awaited<ReturnType<typeof smallRun>>;
let asking: TeacherLogitsOptions;
let learning: Omit<DistillOptions, 'teacher'>;
let written: Awaited<ReturnType<typeof teacherLogits>>;

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

/** A run's numbers and the tensors that it saved. */
async function learn(options: DistillOptions) {
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

async function read(from: string) {
  const [logits, paths] = await native(loadAddon().readTensors(from, ['logits', 'paths']));
  return {
    shape: logits?.shape,
    logits: logits?.data as Float32Array,
    names: new TextDecoder().decode(paths?.data).split('\0'),
  };
}

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
      classifier.logits(await decodeCrop(`${base.dataset}/val/bees/2.png`, { imageSize: 32 })),
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
      architecture: 'student',
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

describe('a file that does not serve as logits', () => {
  const bytesOf = (text: string | Buffer) => {
    const data = Buffer.from(text);
    return { dtype: 'U8', shape: [data.length], data };
  };
  const two = { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
  const names = 'train/ants/0.png\0train/ants/1.png';
  const make = (name: string, tensors: Parameters<typeof safetensors>[0], metadata?: object) =>
    writeBytes(
      inFolder(`${name}.safetensors`),
      safetensors(tensors, metadata && { 'distill.json': JSON.stringify(metadata) }),
    );

  test.each<[string, string, RegExp, () => string | Promise<string>]>([
    ['is missing', 'ERR_CHECKPOINT_NOT_FOUND', /no such file/, () => inFolder('none.safetensors')],
    [
      'is damaged',
      'ERR_CHECKPOINT_CORRUPT',
      /damaged/,
      () => writeBytes(inFolder('damaged'), readFileSync(file).subarray(0, -1)),
    ],
    [
      'is a teacher',
      'ERR_TEACHER_LOGITS',
      /holds a densenet121, whose place is `teacher`/,
      () => base.teacher,
    ],
    [
      'holds something else',
      'ERR_TEACHER_LOGITS',
      /lacks 'logits' or 'paths'; it holds 'a'/,
      () => writePth(inFolder('else.pth'), { a: { shape: [1], data: [1] } }),
    ],
    [
      'has no paths',
      'ERR_TEACHER_LOGITS',
      /lacks 'logits' or 'paths'/,
      () => make('no-paths', { logits: two }),
    ],
    [
      'has integers',
      'ERR_TEACHER_LOGITS',
      /'logits' of int64 \(2, 2\)/,
      () =>
        make('integers', {
          logits: { dtype: 'I64', shape: [2, 2], data: new BigInt64Array(4) },
          paths: bytesOf(names),
        }),
    ],
    [
      'has one dimension',
      'ERR_TEACHER_LOGITS',
      /'logits' of float32 \(4\)/,
      () => make('flat', { logits: { ...two, shape: [4] }, paths: bytesOf(names) }),
    ],
    [
      'has no pictures',
      'ERR_TEACHER_LOGITS',
      /'logits' of float32 \(0, 2\)/,
      () =>
        make('empty', {
          logits: { ...two, shape: [0, 2], data: new Float32Array() },
          paths: bytesOf(''),
        }),
    ],
    [
      'has paths of another type',
      'ERR_TEACHER_LOGITS',
      /'paths' of float32/,
      () => make('paths', { logits: two, paths: two }),
    ],
    [
      'has paths that are no UTF-8',
      'ERR_TEACHER_LOGITS',
      /not UTF-8/,
      () => make('latin', { logits: two, paths: bytesOf(Buffer.from('\xe9\0a', 'latin1')) }),
    ],
    [
      'has fewer paths than rows',
      'ERR_TEACHER_LOGITS',
      /logits of 2 pictures, but 1 paths/,
      () => make('fewer', { logits: two, paths: bytesOf('train/ants/0.png') }),
    ],
    [
      'names a picture twice',
      'ERR_TEACHER_LOGITS',
      /'a' twice/,
      () => make('twice', { logits: two, paths: bytesOf('a\0a') }),
    ],
    [
      'lacks pictures',
      'ERR_TEACHER_LOGITS',
      /no logits for 'train\/ants\/2\.png' and 16 other pictures/,
      () => make('lacks', { logits: two, paths: bytesOf(names) }),
    ],
    [
      'tells other classes apart',
      'ERR_TEACHER_CLASSES',
      /has 3 classes.*2 class folders \(ants, bees\)/,
      () =>
        make('three', {
          logits: { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) },
          paths: bytesOf(names),
        }),
    ],
    [
      'names other classes',
      'ERR_TEACHER_CLASSES',
      /Column 1 .* is for 'wasps', but class folder 1 .* is 'bees'/,
      () =>
        make(
          'wasps',
          { logits: two, paths: bytesOf(names) },
          { classes: ['ants', 'wasps'], mean, std, imageSize: 32 },
        ),
    ],
    [
      'holds NaN',
      'ERR_NOT_FINITE',
      /not all finite/,
      () =>
        make('nan', {
          logits: { ...two, data: Float32Array.of(1, 2, Number.NaN, 4) },
          paths: bytesOf(names),
        }),
    ],
    [
      'has damaged metadata',
      'ERR_CHECKPOINT_CORRUPT',
      /metadata.*\(mean: expected three numbers/,
      () => make('metadata', { logits: two, paths: bytesOf(names) }, { classes: ['ants', 'bees'] }),
    ],
  ])('because it %s is refused, and nothing is left', async (_, code, message, given) => {
    const logits = await given();
    const out = inFolder('refused');
    rmSync(out, { recursive: true, force: true });
    const cacheDir = path.join(out, 'stores');
    cpSync(path.join(base.dataset, 'val/ants'), path.join(out, 'pictures'), { recursive: true });
    const student = path.join(out, 'student.pth');
    const error = await refusalOf(
      distill({ ...learning, teacherLogits: logits, student, cacheDir }),
    );
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(error.message).toContain(`'${logits}'`);
    expect(error.message).not.toContain('\n');
    expect([...filesIn(out), ...filesIn(cacheDir)]).toEqual(['pictures']);
  });

  test('is not written over by the student', async () => {
    const link = inFolder('link.pth');
    symlinkSync(file, link);
    const before = readFileSync(file);
    for (const student of [file, link]) {
      const error = await refusalOf(distill({ ...learning, teacherLogits: file, student }));
      expect(error).toMatchObject({ code: 'ERR_OPTION' });
    }
    expect(readFileSync(file).equals(before)).toBe(true);
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
      /carries no mean;/,
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

describe.runIf(pythonWith('safetensors'))('Python', () => {
  test('writes such a file as docs/teachers-and-students.md shows, and it teaches the same', async () => {
    const guide = readFileSync(path.join(packageRoot, 'docs/teachers-and-students.md'), 'utf8');
    const [, snippet = ''] = /```python\n(dataset = ImageFolder[\s\S]*?)```/.exec(guide) ?? [];
    expect(snippet.trim().split('\n').length).toBeLessThanOrEqual(5);
    const script = `
import json, os, sys
from pathlib import Path
import reference
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
q = json.load(sys.stdin)
os.chdir(q["folder"])
teacher, transform = reference.load_teacher(q["teacher"]), reference.transform(q)
${snippet}
print("null")`;
    const at = inFolder('python');
    cpSync(base.dataset, path.join(at, 'photos'), { recursive: true });
    runPython(['-c', script], { ...asking, folder: at });
    const [ours, theirs] = [await read(file), await read(path.join(at, 'logits.safetensors'))];
    expect(theirs.names).toEqual(ours.names.slice(0, 19));
    for (const [i, value] of theirs.logits.entries())
      expect(value).toBeCloseTo(ours.logits[i] ?? 0, 4);

    const options = { ...learning, epochs: 1, student: inFolder('by-python.pth') };
    const a = await learn({ ...options, teacherLogits: path.join(at, 'logits.safetensors') });
    const b = await learn({ ...options, teacherLogits: file });
    expect(a.epochs[0]?.[0]).toBeCloseTo(b.epochs[0]?.[0] ?? 0, 5);
  });

  test('reads what is written here', async () => {
    const script = `
import json, sys
from safetensors import safe_open
with safe_open(json.load(sys.stdin), framework="pt") as file:
    logits, paths = file.get_tensor("logits"), bytes(file.get_tensor("paths")).decode()
    print(json.dumps([logits.double().tolist(), paths.split("\\0"), json.loads(file.metadata()["distill.json"])]))`;
    const { logits, names } = await read(file);
    const rows = names.map((_, i) => Array.from(logits.subarray(i * 2, i * 2 + 2)));
    expect(runPython(['-c', script], file)).toEqual([rows, names, (await inspect(file)).metadata]);
  });
});

describe('the command', () => {
  const flags = () => [
    ...['--mean', mean.join(), '--std', std.join(), '--image-size', '32'],
    ...['--device', 'cpu', '--threads', '1'],
  ];

  test('logits writes the file, and train learns from it', async () => {
    const output = inFolder('by command.safetensors');
    const given = [base.dataset, '--teacher', base.teacher, '-o', output, ...flags()];
    const said = await runCommand(['logits', ...given]);
    expect(said).toMatchObject({ code: 0, stderr: expect.stringMatching(/--teacher-logits '.*'/) });
    expect(said.stdout).toBe(
      `${output}: logits of a densenet121 for 19 training and 7 validation pictures of 2 classes\n`,
    );
    expect(readFileSync(output).equals(readFileSync(file))).toBe(true);

    const student = inFolder('by-command.pth');
    const learning = ['--teacher-logits', output, '--student', student, '--epochs', '1'];
    const trained = await runCommand(['train', base.dataset, ...learning, ...flags(), '--json']);
    expect(trained).toMatchObject({ code: 0, stderr: '' });
    expect((await inspect(student)).metadata?.teacher).toMatchObject({
      logits: 'by command.safetensors',
    });
  });

  test('logits tells its result as JSON', async () => {
    const output = inFolder('json.safetensors');
    const given = [base.dataset, '--teacher', base.teacher, '-o', output, ...flags(), '--json'];
    const { code, stdout } = await runCommand(['logits', ...given]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'logits',
      path: output,
      images: { train: 19, val: 7 },
    });
  });

  test.each<[string, number, RegExp, () => string[]]>([
    ['no teacher and no output', 2, /logits needs --teacher, --output\./, () => [base.dataset]],
    [
      'no mean',
      1,
      /carries no mean, std.*ERR_NO_METADATA/,
      () => [base.dataset, '--teacher', base.teacher, '-o', inFolder('x')],
    ],
    [
      'a wrong size',
      2,
      /for --image-size but received 'big'/,
      () => [base.dataset, '--teacher', base.teacher, '-o', inFolder('x'), '--image-size', 'big'],
    ],
  ])('logits with %s fails', async (_, expected, says, given) => {
    const { code, stdout, stderr } = await runCommand(['logits', ...given()]);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(says);
  });

  test('train with both a teacher and logits is wrong usage', async () => {
    const both = ['--teacher', base.teacher, '--teacher-logits', file, '--student', inFolder('x')];
    const { code, stderr } = await runCommand(['train', base.dataset, ...both, ...flags()]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/either --teacher, .* or --teacher-logits, .* both/),
    });
  });
});
