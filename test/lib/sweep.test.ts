import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import {
  type DistillOptions,
  distill,
  inspect,
  type SweepOptions,
  type SweepPoint,
  type SweepResult,
  sweep,
} from '../../lib/index.js';
import { runCommand } from '../helpers/child.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeLoudTeacher,
} from '../helpers/dataset.js';
import { flagsFor, numbersOf, refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);
let base: Omit<DistillOptions, 'student' | 'seed'>;

beforeAll(async () => {
  const { student, seed, ...rest } = await smallRun(folder);
  base = rest;
  loud = await writeLoudTeacher(inFolder('loud.safetensors'));
});

/** The folder for files that nobody asked for. */
const scratch = path.join(temporaryFolder(), 'scratch');
beforeEach(async () => {
  vi.stubEnv('TMPDIR', path.dirname(scratch));
});
afterEach(() => {
  expect(filesIn(path.dirname(scratch))).toEqual([]);
  vi.unstubAllEnvs();
});

/** Makes losses NaN: the loud teacher's logits divided by it are no longer finite. */
const TINY = 0.01;
let loud: string;

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as SweepResult;

async function weightsOf(file: string): Promise<Record<string, string>> {
  const { tensors } = await inspect(file);
  const read = tensors.map(async ({ name }) => {
    const { data } = await native(loadAddon().readTensor(file, name));
    return [name, Buffer.from(data.buffer).toString('base64')] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

describe('a sweep', () => {
  const grid = { temperature: [2, 4], alpha: [0, 0.9], lr: [1e-3], seeds: [5, 7] };
  let result: SweepResult;
  let points: SweepPoint[];
  let prepared: number[];
  const student = inFolder('out', 'swept.safetensors');
  const out = inFolder('out', 'sweep.json');

  beforeAll(async () => {
    points = [];
    prepared = [];
    result = await sweep({ ...base, ...grid, student, out })
      .on('point', (point) => points.push(point))
      .on('prepare', ({ done }) => prepared.push(done));
  });

  test('trains at every point of the grid, in order', () => {
    const settings = ({ temperature, alpha, lr }: SweepPoint) => [temperature, alpha, lr];
    expect(result.points.map(settings)).toEqual([
      [2, 0, 1e-3],
      [2, 0.9, 1e-3],
      [4, 0, 1e-3],
      [4, 0.9, 1e-3],
    ]);
    expect(points).toEqual(result.points);
    for (const { trials } of points) expect(trials.map(({ seed }) => seed)).toEqual([5, 7]);
    expect(result).toMatchObject({
      stopReason: 'completed',
      seeds: [5, 7],
      student,
      store: null,
      skipped: [],
      classes: ['ants', 'bees'],
      images: { train: 11, val: 7 },
      device: 'cpu',
      options: { epochs: 2, batchSize: 4, dropRate: 0.2, imageSize: 32 },
      teacher: { file: 'teacher.pth', architecture: 'densenet121' },
    });
  });

  test('prepares once', () => {
    expect(prepared.filter((done) => done === 18)).toHaveLength(1);
    expect(prepared).toEqual([...prepared].sort((a, b) => a - b));
  });

  test('trains as distill() does, to the bit', async () => {
    for (const { temperature, alpha, lr, trials } of result.points) {
      for (const { seed, best, last } of trials) {
        const options = { ...base, temperature, alpha, lr, seed, student: inFolder('alone.pth') };
        const alone = await distill(options);
        expect(numbersOf(best)).toEqual(numbersOf(alone.best));
        expect(numbersOf(last)).toEqual(numbersOf(alone.last));
      }
    }
  });

  test('tells means and spreads over seeds', () => {
    for (const { trials, best, last, notFinite } of result.points) {
      expect(notFinite).toBe(0);
      for (const [which, scores] of Object.entries({ best, last }) as [
        'best' | 'last',
        typeof best,
      ][]) {
        const [a, b] = trials.map((run) => run[which]);
        for (const [name, spread] of [
          ['valAccuracy', scores?.accuracy],
          ['valLoss', scores?.loss],
        ] as const) {
          const [x = 0, y = 0] = [a?.[name], b?.[name]];
          expect(spread?.mean).toBeCloseTo((x + y) / 2, 12);
          // The standard deviation of a sample of two values.
          expect(spread?.std).toBeCloseTo(Math.abs(x - y) / Math.SQRT2, 12);
        }
      }
    }
  });

  test('has none of one seed', async () => {
    const { points } = await sweep({ ...base, epochs: 1 });
    expect(points).toMatchObject([
      { temperature: 2, alpha: 0.7, lr: 1e-4, best: { accuracy: { std: null } } },
    ]);
    expect(points[0]?.trials.map(({ seed }) => seed)).toEqual([1]);
  });

  test('keeps the best point’s best student', async () => {
    const order = result.points.map(({ best }) => best?.accuracy.mean ?? 0);
    expect(result.best?.best?.accuracy.mean).toBe(Math.max(...order));
    const { temperature = 0, alpha = 0, lr = 0, trials = [] } = result.best ?? {};
    const accuracies = trials.map(({ best }) => best?.valAccuracy ?? 0);
    const { metadata, format } = await inspect(student);
    expect(format).toBe('safetensors');
    expect(metadata?.options).toMatchObject({ temperature, alpha, lr, epochs: 2 });
    expect(metadata?.metrics?.valAccuracy).toBe(Math.max(...accuracies));
    const seed = metadata?.options?.seed as number;
    const alone = inFolder('alone.pth');
    await distill({ ...base, temperature, alpha, lr, seed, student: alone });
    expect(await weightsOf(student)).toEqual(await weightsOf(alone));
  });

  test('is written as JSON', () => {
    expect(read(out)).toEqual(JSON.parse(JSON.stringify(result)));
    expect(filesIn(inFolder('out'))).toEqual(['sweep.json', 'swept.safetensors']);
  });

  test('keeps no student and writes nothing unless it is asked to', async () => {
    const before = filesIn(inFolder('out'));
    const { student } = await sweep({ ...base, epochs: 1, seeds: 2 });
    expect(student).toBeNull();
    expect(filesIn(inFolder('out'))).toEqual(before);
  });

  test('takes over a store that a distillation kept, and logits instead of a teacher', async () => {
    const cacheDir = inFolder('stores');
    const options = { ...base, epochs: 1, cacheDir };
    const { store } = await distill({ ...options, student: inFolder('alone.pth') });
    const seen: number[] = [];
    const found = await sweep({ ...options, alpha: [0.5, 0.6] }).on('prepare', ({ done }) =>
      seen.push(done),
    );
    expect(found.store).toBe(store);
    expect(seen).toEqual([18]);
    expect(filesIn(cacheDir)).toHaveLength(1);
  });

  test('iterates over points, and tells where it stands', async () => {
    const run = sweep({ ...base, alpha: [0.1, 0.2], seeds: 2, epochs: 1 });
    expect(run.progress).toEqual({ trial: 0, trials: 0, epoch: 0, step: 0, steps: 0 });
    const stands: string[] = [];
    run.on('epoch', ({ alpha, seed }) => {
      const { trial, trials, epoch } = run.progress;
      stands.push(`${alpha} ${seed}: ${trial}/${trials}, ${epoch}`);
    });
    const seen: number[] = [];
    for await (const { alpha } of run) seen.push(alpha);
    expect(seen).toEqual([0.1, 0.2]);
    expect(stands).toEqual(['0.1 1: 1/4, 1', '0.1 2: 2/4, 1', '0.2 1: 3/4, 1', '0.2 2: 4/4, 1']);
  });
});

describe('a point whose loss becomes infinite or NaN', () => {
  test('is told as such, and the others go on', async () => {
    const student = inFolder('finite.pth');
    const { points, best, stopReason } = await sweep({
      ...base,
      teacher: loud,
      temperature: [TINY, 2],
      alpha: 0.7,
      seeds: 2,
      student,
    });
    expect(stopReason).toBe('completed');
    expect(points).toMatchObject([
      { temperature: TINY, notFinite: 2, best: null, last: null },
      { temperature: 2, notFinite: 0 },
    ]);
    expect(points[0]?.trials).toMatchObject([
      { seed: 1, stopReason: 'not-finite', epochs: 0, best: null, last: null },
      { seed: 2, stopReason: 'not-finite' },
    ]);
    expect(best).toBe(points[1]);
    expect((await inspect(student)).metadata?.options).toMatchObject({ temperature: 2 });
  });

  test('leaves no best one where there is no other', async () => {
    const student = inFolder('nothing', 'none.pth');
    const out = inFolder('nothing-finite.json');
    const { best } = await sweep({
      ...base,
      teacher: loud,
      temperature: TINY,
      student: inFolder('none.pth'),
      out,
    });
    expect(best).toBeNull();
    expect(filesIn(folder)).not.toContain('none.pth');
    expect(read(out).points).toMatchObject([{ notFinite: 1, best: null }]);
    expect((await refusalOf(sweep({ ...base, student }))).code).toBe('ERR_WRITE');
  });
});

describe('an early end', () => {
  const endless = { epochs: 1e9, alpha: [0.1, 0.2, 0.3] };

  test.each(['at once', 'dataset', 'prepare', 'epoch'] as const)(
    'before a point is done (%s) leaves nothing',
    async (when) => {
      const out = inFolder('stopped', 'sweep.json');
      const student = inFolder('out', 'stopped.pth');
      const run = sweep({ ...base, ...endless, student, out: inFolder('stopped.json') });
      if (when === 'at once') run.stop();
      else run.once(when, () => run.stop());
      expect(await run).toMatchObject({ stopReason: 'stopped', points: [], best: null });
      expect(filesIn(folder)).not.toContain('stopped.json');
      expect(filesIn(path.dirname(student))).not.toContain('stopped.pth');
      expect(filesIn(path.dirname(out))).toEqual([]);
    },
  );

  test('keeps the points that were done', async () => {
    const [student, out] = [inFolder('out', 'early.pth'), inFolder('out', 'early.json')];
    const run = sweep({ ...base, alpha: [0.1, 0.2, 0.3], student, out });
    run.once('point', () => run.stop());
    const result = await run;
    expect(result).toMatchObject({ stopReason: 'stopped', points: [{ alpha: 0.1 }] });
    expect(result.points).toHaveLength(1);
    expect(read(out)).toMatchObject({ stopReason: 'stopped', points: [{ alpha: 0.1 }] });
    expect((await inspect(student)).metadata?.options).toMatchObject({ alpha: 0.1 });
  });

  test('by a signal rejects; what was done stays', async () => {
    const controller = new AbortController();
    const out = inFolder('out', 'aborted.json');
    const run = sweep({ ...base, alpha: [0.1, 0.2], out, signal: controller.signal });
    run.once('point', () => controller.abort());
    expect(await refusalOf(run)).toMatchObject({ code: 'ERR_ABORTED', name: 'AbortError' });
    expect(read(out)).toMatchObject({ stopReason: 'stopped', points: [{ alpha: 0.1 }] });
  });

  test('by an exception in a listener rejects with it', async () => {
    const thrown = new Error('of the listener');
    const run = sweep({ ...base, ...endless }).on('epoch', () => {
      throw thrown;
    });
    await expect(run).rejects.toBe(thrown);
  });
});

describe('bad input', () => {
  const notALists = ['2,4', '', null, {}, [], ['2'], [NaN], [2, 2], Array(101).fill(0.5)];
  const tables = {
    temperature: [...notALists, 0, -1, 1001, [2, 0], [2, 1001]],
    alpha: [...notALists, -0.1, 1.1, [0.5, 1.1], [-0.1]],
    lr: [...notALists, 0, 1.01, [1e-3, 0]],
    seeds: ['3', null, {}, [], 0, -1, 1.5, 101, NaN, [1, 1], [0.5], [-1], [2 ** 53], ['1']],
    student: ['', 5, null, ['a']],
    out: ['', 5, null, ['a']],
  } satisfies { [option in keyof SweepOptions]?: unknown[] };

  test.each(Object.entries(tables))('a wrong `%s` is refused', async (name, values) => {
    for (const value of values) {
      const error = await refusalOf(sweep({ ...base, [name]: value } as SweepOptions));
      expect(error.code).toBe('ERR_OPTION');
      expect(error.message).toMatch(
        new RegExp(`^Expected .{5,} for \`${name}\` but received .+\\.$`, 's'),
      );
    }
  });

  test('what distill() has for one training is unknown here', async () => {
    const error = await refusalOf(sweep({ ...base, seed: 1 } as SweepOptions));
    expect(error.message).toBe('There is no option `seed`; did you mean `seeds`?');
  });

  test.each<[string, () => Partial<SweepOptions>, string, RegExp]>([
    [
      'one file for two things',
      () => ({ out: inFolder('x'), student: path.join(folder, '.', 'x') }),
      'ERR_OPTION',
      /^`out` and `student` are the same file '.*x'; name another/,
    ],
    [
      'the teacher’s file for figures',
      () => ({ out: base.teacher }),
      'ERR_OPTION',
      /^`out` is the teacher's own file/,
    ],
    [
      'the teacher’s file for the student',
      () => ({ student: base.teacher }),
      'ERR_OPTION',
      /^`student` is the teacher's own file/,
    ],
    [
      'a folder that is not there',
      () => ({ out: inFolder('no', 'sweep.json') }),
      'ERR_WRITE',
      /no\/sweep\.json/,
    ],
    ['a folder for a file', () => ({ out: folder }), 'ERR_WRITE', /distill-test-/],
    ['no teacher', () => ({ teacher: undefined }), 'ERR_OPTION', /either `teacher`/],
  ])('%s is refused before anything is done', async (_, given, code, message) => {
    const teacher = statSync(base.teacher as string);
    const run = sweep({ ...base, ...given() } as SweepOptions).on('prepare', () =>
      expect.unreachable('was prepared'),
    );
    const error = await refusalOf(run);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(statSync(base.teacher as string).mtimeMs).toBe(teacher.mtimeMs);
  });

  test('the initial student’s file for figures is refused', async () => {
    const initialStudent = inFolder('initial.pth');
    await distill({ ...base, epochs: 1, student: initialStudent });
    const error = await refusalOf(sweep({ ...base, initialStudent, out: initialStudent }));
    expect(error).toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(/^`out` is the student's own file/),
    });
  });
});

describe('the command', () => {
  const args = (...more: string[]) => [
    ...['sweep', base.dataset as string, '--teacher', base.teacher as string],
    ...['--mean', mean.join(), '--std', std.join(), '--image-size', '32'],
    ...['--device', 'cpu', '--threads', '1', '--epochs', '1', ...more],
  ];

  test('prints a table from the best point on', async () => {
    const out = inFolder('by command.json');
    const student = inFolder('by-command.pth');
    const grid = ['--temperature', `2,${TINY}`, '--alpha', '0.5,0.9', '--seeds', '4,6'];
    const files = ['--teacher', loud, '--out', out, '--student', student];
    const said = await runCommand(args(...grid, ...files));
    expect(said).toMatchObject({ code: 0 });
    const { points, best } = read(out);
    expect(points).toHaveLength(4);
    const rows = said.stdout.split('\n').filter((line) => /^│ (2|0\.01) /.test(line));
    expect(rows).toHaveLength(4);
    expect(rows[0]).toContain(
      `│ ${best?.best?.accuracy.mean.toFixed(4)} ± ${best?.best?.accuracy.std?.toFixed(4)} │`,
    );
    for (const row of rows.slice(2)) {
      expect(row).toContain('loss no longer finite in epoch 1 with 2 of 2 seeds');
    }
    expect(said.stdout).toContain(`Best: temperature 2, alpha ${best?.alpha}, lr 0.0001\n`);
    expect(said.stdout).toContain(`Figures: ${out}\nStudent: ${student}\nNext: distill predict`);
    expect(said.stderr).toMatch(/^8 of 8 students: temperature 0\.01, alpha 0\.9, lr 0\.0001: /m);
    expect((await inspect(student)).architecture).toBe('cnn');
  });

  test('prints events with --json', async () => {
    const { code, stdout, stderr } = await runCommand(args('--alpha', '0.5,0.9', '--json'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const names = events.map(({ event }) => event).filter((name) => name !== 'prepare');
    expect(names).toEqual(['dataset', 'epoch', 'point', 'epoch', 'point', 'result']);
    expect(events.at(-1)).toMatchObject({ stopReason: 'completed', seeds: [1], points: [{}, {}] });
  });

  test('has a flag for every option', async () => {
    const { stdout } = await runCommand(['sweep', '--help']);
    const flags = await flagsFor(sweep({ ...base, aaaaaaaaaaaaaaaaaaaaaaa: 1 } as never));
    const some = ['--temperature', '--seeds', '--out', '--student'];
    expect(flags).toEqual(expect.arrayContaining(some));
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ +(-o, )?${flag}\\b`, 'm'));
  });

  test.each<[string[], RegExp]>([
    [['--alpha', '0.5,2'], /for --alpha but received \[ 0\.5, 2 \]\. \(ERR_OPTION\)/],
    [['--temperature', '2,x'], /for --temperature but received '2,x'\. \(ERR_OPTION\)/],
    [['--seeds', '0'], /for --seeds but received 0\. \(ERR_OPTION\)/],
    [['--out', ''], /for --out but received ''\. \(ERR_OPTION\)/],
    [['--student', '/'], /--student|'\/'.*\(ERR_WRITE\)/],
  ])('with %j is told what is wrong by the name of the flag', async (given, message) => {
    const { code, stdout, stderr } = await runCommand(args(...given));
    expect(stdout).toBe('');
    expect(code).toBe(given[1] === '/' ? 1 : 2);
    expect(stderr).toMatch(message);
  });

  test('without a teacher is wrong usage', async () => {
    const { code, stderr } = await runCommand(['sweep', base.dataset as string]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/^distill: sweep needs --teacher\./),
    });
  });
});
