import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import {
  type DistillError,
  type DistillOptions,
  type DistillWarning,
  distill,
  type EpochReport,
  sweep,
  teach,
} from '../../lib/index.js';
import { casesOf } from '../../scripts/resume/cases.js';
import { writePictures } from '../../scripts/resume/pictures.js';
import { differences, interrupted, makeTeacher, uninterrupted } from '../../scripts/resume/runs.js';
import { runCommand } from '../helpers/child.js';
import { filesIn, smallRun, temporaryFolder } from '../helpers/dataset.js';

const folder = temporaryFolder();
const at = (...names: string[]) => path.join(folder, ...names);
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

let count = 0;
/** Options of a run in a folder of its own. */
function kept<More extends Partial<DistillOptions>>(more: More = {} as More) {
  const name = `${count++}`;
  return { ...base, epochs: 4, student: at(name, 'student.pth'), runDir: at(name, 'run'), ...more };
}

/** Runs until an epoch has ended, and stops then. */
async function stopAfter(options: DistillOptions, epoch: number) {
  const run = distill(options);
  return run.on('epoch', (report) => report.epoch === epoch && run.stop());
}

/** The lines of the run's epochs, without their times. */
function epochsIn(runDir: string) {
  return readFileSync(path.join(runDir, 'epochs.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { seconds, trainSeconds, valSeconds, imagesPerSecond, ...rest } = JSON.parse(line);
      return rest;
    });
}

const bytesOf = (...names: string[]) => readFileSync(path.join(...names), 'base64');

function refusalOf(options: DistillOptions): Promise<DistillError> {
  return distill(options).then(
    () => expect.unreachable('it was accepted'),
    (error) => error as DistillError,
  );
}

describe('a killed run that is resumed', () => {
  const killed = at('killed');
  beforeAll(async () => {
    await writePictures(path.join(killed, 'photos'));
    await makeTeacher(killed);
  });

  test.each([
    ['distill', 'resnet20'],
    ['teach', 'balanced'],
  ])(
    'leaves what it would have left: %s with %s',
    async (call, name) => {
      const one = casesOf(call as string, killed).find((one) => one.name === name);
      if (!one) throw new Error(`there is no case ${name}`);
      const plain = await uninterrupted(one, path.join(killed, `${call}-${name}`));
      const resumed = path.join(killed, `${call}-${name}-killed`);
      await interrupted(one, resumed, { seed: 1, milliseconds: plain.milliseconds });
      expect(differences(plain.folder, resumed)).toEqual([]);
    },
    240_000,
  );
});

describe('a run in a folder', () => {
  test('leaves its options, epochs, state, and the best and the last network', async () => {
    const options = kept();
    const { best, last } = await distill(options);
    expect(filesIn(options.runDir)).toEqual([
      'answers.log',
      'best.pth',
      'epochs.jsonl',
      'last.pth',
      'options.json',
      'state.safetensors',
    ]);
    expect(bytesOf(options.runDir, 'best.pth')).toBe(bytesOf(options.student));
    const record = JSON.parse(readFileSync(path.join(options.runDir, 'options.json'), 'utf8'));
    expect(record).toMatchObject({
      call: 'distill',
      seed: 1,
      options: { epochs: 4, dataset: path.resolve(base.dataset) },
      facts: { device: 'cpu', precision: 'fp32', versions: { node: process.versions.node } },
    });
    const epochs = epochsIn(options.runDir);
    expect(epochs).toHaveLength(4);
    expect(epochs[3]).toMatchObject({ epoch: 4, valLoss: last?.valLoss });
    const { epoch, epochs: stated } = await loadAddon().readState(
      path.join(options.runDir, 'state.safetensors'),
    );
    expect([epoch, stated.length]).toEqual([5, 4]);
    expect(stated.findLast(({ saved }) => saved)?.epoch).toBe(best?.epoch);
  });

  test('does the same as one without', async () => {
    const one = kept();
    const { runDir, ...other } = kept();
    mkdirSync(path.dirname(other.student));
    await distill(one);
    await distill(other);
    expect(bytesOf(one.student)).toBe(bytesOf(other.student));
  });

  test('goes on where it was stopped, and reports all epochs in the end', async () => {
    const [whole, parts] = [kept(), kept()];
    const expected = await distill(whole);
    const stopped = await stopAfter(parts, 2);
    expect([stopped.stopReason, stopped.epochs]).toEqual(['stopped', 2]);
    const seen: number[] = [];
    const result = await distill({ ...parts, resume: true }).on('epoch', ({ epoch }) =>
      seen.push(epoch),
    );
    expect(seen).toEqual([3, 4]);
    expect(result).toMatchObject({ epochs: 4, keptBy: expected.keptBy, stopReason: 'completed' });
    expect(result.best?.epoch).toBe(expected.best?.epoch);
    expect(epochsIn(parts.runDir)).toEqual(epochsIn(whole.runDir));
    for (const name of ['best.pth', 'last.pth']) {
      expect(bytesOf(parts.runDir, name)).toBe(bytesOf(whole.runDir, name));
    }
  });

  test('has nothing left to do when it is over, and says its result again', async () => {
    const options = kept();
    const first = await distill(options);
    const before = bytesOf(options.runDir, 'last.pth');
    const reports: EpochReport[] = [];
    const again = await distill({ ...options, resume: true }).on('epoch', (one) =>
      reports.push(one),
    );
    expect(reports).toEqual([]);
    expect(again).toMatchObject({ best: first.best, last: first.last, epochs: 4 });
    expect(bytesOf(options.runDir, 'last.pth')).toBe(before);
  });

  test('begins where there is none to go on with', async () => {
    const options = kept({ resume: true, epochs: 1 });
    const { epochs } = await distill(options);
    expect(epochs).toBe(1);
  });

  test('drops a line that was cut short, and puts back a student that was moved away', async () => {
    const options = kept();
    await stopAfter(options, 3);
    const student = bytesOf(options.student);
    rmSync(options.student);
    appendFileSync(path.join(options.runDir, 'epochs.jsonl'), '{"epoch":9,"tra');
    await distill({ ...options, resume: true, epochs: 4 });
    expect(epochsIn(options.runDir).map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(bytesOf(options.runDir, 'best.pth')).toBe(bytesOf(options.student));
    expect(student).not.toBe('');
  });

  test('takes more epochs, and says so', async () => {
    const [whole, parts] = [kept({ epochs: 5 }), kept({ epochs: 3 })];
    await distill(whole);
    await distill(parts);
    const warnings: DistillWarning[] = [];
    await distill({ ...parts, resume: true, epochs: 5 }).on('warning', (one) => warnings.push(one));
    expect(warnings.map(({ code }) => code)).toContain('WARN_RESUMED_OTHERWISE');
    expect(warnings.map(({ message }) => message).join()).toMatch(/`epochs` is 5 instead of 3/);
    expect(bytesOf(parts.runDir, 'last.pth')).not.toBe('');
    expect(epochsIn(parts.runDir).map(({ valLoss }) => valLoss)).toEqual(
      epochsIn(whole.runDir).map(({ valLoss }) => valLoss),
    );
  });

  test('does not ask the teacher again about pictures that it has answered for', async () => {
    const dataset = at('photos');
    await writePictures(dataset);
    const [whole, parts] = [kept({ dataset, epochs: 1 }), kept({ dataset, epochs: 1 })];
    await distill(whole);
    const preparing = distill(parts);
    const { images } = await preparing.on('prepare', ({ done }) => done > 0 && preparing.stop());
    expect(images.train).toBe(0);
    const sizeOf = ({ runDir }: { runDir: string }) =>
      statSync(path.join(runDir, 'answers.log')).size;
    const before = readFileSync(path.join(parts.runDir, 'answers.log'));
    expect(before.length).toBeLessThan(sizeOf(whole));
    await distill({ ...parts, resume: true });
    // One record for each picture, and the first ones are where they were.
    expect(sizeOf(parts)).toBe(sizeOf(whole));
    const after = readFileSync(path.join(parts.runDir, 'answers.log'));
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
    expect(bytesOf(parts.student)).toBe(bytesOf(whole.student));
  });

  test('asks again where the last answer was cut short', async () => {
    const options = kept({ epochs: 1 });
    await distill(options);
    const file = path.join(options.runDir, 'answers.log');
    const whole = readFileSync(file);
    truncateSync(file, whole.length - 5);
    await distill({ ...options, resume: true });
    expect(readFileSync(file).equals(whole)).toBe(true);
  });

  test('is resumed by a command that names nothing else', async () => {
    const [whole, parts] = [kept(), kept()];
    await distill(whole);
    await stopAfter(parts, 1);
    const { code, stdout } = await runCommand(['resume', parts.runDir]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^epoch:2\/4;/m);
    expect(stdout).toMatch(/^Kept by accuracy-and-loss/m);
    expect(epochsIn(parts.runDir).map(({ valLoss }) => valLoss)).toEqual(
      epochsIn(whole.runDir).map(({ valLoss }) => valLoss),
    );
    const missing = await runCommand(['resume', at('nothing')]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/There is no run in .*ERR_RESUME/);
  });
});

describe('is refused', () => {
  test.each<[string, Partial<DistillOptions>, RegExp]>([
    ['another learning rate', { lr: 0.01 }, /`lr` is 0.01 instead of 0.0001/],
    ['another temperature', { temperature: 3 }, /`temperature` is 3 instead of 2/],
    ['another seed', { seed: 2 }, /`seed` is 2 instead of 1/],
    ['another network', { architecture: 'resnet20' }, /`architecture` is "resnet20"/],
    ['more epochs of a schedule', { schedule: 'cosine', epochs: 9 }, /`\w+` is/],
  ])('%s', async (_, change, message) => {
    const options = kept();
    await stopAfter(options, 1);
    const error = await refusalOf({ ...options, resume: true, ...change });
    expect(error.code).toBe('ERR_RESUME');
    expect(error.message).toMatch(message);
  });

  test('a picture that has changed', async () => {
    const dataset = at('changing');
    cpSync(base.dataset, dataset, { recursive: true });
    const options = kept({ dataset });
    await stopAfter(options, 1);
    const [picture] = readdirSync(path.join(dataset, 'train/ants'));
    utimesSync(path.join(dataset, 'train/ants', picture ?? ''), 1, 1);
    const error = await refusalOf({ ...options, resume: true });
    expect([error.code, error.message]).toEqual([
      'ERR_RESUME',
      expect.stringContaining('The pictures have changed'),
    ]);
  });

  test('a folder with a run, or with other files, that nobody said to go on with', async () => {
    const options = kept({ epochs: 1 });
    await distill(options);
    const error = await refusalOf(options);
    expect([error.code, error.message]).toEqual([
      'ERR_EXISTS',
      expect.stringMatching(/holds a run: set `resume`/),
    ]);
    const before = filesIn(options.runDir);
    const mistaken = await refusalOf({ ...options, overwrite: true, dataset: at('none') });
    expect(mistaken.code).toBe('ERR_DATASET_NOT_FOUND');
    expect(filesIn(options.runDir)).toEqual(before);
    await distill({ ...options, overwrite: true, epochs: 2 });
    expect(epochsIn(options.runDir)).toHaveLength(2);
    const other = kept({ runDir: at('other') });
    mkdirSync(other.runDir);
    writeFileSync(path.join(other.runDir, 'thesis.tex'), 'precious');
    const refusal = await refusalOf(other);
    expect([refusal.code, refusal.message]).toEqual([
      'ERR_EXISTS',
      expect.stringContaining("'thesis.tex'"),
    ]);
  });

  test('a folder that another run works in', async () => {
    const options = kept({ epochs: 1000, lr: 1e-9 });
    const run = distill(options);
    let refusal: DistillError | undefined;
    for await (const { epoch } of run) {
      if (epoch !== 1) continue;
      refusal = await refusalOf({ ...options, resume: true });
      run.stop();
    }
    expect(refusal?.code).toBe('ERR_RUN_DIR');
    await run;
  });

  test.each<[string, (file: string) => void]>([
    ['cut short', (file) => writeFileSync(file, readFileSync(file).subarray(0, -100))],
    ['no safetensors', (file) => writeFileSync(file, 'hello')],
    ['a network', (file) => cpSync(path.join(path.dirname(file), 'best.safetensors'), file)],
  ])('a state that is %s', async (_, damage) => {
    const options = kept({ student: at(`${count}`, 'student.safetensors') });
    await stopAfter(options, 1);
    damage(path.join(options.runDir, 'state.safetensors'));
    const error = await refusalOf({ ...options, resume: true });
    expect([error.code, error.message]).toEqual([
      'ERR_STATE',
      expect.stringContaining('state.safetensors'),
    ]);
  });

  test('a run whose best network is gone', async () => {
    const options = kept();
    await stopAfter(options, 3);
    rmSync(path.join(options.runDir, 'best.pth'));
    const error = await refusalOf({ ...options, resume: true });
    expect([error.code, error.message]).toEqual([
      'ERR_RESUME',
      expect.stringContaining('best.pth'),
    ]);
  });

  test('`resume` without a folder', async () => {
    const { runDir, ...options } = kept({ resume: true });
    expect((await refusalOf(options)).code).toBe('ERR_OPTION');
  });
});

describe('ends', () => {
  test('when no epoch has been better for as long as the patience lasts', async () => {
    // Nothing is learnt, but for BatchNorm's statistics.
    const options = kept({ epochs: 50, lr: 1e-30, dropRate: 0, patience: 3, monitor: 'loss' });
    const { stopReason, epochs, best } = await distill(options);
    expect([stopReason, epochs]).toEqual(['patience', (best?.epoch ?? 0) + 3]);
  });

  test('when no epoch has been better by minDelta, though it is saved', async () => {
    const options = kept({ epochs: 50, lr: 1e-5, patience: 2, minDelta: 50, monitor: 'loss' });
    const { stopReason, epochs } = await distill(options);
    expect([stopReason, epochs]).toEqual(['patience', 3]);
  });

  test('waits on where it was interrupted', async () => {
    const options = kept({ epochs: 50, lr: 1e-30, dropRate: 0, patience: 3, monitor: 'loss' });
    await stopAfter(options, 2);
    const { stopReason, epochs, best } = await distill({ ...options, resume: true });
    expect([stopReason, epochs]).toEqual(['patience', (best?.epoch ?? 0) + 3]);
  });

  test('when the time is up, and goes on with more of it', async () => {
    const options = kept({ epochs: 100_000, lr: 1e-9, maxSeconds: 1 });
    const first = await distill(options);
    expect(first.stopReason).toBe('max-seconds');
    expect(first.epochs).toBeLessThan(100_000);
    const again = await distill({ ...options, resume: true });
    // Its time had been used up before.
    expect([again.stopReason, again.epochs]).toEqual(['max-seconds', first.epochs]);
    const { maxSeconds, ...unlimited } = options;
    const more = await stopAfter({ ...unlimited, resume: true }, first.epochs + 1);
    expect(more.stopReason).toBe('stopped');
    expect(more.epochs).toBeGreaterThan(first.epochs);
  });
});

test('each monitor says the epoch that it would keep', async () => {
  const reports: EpochReport[] = [];
  const { keptBy, best } = await distill(kept({ epochs: 8, lr: 1e-3, monitor: 'agreement' })).on(
    'epoch',
    (report) => reports.push(report),
  );
  const firstBest = (score: (report: EpochReport) => number[]) =>
    reports.reduce((a, b) => (isGreater(score(b), score(a)) ? b : a)).epoch;
  const isGreater = ([a = 0, b = 0]: number[], [c = 0, d = 0]: number[]) =>
    a > c || (a === c && b > d);
  expect(keptBy.accuracy).toBe(firstBest(({ valAccuracy, valLoss }) => [valAccuracy, -valLoss]));
  expect(keptBy.loss).toBe(firstBest(({ valLoss }) => [-valLoss]));
  expect(keptBy.agreement).toBe(
    firstBest(({ valAgreement = 0, valLoss }) => [valAgreement, -valLoss]),
  );
  expect(best?.epoch).toBe(keptBy.agreement);
});

test('a teacher and a sweep are kept as well, and go on after stop()', async () => {
  const { teacher, student, mean, std, ...rest } = kept({ epochs: 3 });
  const taught = {
    ...rest,
    teacher: at('taught.pth'),
    architecture: 'resnet20',
    batchSize: 4,
  } as const;
  const run = teach(taught);
  await run.on('epoch', () => run.stop());
  const { epochs } = await teach({ ...taught, resume: true });
  expect(epochs).toBe(3);

  const { seed, student: _, ...grid } = kept({ epochs: 2 });
  const options = { ...grid, temperature: [1, 2, 4] };
  const sweeping = sweep(options);
  await sweeping.on('point', () => sweeping.stop());
  const leftover = path.join(options.runDir, 'trials/1/.node-distill-AbCdEf.part');
  writeFileSync(leftover, 'of a killed run');
  const seen: number[] = [];
  const result = await sweep({ ...options, resume: true }).on('epoch', ({ temperature }) =>
    seen.push(temperature),
  );
  expect(result.points.map(({ temperature }) => temperature)).toEqual([1, 2, 4]);
  expect(seen).not.toContain(1);
  expect(filesIn(path.dirname(leftover))).not.toContain(path.basename(leftover));

  // All is done, and the time that it took counts.
  const again = await sweep({ ...options, resume: true });
  expect(again.seconds.total).toBeGreaterThan(result.seconds.train + result.seconds.validate);
});
