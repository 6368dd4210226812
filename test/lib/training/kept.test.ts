import { copyFileSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import {
  compare,
  type DistillOptions,
  type DistillWarning,
  distill,
  type EpochReport,
  inspect,
  predict,
  sweep,
  teach,
} from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { batchOf, storeOf, trainConfigOf } from '../../helpers/contract.js';
import {
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeLoudTeacher,
  writePicture,
} from '../../helpers/dataset.js';
import { type PthTensor, writePth } from '../../helpers/pth.js';
import { numbersOf, refusalOf } from '../../helpers/results.js';

// The epoch whose network is in the file when a training ends.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
/** A run that finds the most accurate epochs after the one with the least loss. */
let base: Omit<DistillOptions, 'student'>;

/**
 * Red ants and blue bees to learn. Of the validation pictures half are of a faint colour, which takes some epochs to be
 * told, and one in eight is in the wrong class, which costs the more the surer the student gets.
 */
async function writeMisleading(dataset: string): Promise<string> {
  for (const [name, sign] of [
    ['ants', 1],
    ['bees', -1],
  ] as const) {
    for (let i = 0; i < 8; i++) {
      const faint = i < 5 ? 20 : 70;
      for (const [split, by] of [
        ['train', 70],
        ['val', i === 0 ? -70 : faint],
      ] as const) {
        const colour = [128 + sign * by, 100, 128 - sign * by];
        await writePicture(path.join(dataset, split, name, `${i}.png`), i, { colour });
      }
    }
  }
  return dataset;
}

beforeAll(async () => {
  const { student, ...rest } = await smallRun(folder);
  const dataset = await writeMisleading(at('misleading'));
  base = { ...rest, dataset, alpha: 0, lr: 1e-3, seed: 3, epochs: 12 };
});

/** A run with all that it said. */
async function runOf(options: DistillOptions) {
  const reports: EpochReport[] = [];
  const warnings: DistillWarning[] = [];
  const result = await distill(options)
    .on('epoch', (report) => reports.push(report))
    .on('warning', (warning) => warnings.push(warning));
  return { reports, warnings, result };
}

/** The most accurate epoch, and of equals the one with the least loss. */
function mostAccurate(reports: EpochReport[]): EpochReport | undefined {
  const accuracy = Math.max(...reports.map(({ valAccuracy }) => valAccuracy));
  return leastLoss(reports.filter(({ valAccuracy }) => valAccuracy === accuracy));
}

function leastLoss(reports: EpochReport[]): EpochReport | undefined {
  const loss = Math.min(...reports.map(({ valLoss }) => valLoss));
  return reports.find(({ valLoss }) => valLoss === loss);
}

const epochIn = async (file: string) => (await inspect(file)).metadata?.epoch;

async function tensorsOf(file: string, some: string[] = []) {
  const { tensors } = await inspect(file);
  const names = some.length > 0 ? some : tensors.map(({ name }) => name);
  const entries = names.map(async (name) => {
    const { data } = await loadAddon().readTensor(file, name);
    return [name, Buffer.from(data.buffer).toString('base64')];
  });
  return Object.fromEntries(await Promise.all(entries));
}

describe('the kept epoch', () => {
  let first: Awaited<ReturnType<typeof runOf>>;
  beforeAll(async () => {
    first = await runOf({ ...base, student: at('both.pth') });
  });

  test('is the last that improved both, and a more accurate one is told of', async () => {
    const { reports, warnings, result } = first;
    const best = reports.findLast(({ saved }) => saved);
    const moreAccurate = mostAccurate(reports);
    expect(moreAccurate?.valAccuracy).toBeGreaterThan(best?.valAccuracy ?? 1);
    expect(result).toMatchObject({ best, moreAccurate, initial: null });
    expect(warnings).toEqual([
      {
        code: 'WARN_BETTER_EPOCH',
        message: `Epoch ${moreAccurate?.epoch} was more accurate (${moreAccurate?.valAccuracy.toFixed(4)}) than epoch ${best?.epoch} (${best?.valAccuracy.toFixed(4)}), which is kept as its loss is less; to keep the most accurate, set \`monitor\` to 'accuracy'.`,
        path: at('both.pth'),
      },
    ]);
    expect(await epochIn(at('both.pth'))).toBe(best?.epoch);
  });

  test('is the most accurate with the monitor accuracy', async () => {
    const student = at('accurate.pth');
    const { reports, warnings, result } = await runOf({ ...base, monitor: 'accuracy', student });
    const chosen = mostAccurate(reports);
    expect(result).toMatchObject({ best: chosen, moreAccurate: null });
    expect(warnings).toEqual([]);
    expect(await epochIn(student)).toBe(chosen?.epoch);
    expect((await inspect(student)).metadata?.options).toMatchObject({ monitor: 'accuracy' });
    // The training is the same; only the saved epoch differs.
    const learnt = (all: EpochReport[]) => all.map((one) => ({ ...numbersOf(one), saved: null }));
    expect(learnt(reports)).toEqual(learnt(first.reports));
  });

  test('is the one with the least loss with the monitor loss', async () => {
    const student = at('least.pth');
    // Slower, so that the loss falls for some epochs in which no more pictures are told.
    const slow = { ...base, lr: 3e-4, seed: 1 };
    const { reports, result, warnings } = await runOf({ ...slow, monitor: 'loss', student });
    const chosen = leastLoss(reports);
    expect(result.best).toEqual(chosen);
    expect(await epochIn(student)).toBe(chosen?.epoch);
    expect(warnings).toEqual([]);
    const both = await distill({ ...slow, student: at('slow.pth') });
    expect(both.best?.epoch).not.toBe(chosen?.epoch);
  });

  test('is chosen by the same rule in a sweep and in a comparison', async () => {
    const { reports } = first;
    const { alpha, temperature, seed, ...shared } = base;
    const warnings: string[] = [];
    const options = { ...shared, alpha: [0], seeds: [3], student: at('swept.pth') };
    const { points } = await sweep(options).on('warning', ({ code, message }) =>
      warnings.push(`${code}: ${message}`),
    );
    expect(numbersOf(points[0]?.trials[0]?.moreAccurate ?? null)).toEqual({
      ...numbersOf(mostAccurate(reports) ?? null),
    });
    expect(warnings).toEqual([
      expect.stringMatching(/^WARN_BETTER_EPOCH: In 1 of 1 trainings .*`monitor` to 'accuracy'\.$/),
    ]);

    const silent = (warning: DistillWarning) => expect.unreachable(warning.message);
    const swept = await sweep({ ...options, monitor: 'accuracy' }).on('warning', silent);
    const chosen = mostAccurate(reports);
    expect(swept.points[0]?.best?.accuracy.mean).toBe(chosen?.valAccuracy);
    expect(await epochIn(at('swept.pth'))).toBe(chosen?.epoch);
    expect(swept.options).toMatchObject({ monitor: 'accuracy' });

    const compared = await compare({
      ...shared,
      seeds: [3],
      monitor: 'accuracy',
      student: at('compared.pth'),
    }).on('warning', silent);
    expect(compared.withoutTeacher.best?.accuracy.mean).toBe(chosen?.valAccuracy);
  });

  test('is told in the command line’s words', async () => {
    const { teacher, dataset } = base;
    const args = [
      ...['train', `${dataset}`, '--teacher', `${teacher}`, '--student', at('told.pth')],
      ...['--mean', `${mean}`, '--std', `${std}`, '--image-size', '32', '--alpha', '0'],
      ...['--lr', '1e-3', '--seed', '3', '--epochs', '12', '--threads', '1', '--device', 'cpu'],
    ];
    const told = await runCommand(args);
    const epoch = mostAccurate(first.reports)?.epoch;
    expect(told.stderr).toMatch(
      /^distill: warning: Epoch .*; to keep the most accurate, set --monitor to 'accuracy'\. \(WARN_BETTER_EPOCH\)$/m,
    );
    expect(told.stdout).toMatch(
      new RegExp(`^More accurate: epoch ${epoch}, .*; --monitor accuracy keeps it$`, 'm'),
    );
    const accurate = await runCommand([...args, '--monitor', 'accuracy']);
    expect(accurate.stdout).toMatch(new RegExp(`^Best: epoch ${epoch}, `, 'm'));
    expect(accurate.stderr + accurate.stdout).not.toMatch(/WARN_BETTER_EPOCH|More accurate/);
    expect(accurate.code).toBe(0);
  });
});

describe('an initial student', () => {
  /** A good one, which this package wrote. */
  let good: string;
  let scores: { valAccuracy: number; valLoss: number };
  beforeAll(async () => {
    good = at('good.pth');
    const { best } = await distill({ ...base, monitor: 'accuracy', student: good });
    scores = { valAccuracy: best?.valAccuracy ?? 0, valLoss: best?.valLoss ?? 0 };
  });

  /** Trains it on, with too great a rate for it to get better. */
  const worse = { lr: 0.1, epochs: 3 };

  test.each(['accuracy-and-loss', 'accuracy', 'loss'] as const)(
    'in the place of the student stays until an epoch is better (%s)',
    async (monitor) => {
      const student = at(`own-${monitor}.pth`);
      copyFileSync(good, student);
      const bytes = readFileSync(student);
      const { ino } = statSync(student);
      const given = { ...base, ...worse, initialStudent: student, student, monitor };
      const { reports, result, warnings } = await runOf(given);
      expect(result).toMatchObject({ best: null, initial: scores, epochs: 3 });
      expect(reports.map(({ saved }) => saved)).toEqual([false, false, false]);
      expect(warnings).toEqual([
        {
          code: 'WARN_NO_IMPROVEMENT',
          message: `No epoch was better than what the training started from (accuracy ${scores.valAccuracy.toFixed(4)}, loss ${scores.valLoss.toFixed(4)}), which is what the file holds.`,
          path: student,
        },
      ]);
      expect(readFileSync(student).equals(bytes)).toBe(true);
      expect(statSync(student).ino).toBe(ino);
    },
  );

  test('is judged as the file’s student is', async () => {
    const student = at('judged.pth');
    const { initial } = await distill({
      ...base,
      ...worse,
      initialStudent: good,
      student,
      epochs: 1,
    }).on('warning', () => {});
    let right = 0;
    let pictures = 0;
    for await (const { path: file, label } of predict({
      student,
      images: path.join(`${base.dataset}`, 'val'),
      device: 'cpu',
      threads: 1,
    })) {
      if (label === path.basename(path.dirname(`${file}`))) right += 1;
      pictures += 1;
    }
    expect(initial?.valAccuracy).toBe(right / pictures);
    expect(initial?.valSeconds).toBeGreaterThan(0);
  });

  test('of another file is what the student’s holds until then', async () => {
    const student = at('another.pth');
    let held: number | undefined;
    const result = await distill({ ...base, ...worse, initialStudent: good, student })
      .on('initial', (initial) => {
        expect(initial).toMatchObject(scores);
        held = statSync(student).size;
      })
      .on('warning', () => {});
    expect(held).toBe(statSync(student).size);
    expect(result.best).toBeNull();
    expect(await tensorsOf(student)).toEqual(await tensorsOf(good));
    const { metadata } = await inspect(student);
    expect(metadata).toMatchObject({ epoch: 0, classes: ['ants', 'bees'], imageSize: 32 });
    expect(metadata?.metrics).toEqual(scores);
  });

  test('gives way to a better epoch', async () => {
    const poor = at('poor.pth');
    await distill({ ...base, student: poor, epochs: 1, lr: 1e-6 });
    const given = { ...base, initialStudent: poor, student: poor, monitor: 'loss' } as const;
    const { result, reports } = await runOf(given);
    expect(result.initial?.valLoss).toBeGreaterThan(result.best?.valLoss ?? 1);
    expect(result.best).toEqual(reports.findLast(({ saved }) => saved));
    expect(await epochIn(poor)).toBe(result.best?.epoch);
  });

  test('is the same to training, judged or not', async () => {
    const losses = async (start: string | undefined) => {
      const session = new (loadAddon().Session)({
        mean,
        std,
        imageSize: 32,
        device: 'cpu',
        precision: 'fp32',
        threads: 1,
      });
      await session.open();
      await session.createStore(
        storeOf({
          imageSize: 32,
          classes: 2,
          trainCapacity: 6,
          valCapacity: 6,
          place: 'memory',
          folder: '',
          fingerprint: '',
        }),
      );
      for (const split of ['train', 'val'] as const) {
        const pixels = Uint8Array.from({ length: 6 * 32 * 32 * 3 }, (_, i) => (i * i * 31) % 251);
        const labels = Int32Array.of(0, 1, 0, 1, 0, 1);
        const sources = Int32Array.from(labels.keys());
        const teacherLogits = new Float32Array(12);
        await session.append(batchOf({ split, pixels, labels, sources, teacherLogits }));
      }
      await session.sealStore();
      const steps: number[] = [];
      const epochs: number[] = [];
      await session.train(
        trainConfigOf({
          epochs: 3,
          lr: 1e-3,
          dropRate: 0.2,
          temperature: 2,
          alpha: 0,
          batchSize: 2,
          sampler: 'shuffle',
          seed: 1,
          initialStudent: good,
          metadata: '{}',
          ...(start !== undefined && { start }),
        }),
        ({ epoch, stepLosses, valLoss }) => {
          epochs.push(epoch);
          if (epoch > 0) steps.push(...stepLosses, valLoss);
        },
      );
      await session.close();
      return { epochs, steps };
    };
    const judged = await losses(good);
    const plain = await losses(undefined);
    expect([judged.epochs, plain.epochs]).toEqual([
      [0, 1, 2, 3],
      [1, 2, 3],
    ]);
    expect(judged.steps).toEqual(plain.steps);
  });

  test('stays where the run is stopped or aborted, and where the loss becomes infinite or NaN', async () => {
    const student = at('ended.pth');
    copyFileSync(good, student);
    const bytes = readFileSync(student);
    const given = { ...base, ...worse, initialStudent: student, student };
    const stopped = distill({ ...given, epochs: 1e6 }).on('warning', () => {});
    stopped.once('epoch', () => stopped.stop());
    expect(await stopped).toMatchObject({ stopReason: 'stopped', best: null, initial: scores });
    expect(readFileSync(student).equals(bytes)).toBe(true);

    const controller = new AbortController();
    const run = distill({ ...given, signal: controller.signal });
    run.once('initial', () => controller.abort());
    expect(await refusalOf(run)).toMatchObject({ code: 'ERR_ABORTED' });
    expect(readFileSync(student).equals(bytes)).toBe(true);

    // Its logits divided by so small a temperature are no longer finite.
    const teacher = await writeLoudTeacher(at('loud.safetensors'));
    const lost = distill({ ...given, teacher, alpha: 0.7, temperature: 0.01 });
    expect(await refusalOf(lost)).toMatchObject({ code: 'ERR_NOT_FINITE' });
    expect(readFileSync(student).equals(bytes)).toBe(true);
  });

  test('whose own loss is no finite number is refused', async () => {
    const { tensors } = await inspect(good);
    const kept: Record<string, PthTensor> = {};
    for (const { name, shape, dtype } of tensors) {
      const { data } = await loadAddon().readTensor(good, name);
      // Sums of these are beyond float32.
      const huge = name === 'classifier.3.weight' ? data.map(() => 3e38) : data;
      kept[name] = { shape, data: huge, dtype: dtype as 'float32' };
    }
    const initialStudent = await writePth(at('huge.pth'), kept);
    const error = await refusalOf(distill({ ...base, initialStudent, student: at('none.pth') }));
    expect(error.code).toBe('ERR_NOT_FINITE');
    expect(error.message).toContain(`'${initialStudent}'`);
    expect(() => statSync(at('none.pth'))).toThrow();
  });

  test('counts in a sweep where no epoch is better', async () => {
    const { alpha, temperature, seed, ...shared } = base;
    const student = at('swept-initial.pth');
    const { points } = await sweep({
      ...shared,
      ...worse,
      alpha: [0],
      seeds: [3],
      initialStudent: good,
      student,
    }).on('warning', () => {});
    expect(points[0]).toMatchObject({
      best: { accuracy: { mean: scores.valAccuracy }, loss: { mean: scores.valLoss } },
      trials: [{ best: null, initial: scores }],
    });
    expect(await tensorsOf(student)).toEqual(await tensorsOf(good));
  });

  test('is told of on the command line', async () => {
    const { teacher, dataset } = base;
    const student = at('told-initial.pth');
    copyFileSync(good, student);
    const { code, stdout, stderr } = await runCommand([
      ...['train', `${dataset}`, '--teacher', `${teacher}`, '--student', student],
      ...['--mean', `${mean}`, '--std', `${std}`, '--image-size', '32', '--alpha', '0'],
      ...['--initial-student', student, '--lr', '0.1', '--epochs', '2', '--device', 'cpu'],
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^at the start; validation loss:\d\.\d{6}, accuracy:0\.\d{6}; time:/);
    expect(stdout).toMatch(
      new RegExp(`^Best: what it started from, .* ${scores.valAccuracy.toFixed(4)}, loss`, 'm'),
    );
    expect(stderr).toMatch(/No epoch was better .* \(WARN_NO_IMPROVEMENT\)$/m);
  });
});

test('a teacher goes on from weights of the same classes only where it gets better', async () => {
  const { dataset } = base;
  const given = { dataset, imageSize: 32, batchSize: 4, seed: 1, device: 'cpu', threads: 1 };
  const weights = at('taught.pth');
  const first = await teach({ ...given, teacher: weights, epochs: 4 });
  const teacher = at('taught-on.pth');
  const warnings: string[] = [];
  const schedule = 'constant' as const;
  const on = { ...given, weights, teacher, epochs: 2, lr: 0.1, schedule, weightDecay: 0 };
  const result = await teach(on).on('warning', ({ code }) => warnings.push(code));
  expect(result).toMatchObject({
    best: null,
    initial: { valAccuracy: first.best?.valAccuracy, valLoss: first.best?.valLoss },
  });
  expect(warnings).toEqual(['WARN_NO_IMPROVEMENT']);
  const some = ['features.conv0.weight', 'features.norm5.running_var', 'classifier.weight'];
  expect(await tensorsOf(teacher, some)).toEqual(await tensorsOf(weights, some));
  expect(await epochIn(teacher)).toBe(0);
});
