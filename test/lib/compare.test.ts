import { cpSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type CompareOptions,
  type CompareResult,
  compare,
  distill,
  inspect,
  type Trial,
  teacherLogits,
} from '../../lib/index.js';
import {
  answersOf,
  base,
  classOf,
  folder,
  inFolder,
  pictures,
  read,
  teacherSays,
} from '../helpers/compare.js';
import { filesIn, mean, std, temporaryFolder, writeLoudTeacher } from '../helpers/dataset.js';
import { numbersOf, refusalOf } from '../helpers/results.js';

/** The folder for files that nobody asked for. */
const scratch = temporaryFolder();
beforeEach(() => {
  vi.stubEnv('TMPDIR', scratch);
});
afterEach(() => {
  expect(filesIn(scratch)).toEqual([]);
  vi.unstubAllEnvs();
});
const shareOf = (flags: boolean[]) => flags.filter(Boolean).length / flags.length;

describe('a comparison', () => {
  let result: CompareResult;
  const trained: (Trial & { withTeacher: boolean })[] = [];
  const student = inFolder('out', 'best.pth');
  const out = inFolder('out', 'compare.json');

  beforeAll(async () => {
    vi.stubEnv('TMPDIR', scratch);
    result = await compare({ ...base, temperature: 3, alpha: 0.9, seeds: [4, 8], student, out }).on(
      'trial',
      (trial) => trained.push(trial),
    );
  });

  test('trains with the teacher and without it from equal seeds', () => {
    expect(result).toMatchObject({
      stopReason: 'completed',
      seeds: [4, 8],
      student,
      images: { train: 11, val: 7 },
      withTeacher: { temperature: 3, alpha: 0.9, lr: 1e-3, notFinite: 0 },
      withoutTeacher: { temperature: 3, alpha: 0, lr: 1e-3, notFinite: 0 },
      options: { epochs: 4, batchSize: 4 },
      machine: { cpu: expect.any(String), cores: expect.any(Number) },
    });
    expect(trained.map(({ withTeacher, seed }) => [withTeacher, seed])).toEqual([
      [true, 4],
      [false, 4],
      [true, 8],
      [false, 8],
    ]);
    for (const arm of [result.withTeacher, result.withoutTeacher]) {
      expect(arm.trials.map(({ seed }) => seed)).toEqual([4, 8]);
    }
  });

  test('trains as distill() does, to the bit', async () => {
    for (const { alpha, trials } of [result.withTeacher, result.withoutTeacher]) {
      for (const { seed, best, last } of trials) {
        const given = { ...base, temperature: 3, alpha, seed, student: inFolder('alone.pth') };
        const alone = await distill(given);
        expect(numbersOf(best)).toEqual(numbersOf(alone.best));
        expect(numbersOf(last)).toEqual(numbersOf(alone.last));
        expect(alone.last).not.toHaveProperty('valAgreement');
      }
    }
  });

  test('tells how often student and teacher say the same class', async () => {
    const says = teacherSays.map(classOf);
    for (const { alpha, trials, best } of [result.withTeacher, result.withoutTeacher]) {
      const agreements: number[] = [];
      for (const { seed, best } of trials) {
        const alone = inFolder('alone.pth');
        await distill({ ...base, temperature: 3, alpha, seed, student: alone });
        const student = (await answersOf(alone)).map(classOf);
        const agreement = shareOf(student.map((label, i) => label === says[i]));
        expect(best?.valAgreement).toBe(agreement);
        // And the same pictures are right.
        expect(best?.valAccuracy).toBe(
          shareOf(student.map((label, i) => label === pictures[i]?.label)),
        );
        agreements.push(agreement);
      }
      const [a = 0, b = 0] = agreements;
      expect(best?.agreement?.mean).toBeCloseTo((a + b) / 2, 12);
      expect(best?.agreement?.std).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 12);
    }
  });

  test('tells the teacher’s own accuracy and loss', () => {
    const right = teacherSays.map((logits, i) => classOf(logits) === pictures[i]?.label);
    expect(result.teacherScores?.accuracy).toBe(shareOf(right));
    const losses = teacherSays.map((logits, i) => {
      const [a = 0, b = 0] = logits;
      return Math.log(Math.exp(a) + Math.exp(b)) - (pictures[i]?.label ? b : a);
    });
    const loss = losses.reduce((sum, value) => sum + value, 0) / losses.length;
    expect(result.teacherScores?.loss).toBeCloseTo(loss, 4);
  });

  test('tells what the teacher changed, seed by seed', () => {
    const { withTeacher, withoutTeacher, gain } = result;
    for (const [which, name] of [
      ['accuracy', 'valAccuracy'],
      ['loss', 'valLoss'],
    ] as const) {
      const [x = 0, y = 0] = [0, 1].map(
        (i) =>
          (withTeacher.trials[i]?.best?.[name] ?? 0) -
          (withoutTeacher.trials[i]?.best?.[name] ?? 0),
      );
      expect(gain?.[which].mean).toBeCloseTo((x + y) / 2, 12);
      expect(gain?.[which].std).toBeCloseTo(Math.abs(x - y) / Math.SQRT2, 12);
    }
  });

  test('tells what both models cost', async () => {
    const { costs } = result;
    for (const [cost, file, architecture] of [
      [costs.teacher, base.teacher, 'densenet121'],
      [costs.student, student, 'cnn'],
    ] as const) {
      const { parameters } = await inspect(file);
      expect(cost).toEqual({
        architecture,
        parameters,
        bytes: statSync(file).size,
        latency: expect.any(Number),
      });
      expect(cost?.latency).toBeGreaterThan(0);
    }
    expect(costs.teacher?.parameters).toBe(6_955_906);
    expect(costs.student?.parameters).toBe(422_530);
  });

  test('keeps the best student that had a teacher, and all figures', async () => {
    const best = Math.max(...result.withTeacher.trials.map((run) => run.best?.valAccuracy ?? 0));
    const { metadata } = await inspect(student);
    expect(metadata?.options).toMatchObject({ temperature: 3, alpha: 0.9 });
    expect(metadata?.metrics?.valAccuracy).toBe(best);
    expect(read(out)).toEqual(JSON.parse(JSON.stringify(result)));
    expect(filesIn(inFolder('out'))).toEqual(['best.pth', 'compare.json']);
  });

  test('has three seeds, and writes nothing, unless told otherwise', async () => {
    const before = filesIn(folder);
    const run = compare({ ...base, epochs: 1 });
    const seen: boolean[] = [];
    for await (const { withTeacher } of run) seen.push(withTeacher);
    const { seeds, student, withTeacher } = await run;
    expect({ seeds, student }).toEqual({ seeds: [1, 2, 3], student: null });
    expect(withTeacher.alpha).toBe(0.7);
    expect(seen).toEqual([true, false, true, false, true, false]);
    expect(run.progress).toMatchObject({ trial: 6, trials: 6, epoch: 1 });
    expect(filesIn(folder)).toEqual(before);
  });

  test('knows a store with the teacher’s answers for validation from one without', async () => {
    const cacheDir = inFolder('stores');
    const options = { ...base, epochs: 1, cacheDir };
    await distill({ ...options, student: inFolder('alone.pth') });
    const first = await compare({ ...options, seeds: 1 });
    expect(filesIn(cacheDir)).toHaveLength(2);
    const again = await compare({ ...options, seeds: 1 });
    expect(again.store).toBe(first.store);
    expect(again.teacherScores).toEqual(first.teacherScores);
    expect(again.withTeacher.best).toEqual(first.withTeacher.best);
  });

  test('may be with a file of the teacher’s logits', async () => {
    const { teacher, dataset, epochs, lr, ...rest } = base;
    const file = inFolder('logits.safetensors');
    await teacherLogits({ ...rest, teacher, dataset, output: file });
    const options = { ...rest, dataset, epochs, lr, seeds: [4], alpha: 0.9, temperature: 3 };
    const found = await compare({ ...options, teacherLogits: file });
    expect(found.teacherScores?.accuracy).toBe(result.teacherScores?.accuracy);
    expect(found.teacherScores?.loss).toBeCloseTo(result.teacherScores?.loss ?? 0, 5);
    expect(found.withTeacher.trials[0]?.best?.valAgreement).toBe(
      result.withTeacher.trials[0]?.best?.valAgreement,
    );
    expect(found.costs).toMatchObject({ teacher: null, student: { architecture: 'cnn' } });
  });

  test('needs logits for the validation pictures as well', async () => {
    const { teacher, dataset, ...rest } = base;
    const fewer = inFolder('fewer');
    cpSync(dataset, fewer, { recursive: true });
    rmSync(path.join(fewer, 'val/bees/1.png'));
    const file = inFolder('fewer.safetensors');
    await teacherLogits({ mean, std, imageSize: 32, teacher, dataset: fewer, output: file });
    expect(await refusalOf(compare({ ...rest, dataset, teacherLogits: file }))).toMatchObject({
      code: 'ERR_TEACHER_LOGITS',
      message: expect.stringContaining("no logits for 'val/bees/1.png'"),
    });
    // A distillation does without.
    const given = { ...rest, dataset, epochs: 1, teacherLogits: file };
    await distill({ ...given, student: inFolder('alone.pth') });
  });

  test('passes over a picture that does not decode', async () => {
    const dataset = inFolder('with-bad');
    cpSync(base.dataset, dataset, { recursive: true });
    const bad = path.join(dataset, 'val/bees/1.png');
    writeFileSync(bad, 'no picture');
    const options = { ...base, dataset, epochs: 1, seeds: 1 };
    expect((await refusalOf(compare(options))).code).toBe('ERR_BAD_IMAGE');
    const warnings: unknown[] = [];
    const found = await compare({ ...options, onBadImage: 'skip' }).on('warning', ({ code }) =>
      warnings.push(code),
    );
    expect(found).toMatchObject({ skipped: [bad], images: { train: 11, val: 6 } });
    expect(warnings).toEqual(['WARN_IMAGE_SKIPPED']);
  });

  test('does not count students whose loss became infinite or NaN', async () => {
    const teacher = await writeLoudTeacher(inFolder('loud.safetensors'));
    const found = await compare({ ...base, teacher, epochs: 1, temperature: 0.01, seeds: 2 });
    expect(found).toMatchObject({
      stopReason: 'completed',
      withTeacher: { notFinite: 2, best: null, trials: [{ stopReason: 'not-finite' }, {}] },
      gain: null,
      costs: { teacher: { architecture: 'densenet121' }, student: null },
    });
  });
});

describe('an early end', () => {
  test.each(['at once', 'prepare', 'epoch'] as const)(
    'before a student is done (%s) leaves nothing',
    async (when) => {
      const files = { student: inFolder('stopped.pth'), out: inFolder('stopped.json') };
      const run = compare({ ...base, ...files, epochs: 1e9 });
      if (when === 'at once') run.stop();
      else run.once(when, () => run.stop());
      expect(await run).toMatchObject({
        stopReason: 'stopped',
        gain: null,
        costs: { teacher: null, student: null },
        withTeacher: { trials: [], best: null },
      });
      for (const name of ['stopped.pth', 'stopped.json']) {
        expect(filesIn(folder)).not.toContain(name);
      }
    },
  );

  test('keeps what was done', async () => {
    const files = { student: inFolder('early.pth'), out: inFolder('early.json') };
    const controller = new AbortController();
    const run = compare({ ...base, ...files, signal: controller.signal });
    run.on('trial', ({ withTeacher }) => withTeacher || controller.abort());
    expect(await refusalOf(run)).toMatchObject({ code: 'ERR_ABORTED', name: 'AbortError' });
    const found = read(files.out);
    expect(found).toMatchObject({
      stopReason: 'stopped',
      seeds: [1, 2, 3],
      costs: { student: null },
    });
    expect(found.withTeacher.trials).toHaveLength(1);
    expect(found.gain?.accuracy.std).toBeNull();
    expect((await inspect(files.student)).metadata?.options).toMatchObject({ seed: 1 });
  });
});

describe('bad input', () => {
  const tables = {
    alpha: [0, -0.1, 1.1, NaN, '0.7', null, [0.5]],
    temperature: [[2, 4], 0, '2', null],
    lr: [[1e-3], 0, null],
    seeds: ['3', null, {}, [], 0, -1, 1.5, 101, [1, 1], [-1], ['1']],
    student: ['', 5, null],
    out: ['', 5, null],
  } satisfies { [option in keyof CompareOptions]?: unknown[] };

  test.each(Object.entries(tables))('a wrong `%s` is refused', async (name, values) => {
    for (const value of values) {
      const error = await refusalOf(compare({ ...base, [name]: value } as CompareOptions));
      expect(error.code).toBe('ERR_OPTION');
      expect(error.message).toMatch(
        new RegExp(`^Expected .{5,} for \`${name}\` but received .+\\.$`, 's'),
      );
    }
  });

  test('an option of distill() for one training is unknown here', async () => {
    const error = await refusalOf(compare({ ...base, seed: 1 } as CompareOptions));
    expect(error.message).toBe('There is no option `seed`; did you mean `seeds`?');
  });

  test('one file for two things is refused', async () => {
    const file = inFolder('x');
    const error = await refusalOf(compare({ ...base, out: file, student: file }));
    expect(error.message).toMatch(/^`out` and `student` are the same file/);
  });
});
