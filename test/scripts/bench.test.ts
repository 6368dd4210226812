import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { packageRoot } from '../../lib/package.js';
import type { Bench, ContestantReport } from '../../scripts/bench/types.js';
import { temporaryFolder } from '../helpers/dataset.js';
import { python } from '../helpers/python.js';

const folder = temporaryFolder();

/** Runs the benchmark with a few pictures of 32 pixels. */
function run(name: string, ...more: string[]): { bench: Bench; printed: string; out: string } {
  const out = path.join(folder, name);
  const tiny = ['--quick', '--pictures', '8', '--image-size', '32', '--threads', '1'];
  const printed = execFileSync(
    process.execPath,
    [path.join(packageRoot, 'scripts/bench/index.js'), ...tiny, '--out', out, ...more],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return { bench: JSON.parse(readFileSync(path.join(out, 'bench.json'), 'utf8')), printed, out };
}

const find = ({ contestants }: Bench, name: string) =>
  contestants.find((contestant) => contestant.name === name) as ContestantReport;

describe('without Python', () => {
  let ran: ReturnType<typeof run>;
  beforeAll(() => {
    // TensorFlow.js's steps take seconds even at this size.
    const only = ['--only', 'ours-fp32,ours-bf16,reference,tfjs-wasm'];
    ran = run(
      'without',
      '--python',
      'no-such-python',
      '--skip-scaling',
      '--skip-processes',
      ...only,
    );
  });

  test('what cannot run says why, and the rest is measured', () => {
    const { bench, printed } = ran;
    expect(find(bench, 'reference').cannotRun).toContain('no Python');
    expect(find(bench, 'tfjs-wasm').cannotRun).toMatch(/cannot train: .*Conv2DBackpropFilter/);
    expect(printed).toContain('cannot run: no Python');

    const ours = find(bench, 'ours-fp32');
    expect(ours.cannotRun).toBeNull();
    expect(ours.verdict.agrees).toBeNull(); // there was nothing to compare with
    for (const rate of Object.values(ours.imagesPerSecond)) expect(rate?.median).toBeGreaterThan(0);
    expect(ours.peakBytes).toBeGreaterThan(1e7);
    expect(ours.minorFaultsPerStep?.median).toBeGreaterThanOrEqual(0);
    expect(ours.limitShare?.median).toBeGreaterThan(0);

    const target = bench.targets.find(({ name }) =>
      name.includes('float32, against the reference'),
    );
    expect(target).toMatchObject({ value: null, missing: expect.stringContaining('no Python') });
  });

  test('the bench states the machine, the sizes and the versions', () => {
    const { machine, settings } = ran.bench;
    expect(machine).toMatchObject({ cpu: expect.any(String), cores: expect.any(Number) });
    expect(machine.versions).toMatchObject({
      node: process.versions.node,
      libtorch: loadAddon().libtorch,
    });
    // One validation picture stands in two classes.
    expect(settings).toMatchObject({ imageSize: 32, threads: 1, trainPictures: 8, valPictures: 5 });
  });

  test('a chart is written, with text in the picture', async () => {
    expect(readFileSync(path.join(ran.out, 'bench.svg'), 'utf8')).toContain(
      'node-distill, float32',
    );
    const png = sharp(path.join(ran.out, 'bench.png'));
    const { width } = await png.metadata();
    expect(width).toBeGreaterThan(500);
    // The title's corner would be blank without a font.
    const corner = png.extract({ left: 0, top: 0, width: 500, height: 60 });
    const { channels } = await corner.stats();
    expect(channels[0]?.min).toBeLessThan(100);
  });
});

test('growth with sizes is measured, in memory and in a file', () => {
  const skip = ['--only', 'ours-fp32', '--python', 'no-such-python', '--skip-processes'];
  const { bench } = run('scaling', ...skip);
  expect(bench.scaling.map(({ axis, series }) => [axis, series])).toEqual([
    ['batch size', 'in memory'],
    ['image size', 'in memory'],
    ['threads', 'in memory'],
    ['pictures', 'in memory'],
    ['pictures', 'memory-mapped'],
  ]);
  for (const { points } of bench.scaling) {
    for (const point of points) {
      expect(point.cannotRun).toBeNull();
      expect(point.imagesPerSecond?.median).toBeGreaterThan(0);
      expect(point.peakBytes).toBeGreaterThan(1e7);
    }
  }
});

test('work is measured alone, beside a busy loop and beside its like', () => {
  const only = ['--only', 'ours-fp32', '--python', 'no-such-python'];
  const skip = ['--skip-scaling', '--skip-processes'];
  const { bench, printed } = run('crowding', ...only, ...skip, '--crowding');
  const whose = bench.crowding.map(({ workload, contestant }) => [
    workload.split(':')[0],
    contestant,
  ]);
  expect(whose).toEqual(
    ['teach', 'distill', 'small pictures', 'predict'].flatMap((workload) => [
      [workload, 'node-distill'],
      [workload, "node-distill on OpenMP's threads"],
    ]),
  );
  for (const { contestant, alone, busy, beside, gaveUp } of bench.crowding) {
    // OpenMP's threads may take for ever.
    if (contestant === 'node-distill') expect(gaveUp).toEqual({});
    for (const summary of [alone, busy, beside]) {
      if (summary) expect(summary.median).toBeGreaterThan(0);
    }
  }
  expect(printed).toContain('two side by side');
});

test.runIf(python)("losses are judged against the reference's", () => {
  const only = 'ours-fp32,reference,best-cached';
  const skip = ['--python', python as string, '--skip-scaling'];
  const { bench, printed } = run('with', '--only', only, ...skip);
  expect(bench.contestants.map(({ cannotRun }) => cannotRun)).toEqual([null, null, null]);
  expect(find(bench, 'ours-fp32').verdict).toMatchObject({ agrees: true, tolerance: 5e-3 });
  expect(find(bench, 'best-cached').verdict.agrees).toBe(true);
  expect(printed).toContain('agrees');
  expect(find(bench, 'reference').phasesMs).toMatchObject({ teacher: expect.anything() });

  expect(bench.endToEnd).toMatchObject({
    ours: { epochs: 3, estimated: null },
    reference: { epochs: 3, estimated: 'from 1 of 3 epochs' },
    cannotRun: null,
  });
  expect(bench.endurance?.residentBytes?.[1]).toBeGreaterThan(1e7);
  for (const name of [
    'later epochs, float32',
    'prepare',
    'prediction',
    '3 epochs from',
    'memory',
  ]) {
    const target = bench.targets.find((one) => one.name.startsWith(name));
    expect(target?.value, name).toBeGreaterThan(0);
  }
});

test('the convolutions of a step are timed one by one', async () => {
  const rates = await loadAddon().convolutionRates({
    batchSize: 2,
    imageSize: 32,
    precision: 'fp32',
    threads: 1,
    repeats: 1,
  });
  expect(rates.map(({ inChannels, size, pass }) => [inChannels, size, pass])).toEqual([
    [3, 32, 'forward'],
    [3, 32, 'weightGradient'],
    ...[32, 64, 128].flatMap((channels, i) => [
      [channels, 16 / 2 ** i, 'forward'],
      [channels, 16 / 2 ** i, 'inputGradient'],
      [channels, 16 / 2 ** i, 'weightGradient'],
    ]),
  ]);
  // Two operations for each weight at each pixel of each picture.
  expect(rates[0]?.flops).toBe(2 * (3 * 32 * 9) * (32 * 32) * 2);
  for (const { seconds } of rates) expect(seconds).toBeGreaterThan(0);
});
