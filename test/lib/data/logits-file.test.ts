import { cpSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { distill } from '../../../lib/index.js';
import { filesIn, mean, std } from '../../helpers/dataset.js';
import { base, file, inFolder, learning } from '../../helpers/logits.js';
import { writePth } from '../../helpers/pth.js';
import { refusalOf } from '../../helpers/results.js';
import { safetensors, writeBytes } from '../../helpers/safetensors.js';

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
      'is for other classes',
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
