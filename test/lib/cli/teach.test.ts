import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { names } from '../../../lib/cli/arguments.js';
import { inspect, teach } from '../../../lib/index.js';
import { temporaryFolder, writeDataset } from '../../helpers/dataset.js';
import { flagsFor } from '../../helpers/results.js';

// The command `distill teach`, and what `distill train` makes of its file.

const script = fileURLToPath(new URL('../../../scripts/distill.js', import.meta.url));
const folder = temporaryFolder();
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

const at = (name: string) => path.join(folder, name);
const teachArgs = (teacher: string, ...more: string[]) => [
  ...['teach', 'dataset', '--teacher', teacher, '--image-size', '32', '--batch-size', '4'],
  ...['--epochs', '2', '--seed', '1', '--device', 'cpu'],
  ...more,
];

/** @param watch Sees everything written so far whenever there is more. */
function run(
  args: string[],
  watch: (child: ChildProcess, written: string) => void = () => {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { ...process.env, OMP_NUM_THREADS: '1' };
  const child = spawn(process.execPath, [script, ...args], { cwd: folder, env, stdio: 'pipe' });
  running.add(child);
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      watch(child, written.stdout + written.stderr);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, ...written });
    });
  });
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '');

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  await writeDataset(at('dataset'));
});

test('every option of the API has a flag', async () => {
  const { code, stdout } = await run(['teach', '--help']);
  expect(code).toBe(0);
  const flags = await flagsFor(
    teach({ teacher: 't', dataset: 'd', aaaaaaaaaaaaaaaaaaaaaa: 1 } as never),
  );
  expect(flags).toContain('--freeze-epochs');
  for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ {2}${flag}\\b`, 'm'));
});

test('prints a line an epoch and the outcome; `train` needs nothing but its file', async () => {
  const { code, stdout, stderr } = await run(teachArgs('plain.pth'));
  expect(code).toBe(0);
  expect(lines(stderr)[0]).toBe('11 training and 7 validation pictures of 2 classes: ants, bees');
  const [first, second, ...outcome] = lines(stdout);
  for (const line of [first, second]) expect(line).toMatch(/^epoch:[12]\/2; train loss:\d/);
  expect(first).toMatch(/; saved$/);
  expect(outcome).toEqual([
    'Done: all 2 epochs were run.',
    expect.stringMatching(/^Best: epoch [12], validation accuracy [01]\.\d{4}, loss \d+\.\d{4}$/),
    expect.stringMatching(/^Kept by accuracy; .*loss would keep [12]$/),
    expect.stringMatching(/^Teacher: plain\.pth, 28\.\d MB$/),
    expect.stringMatching(/^Time: .* on cpu in fp32 .*, seed 1$/),
    'Next: distill train dataset --teacher plain.pth --student student.pth',
  ]);

  const trained = await run([
    'train',
    ...(outcome.at(-1)?.split(' ').slice(3) ?? []),
    '--epochs',
    '1',
  ]);
  expect({ code: trained.code, stderr: trained.stderr }).toMatchObject({ code: 0 });
  expect((await inspect(at('student.pth'))).metadata).toMatchObject({ imageSize: 32 });
  const shown = await run(['inspect', 'plain.pth']);
  expect(shown.stdout).toMatch(/^architecture {2}densenet121$/m);
  expect(shown.stdout).toMatch(/^options .*schedule one-cycle/m);
});

test('takes weights, flags of every kind, and prints events', async () => {
  await run(teachArgs('first.pth'));
  const { code, stdout } = await run(
    teachArgs(
      ...(['again.pth', '--weights', 'first.pth', '--freeze-epochs', '1', '--json'] as const),
      ...['--schedule', 'cosine', '--warmup', '0.5', '--augment', 'resized-crop,flip'],
      ...['--crop-scale', '0.5', '--store-size', '48', '--label-smoothing', '0.1'],
    ),
  );
  expect(code).toBe(0);
  const events = lines(stdout).map((line) => JSON.parse(line));
  const kinds = new Set(events.map(({ event }) => event));
  // The weights are for the same classes: an epoch is better than they are, or a warning says that none was.
  const outcome = kinds.has('best') ? 'best' : 'warning';
  expect(kinds).toEqual(new Set(['dataset', 'prepare', 'initial', 'epoch', outcome, 'result']));
  expect(events.at(-1)).toMatchObject({
    event: 'result',
    stopReason: 'completed',
    architecture: 'densenet121',
    epochs: 2,
    teacher: at('again.pth'),
  });
  expect((await inspect(at('again.pth'))).metadata).toMatchObject({
    weights: { file: 'first.pth' },
    options: {
      schedule: 'cosine',
      warmup: 0.5,
      freezeEpochs: 1,
      labelSmoothing: 0.1,
      augment: ['resized-crop', 'flip'],
      cropScale: 0.5,
      storeSize: 48,
    },
  });
});

test('Ctrl-C ends it after its batch, and what it saved stays', async () => {
  const signalled = { done: false };
  const args = teachArgs('stopped.pth').map((arg) => (arg === '2' ? '1000000' : arg));
  const { code, stdout } = await run(args, (child, written) => {
    if (!signalled.done && written.includes('epoch:2/')) {
      signalled.done = true;
      child.kill('SIGINT');
    }
  });
  expect(code).toBe(130);
  expect(stdout).toMatch(/^Stopped: after \d+ of 1000000 epochs\.$/m);
  expect((await inspect(at('stopped.pth'))).architecture).toBe('densenet121');
});

describe('wrong usage', () => {
  test.each<[string[], string]>([
    [['teach', 'dataset'], 'teach needs --teacher. (ERR_USAGE)'],
    [
      teachArgs('wrong.pth', '--schedule', 'step'),
      "Expected 'one-cycle', 'cosine' or 'constant' for --schedule but received 'step'. (ERR_OPTION)",
    ],
    [
      teachArgs('wrong.pth', '--augment', 'mirror'),
      "Expected a list of 'crop' or 'resized-crop', and 'flip' for --augment but received [ 'mirror' ]. (ERR_OPTION)",
    ],
    [
      teachArgs('wrong.pth', '--freeze-epochs', '1'),
      '--freeze-epochs keeps features that are trained already as they are; it needs --weights. (ERR_OPTION)',
    ],
    [
      teachArgs('wrong.pth', '--batch-size', '1'),
      'Expected a whole number in 2..4096 for --batch-size but received 1. (ERR_OPTION)',
    ],
  ])('%j is told in one line', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `distill: ${message}\n`,
    });
    expect(existsSync(at('wrong.pth'))).toBe(false);
  });

  test('missing weights end with 1', async () => {
    const { code, stderr } = await run(teachArgs('wrong.pth', '--weights', 'none.pth'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/'none\.pth'.*\(ERR_CHECKPOINT_NOT_FOUND\)$/m);
  });
});

test.each<[string, string[]]>([
  ['crop,flip', ['crop', 'flip']],
  ['resized-crop, flip', ['resized-crop', 'flip']],
  ['none', []],
])('--augment %s is %j', (text, expected) => {
  expect(names(text)).toEqual(expected);
});
