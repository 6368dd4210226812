import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type DoctorOptions,
  type DoctorResult,
  distill,
  doctor,
  type Finding,
  inspect,
} from '../../../lib/index.js';
import { span } from '../../../lib/words.js';
import { filesIn } from '../../helpers/dataset.js';
import { ailing, at, examine, good, named, quiet } from '../../helpers/doctor.js';

describe('a good set-up', () => {
  let result: DoctorResult;
  const told: Finding[] = [];
  beforeAll(async () => {
    result = await examine({ onFinding: (finding) => told.push(finding) });
  });

  test('has no problem and no warning, and nothing is written', () => {
    expect(ailing(result).filter(({ check }) => check !== 'jpeg')).toEqual([]);
    expect(result.problems).toBe(0);
    expect(told).toEqual(result.findings);
    expect(filesIn(at('out'))).toEqual([]);
  });

  test('the machine is told', () => {
    const { libtorch, cpu, memory, chosen, auto, threads } = result.machine;
    expect(libtorch?.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(existsSync(path.join(libtorch?.folder ?? '', 'lib'))).toBe(true);
    expect(memory.free).toBeLessThanOrEqual(memory.total);
    expect({ chosen, threads }).toEqual({
      chosen: { device: 'cpu', precision: 'fp32' },
      threads: 1,
    });
    expect(auto?.device).toMatch(/^(cpu|cuda:0)$/);
    expect(cpu.cores).toBeGreaterThan(0);
    if (existsSync('/proc/cpuinfo') && process.arch === 'x64') {
      const flags = readFileSync('/proc/cpuinfo', 'utf8');
      expect(cpu.features.includes('AVX2')).toBe(/\bavx2\b/.test(flags));
      expect(cpu.features.includes('AVX-512')).toBe(/\bavx512f\b/.test(flags));
      expect(cpu.features.includes('bf16')).toBe(/\bavx512_bf16\b/.test(flags));
    }
    if (auto?.device === 'cpu') {
      expect(auto.precision).toBe(cpu.features.includes('bf16') ? 'bf16' : 'fp32');
    }
    expect(named(result, 'device')[0]?.message).toContain('`device` auto is');
    expect(named(result, 'precision')[0]?.message).toContain('`precision` auto is');
  });

  test('pictures and teacher are told', () => {
    expect(result.dataset).toEqual({
      classes: [
        { name: 'ants', train: 16, val: 16 },
        { name: 'bees', train: 16, val: 16 },
      ],
      undecodable: [],
    });
    expect(named(result, 'pictures')[0]?.message).toBe('All 64 pictures decode.');
    const { architecture, classes, scores } = result.teacher ?? {};
    expect({ architecture, classes }).toEqual({ architecture: 'densenet121', classes: 2 });
    expect(scores?.images).toBe(32);
    expect(scores?.accuracy).toBeGreaterThan(0.9);
  });

  test('the teacher has the accuracy and the loss of its own training', async () => {
    const { metadata } = await inspect(good.teacher);
    expect(result.teacher?.scores?.accuracy).toBeCloseTo(metadata?.metrics?.valAccuracy ?? 0, 6);
    expect(result.teacher?.scores?.loss).toBeCloseTo(metadata?.metrics?.valLoss ?? 0, 3);
  });

  test('the needs are those of a run', async () => {
    const { store, memory, time } = result;
    expect(store).toMatchObject({ place: 'memory', folder: null, reused: false });
    const cacheDir = at('stores');
    await distill({ ...good, student: at('kept.pth'), cacheDir });
    const [file = ''] = filesIn(cacheDir);
    const { size } = statSync(path.join(cacheDir, file));
    expect(store?.bytes).toBeLessThanOrEqual(size);
    expect(store?.bytes).toBeGreaterThan(size - 40_000); // a page for each part
    expect(memory).toBeGreaterThan(store?.bytes ?? 0);

    expect(time?.epochs).toBe(3);
    expect(time?.prepare).toBeGreaterThan(0);
    const { decode, teacher, train, validate } = time?.imagesPerSecond ?? {};
    expect(time?.prepare).toBeCloseTo(64 / (decode ?? 0) + 32 / (teacher ?? 0), 9);
    expect(time?.epoch).toBeCloseTo(32 / (train ?? 0) + 32 / (validate ?? 0), 9);
    expect(time?.total).toBeCloseTo((time?.prepare ?? 0) + 3 * (time?.epoch ?? 0), 9);

    // The store that the run has kept is found, and nothing is left to prepare.
    const again = await examine({ cacheDir });
    expect(again.store).toMatchObject({ reused: true, place: 'file', folder: cacheDir });
    expect(again.time?.prepare).toBe(0);
  });
});

test('without a dataset, machine and installation alone are looked at', async () => {
  const result = await doctor(quiet);
  expect(new Set(result.findings.map(({ topic }) => topic))).toEqual(new Set(['machine']));
  expect(result).toMatchObject({
    problems: 0,
    dataset: null,
    teacher: null,
    store: null,
    time: null,
  });
});

test('wrong options are refused as by the run', async () => {
  for (const [options, name] of [
    [{ epochs: 0 }, 'epochs'],
    [{ val: 'photos/val' }, 'dataset'],
    [{ teacher: 't', teacherLogits: 'l' }, 'teacherLogits'],
    [{ tacher: 't' }, 'teacher'],
  ] as const) {
    await expect(doctor(options as DoctorOptions)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining(`\`${name}\``),
    });
  }
});

test('a signal ends it', async () => {
  const stopping = new AbortController();
  const reason = new Error('enough');
  const examination = examine({
    signal: stopping.signal,
    onProgress: () => stopping.abort(reason),
  });
  const aborted = { code: 'ERR_ABORTED', name: 'AbortError', cause: reason };
  await expect(examination).rejects.toMatchObject(aborted);
  await expect(examine({ signal: stopping.signal })).rejects.toMatchObject(aborted);
});

test('spans are no finer than they can be foretold', () => {
  expect([0.04, 3.94, 17.6, 118, 200, 1980, 7500, 90_000].map(span)).toEqual([
    ...['0.0 s', '3.9 s', '18 s', '118 s', '3 min', '33 min', '2 h 5 min', '25 h 0 min'],
  ]);
});
