import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { triple } from '../../../lib/cli/arguments.js';
import { inFlags } from '../../../lib/cli/flags.js';
import { distill } from '../../../lib/distill.js';
import { DistillError } from '../../../lib/errors.js';
import { loadAddon } from '../../../lib/native.js';
import { flagsFor } from '../../helpers/outcome.js';

const script = fileURLToPath(new URL('../../../scripts/distill.js', import.meta.url));
const temporary = mkdtempSync(path.join(tmpdir(), 'distill-cli-'));
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(temporary, { recursive: true });
});

// Other test files run at the same time: threads that wait for each other would wait long.
const env = { ...process.env, OMP_NUM_THREADS: '1' };

/** Paths are relative to the temporary folder, which every command runs in. */
const at = (name: string) => path.join(temporary, name);

const PREPROCESSING = ['--mean', '0.485,0.456,0.406', '--std', '(0.229, 0.224, 0.225)'];
/** A training of milliseconds an epoch. Its validation pictures are the same in both classes: it never ends early. */
const train = (student: string, ...more: string[]) => [
  ...['train', 'hard', '--teacher', 'teacher.pth', '--student', student, '--image-size', '32'],
  ...PREPROCESSING,
  ...more,
];
const ENDLESS = ['--epochs', '1000000000'];

beforeAll(async () => {
  for (const split of ['train', 'val']) {
    // An apostrophe, for Python's repr.
    for (const [label, name] of ['ants', "bee's"].entries()) {
      for (let i = 0; i < 4; i++) {
        const shade = 40 * i + (split === 'train' ? label * 20 : 0);
        await picture(`hard/${split}/${name}/${i}.png`, [shade, 90, 255 - shade]);
        if (i < 2) {
          await picture(`easy/${split}/${name}/${i}.png`, label ? [250, 90, i] : [i, 90, 250]);
        }
      }
    }
  }
  await loadAddon().createModel({
    path: at('teacher.pth'),
    architecture: 'densenet121',
    classes: 2,
    seed: 1,
  });
  await loadAddon().createModel({
    path: at('bare.pth'),
    architecture: 'student',
    classes: 2,
    seed: 1,
  });
  writeFileSync(at('labels.txt'), "0 ants\n1 bee's\n");
  const { code, stderr } = await run(train('student.pth', '--epochs', '2'));
  expect({ code, stderr }).toMatchObject({ code: 0 });
});

async function picture(name: string, [r, g, b]: [number, number, number] | number[]) {
  mkdirSync(path.dirname(at(name)), { recursive: true });
  const background = { r: r ?? 0, g: g ?? 0, b: b ?? 0 };
  await sharp({ create: { width: 40, height: 36, channels: 3, background } })
    .png()
    .toFile(at(name));
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** @param watch Sees everything written so far whenever there is more. */
function run(
  args: string[],
  watch: (child: ChildProcess, written: string) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...args], { cwd: temporary, env, stdio: 'pipe' });
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
    child.on('close', (code, signal) => {
      running.delete(child);
      // Where LibTorch is built for a GPU that is not there each command says so: see device.test.ts.
      const [stdout, stderr] = [written.stdout, written.stderr].map((text) =>
        text.replace(/^.*WARN_NO_GPU.*\n/gm, ''),
      ) as [string, string];
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Sends a signal at each of the patterns, in turn. */
function runAndSignal(args: string[], signal: NodeJS.Signals, ...patterns: RegExp[]) {
  return run(args, (child, written) => {
    if (patterns[0]?.test(written)) {
      patterns.shift();
      child.kill(signal);
    }
  });
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '');
const events = (text: string) =>
  lines(text).map((line) => JSON.parse(line) as Record<string, unknown> & { event: string });

const EPOCH =
  /^epoch:(\d+)\/(\d+); train loss:\d+\.\d{6}, accuracy:[01]\.\d{6}; validation loss:\d+\.\d{6}, accuracy:[01]\.\d{6}; time:\d+\.\d{2}s/;

describe('usage', () => {
  test('help lists the commands', async () => {
    const { code, stdout, stderr } = await run(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const commands = [
      ...['train', 'teach', 'sweep', 'compare', 'predict', 'inspect', 'stats', 'logits', 'export'],
      ...['doctor', 'setup'],
    ];
    for (const command of commands) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    }
  });

  test('every option of the API has a flag', async () => {
    const { stdout } = await run(['train', '--help']);
    // The API lists its options where it can guess none.
    const complete = { teacher: 't', student: 's', dataset: 'd', mean: [0, 0, 0], std: [1, 1, 1] };
    const flags = await flagsFor(distill({ ...complete, aaaaaaaaaaaaaaaaaaaaaa: 1 } as never));
    expect(flags).toContain('--teacher');
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ {2}${flag}\\b`, 'm'));
  });

  test('the version is the package’s', async () => {
    const { stdout } = await run(['--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each<[string, string[], string]>([
    ['an unknown command', ['trian'], "unknown command 'trian'; did you mean train? (ERR_USAGE)"],
    [
      'a misspelt flag',
      train('s.pth', '--temprature', '3'),
      "unknown option '--temprature'; did you mean --temperature? (ERR_USAGE)",
    ],
    [
      "another system's name of an option",
      train('s.pth', '--learning-rate', '1e-3'),
      "unknown option '--learning-rate'; did you mean --lr? (ERR_USAGE)",
    ],
    [
      'a name spelt otherwise',
      train('s.pth', '--batch_size', '8'),
      "unknown option '--batch_size'; did you mean --batch-size? (ERR_USAGE)",
    ],
    [
      'an argument that is given as an option',
      ['train', '--data-dir', 'photos'],
      "unknown option '--data-dir'; did you mean <dataset>? (ERR_USAGE)",
    ],
    [
      'what is missing',
      ['train', 'hard', '--teacher', 'teacher.pth'],
      'train needs --student. (ERR_USAGE)',
    ],
    [
      'one number for a mean',
      train('s.pth', '--mean', '0.5'),
      "Expected three numbers in 0..1 (R, G, B) for --mean but received '0.5'. (ERR_OPTION)",
    ],
    [
      'a mean in another scale',
      train('s.pth', '--mean', '124,116,104'),
      'Expected three numbers in 0..1 (R, G, B) for --mean but received [ 124, 116, 104 ]; divided by 255 it is [ 0.486275, 0.454902, 0.407843 ]. (ERR_OPTION)',
    ],
    [
      'no folder',
      ['train', ...train('s.pth').slice(2)],
      'Expected either <dataset>, a folder with train/ and val/, or both --train and --val. (ERR_OPTION)',
    ],
    [
      'a student in the place of the teacher',
      train('teacher.pth'),
      "--student is the teacher's own file 'teacher.pth'; name another to write to. (ERR_OPTION)",
    ],
    ['no picture', ['predict'], "missing required argument 'images' (ERR_USAGE)"],
    ['no student', ['predict', 'hard/val'], 'predict needs --student. (ERR_USAGE)'],
    [
      'an unknown task',
      ['--task', 'guess'],
      "option '--task <task>' argument 'guess' is invalid. Allowed choices are train, predict. (ERR_USAGE)",
    ],
    [
      'what the task lacks',
      ['--task', 'train', '--src_model', 'teacher.pth'],
      '--task train needs --dst_model, --dataset_path, --mean, --std; `distill stats <folder>` measures --mean and --std. (ERR_USAGE)',
    ],
    [
      'what the other task lacks',
      ['--task=predict'],
      '--task predict needs --dst_model, --images_path. (ERR_USAGE)',
    ],
  ])('%s is told in one line', async (_, args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `distill: ${message}\n`,
    });
  });

  test.each([
    ['--drop-rate', '2'],
    ['--lr', 'fast'],
    ['--image-size', '3'],
    ['--cache-memory', 'much'],
    ['--views', '0'],
    ['--store-size', '8'],
    ['--on-bad-image', 'ignore'],
    ['--device', 'tpu'],
  ])('a wrong value of %s is told by the name of the flag', async (flag, value) => {
    const { code, stderr } = await run(train('s.pth', flag, value));
    expect(code).toBe(2);
    expect(stderr).toMatch(
      new RegExp(
        `^distill: Expected .* for ${flag} but received '?${value}'?. \\(ERR_OPTION\\)\n$`,
      ),
    );
  });

  test('no command shows the help', async () => {
    const { code, stdout, stderr } = await run([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^Usage: distill/);
  });

  test('an error is an event, too', async () => {
    const { code, stdout, stderr } = await run([...train('s.pth', '--alpha', '7'), '--json']);
    const message = expect.stringContaining('for --alpha but received 7');
    expect(code).toBe(2);
    expect(events(stdout)).toEqual([{ event: 'error', code: 'ERR_OPTION', message }]);
    expect(lines(stderr)).toHaveLength(1);
  });

  test.each<[string, string[], RegExp]>([
    [
      'a missing teacher',
      train('s.pth', '--teacher', 'none.pth'),
      /^distill: .*'none\.pth'.*\(ERR_CHECKPOINT_NOT_FOUND\)$/m,
    ],
    [
      'a missing dataset',
      ['train', 'none', ...train('s.pth').slice(2)],
      /^distill: .*none.*\(ERR_DATASET_NOT_FOUND\)$/m,
    ],
    [
      'a student without metadata',
      ['predict', 'hard/val', '--student', 'bare.pth'],
      /^distill: .*bare\.pth.*\(ERR_NO_METADATA\)$/m,
    ],
    ['a missing file', ['inspect', 'none.pth'], /none\.pth.*\(ERR_CHECKPOINT_NOT_FOUND\)$/m],
    ['a file of another kind', ['inspect', 'labels.txt'], /labels\.txt.*\(ERR_CHECKPOINT_/m],
    ['a folder without pictures', ['stats', 'none'], /none.*\(ERR_DATASET_NOT_FOUND\)$/m],
  ])('%s ends with 1', async (_, args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(existsSync(at('s.pth'))).toBe(false);
  });
});

describe('arguments', () => {
  test.each([
    '0.1,0.2,0.3',
    '0.1, 0.2, 0.3',
    '(0.1, 0.2, 0.3)',
    '[0.1,0.2,.3]',
    ' (0.1,0.2,0.3,) ',
  ])('%j is a triple', (text) => {
    expect(triple(text)).toEqual([0.1, 0.2, 0.3]);
  });
  test.each(['0.5', '', '0.1,0.2', '0.1,0.2,0.3,0.4', 'a,b,c', '0.1,,0.3', '((0.1,0.2,0.3))'])(
    '%j is none',
    (text) => {
      expect(triple(text)).toBe(text);
    },
  );

  test('the names in a message become flags, except in paths', () => {
    const flags = new Map([['cacheDir', '--cache-dir']]);
    const say = (message: string) => inFlags(new DistillError('ERR_CACHE', message), flags).message;
    expect(say("'/tmp/cacheDir/x': name another as cacheDir.")).toBe(
      "'/tmp/cacheDir/x': name another as --cache-dir.",
    );
    expect(say('Expected a path for `cacheDir`, not `index name`.')).toBe(
      'Expected a path for --cache-dir, not `index name`.',
    );
  });
});

describe('train', () => {
  test('prints a line an epoch and the outcome', async () => {
    const { code, stdout, stderr } = await run(
      train('plain.pth', '--epochs', '3', '--batch-size', '3', '--seed', '7', '--no-shuffle'),
    );
    expect(code).toBe(0);
    expect(lines(stderr)).toEqual([
      "8 training and 8 validation pictures of 2 classes: ants, bee's",
      'prepared 8 of 16 pictures',
      'prepared 16 of 16 pictures',
    ]);
    const [first, second, third, ...outcome] = lines(stdout);
    for (const line of [first, second, third]) expect(line).toMatch(EPOCH);
    expect(first).toMatch(/^epoch:1\/3; .*; saved$/);
    expect(outcome).toEqual([
      'Done: all 3 epochs were run.',
      expect.stringMatching(/^Best: epoch [123], validation accuracy 0\.5000, loss \d\.\d{4}$/),
      'Student: plain.pth, 1.7 MB',
      expect.stringMatching(/^Time: .* on (cpu|cuda:\d) in fp32 \(prepare .*, train .*\), seed 7$/),
      'Next: distill predict <images> --student plain.pth',
    ]);
  });

  test('prints only the outcome with --quiet', async () => {
    const { code, stdout, stderr } = await run(train('quiet.pth', '--epochs', '1', '--quiet'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Done: .*\nBest: .*\nStudent: .*\nTime: .*\nNext: .*\n$/);
  });

  test('prints an object a line with --json', async () => {
    const { code, stdout, stderr } = await run(train('json.pth', '--epochs', '2', '--json'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const all = events(stdout);
    const named = (name: string) => all.filter(({ event }) => event === name);
    expect(all[0]).toEqual({ event: 'dataset', classes: ['ants', "bee's"], train: 8, val: 8 });
    expect(named('prepare').at(-1)).toEqual({ event: 'prepare', done: 16, total: 16 });
    expect(named('epoch').map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(named('best')[0]).toMatchObject({ epoch: 1, path: at('json.pth') });
    expect(all.at(-1)).toMatchObject({ event: 'result', stopReason: 'completed', epochs: 2 });
  });

  test('warns of a picture passed over, as a line or as an event', async () => {
    const folders = ['--train', 'spoilt', '--val', 'hard/val', '--on-bad-image', 'skip'];
    await picture('spoilt/ants/0.png', [1, 2, 3]);
    await picture("spoilt/bee's/0.png", [3, 2, 1]);
    writeFileSync(at('spoilt/ants/1.png'), 'no picture');
    const args = ['train', ...train('s.pth', '--epochs', '1', ...folders).slice(2)];
    const [plain, json] = await Promise.all([run(args), run([...args, '--json'])]);
    rmSync(at('s.pth'));
    expect(plain).toMatchObject({ code: 0 });
    expect(plain.stderr).toMatch(/^distill: warning: .*1\.png.*\(WARN_IMAGE_SKIPPED\)$/m);
    expect(plain.stdout).toMatch(/^Skipped because they did not decode: 1$/m);
    expect(json).toMatchObject({ code: 0, stderr: '' });
    expect(events(json.stdout)).toContainEqual({
      event: 'warning',
      code: 'WARN_IMAGE_SKIPPED',
      message: expect.stringContaining('1.png'),
      path: expect.stringContaining('1.png'),
    });
  });
});

describe('predict', () => {
  test('prints the picture, its class and the probability', async () => {
    const args = ['predict', 'hard/val/ants', 'hard/val/ants/2.png', '--student', 'student.pth'];
    const { code, stdout, stderr } = await run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines(stdout).map((line) => line.split('\t')[0])).toEqual([
      ...[0, 1, 2, 3].map((i) => `hard/val/ants/${i}.png`),
      'hard/val/ants/2.png',
    ]);
    for (const line of lines(stdout)) expect(line).toMatch(/^\S+\t(ants|bee's)\t[01]\.\d{4}$/);
  });

  test('prints runners-up where asked for', async () => {
    const args = ['predict', 'hard/val/ants/0.png', '--student', 'student.pth', '--top-k', '2'];
    const { stdout } = await run(args);
    const [, first, p, second, q] = stdout.trimEnd().split('\t');
    expect([first, second].sort()).toEqual(['ants', "bee's"]);
    expect(Number(p) + Number(q)).toBeCloseTo(1, 3);
  });

  test('prints an object a line with --json', async () => {
    const { stdout } = await run(['predict', 'hard/val', '--student', 'student.pth', '--json']);
    expect(events(stdout)).toHaveLength(8);
    expect(events(stdout)[0]).toEqual({
      event: 'prediction',
      path: 'hard/val/ants/0.png',
      source: 0,
      label: expect.stringMatching(/ants|bee's/),
      index: expect.any(Number),
      probability: expect.any(Number),
      top: [expect.any(Object), expect.any(Object)],
    });
  });

  /** Of one picture each, so that there is always another to be stopped at. */
  const MANY = [
    ...Array(300).fill('hard/val'),
    ...['--student', 'student.pth', '--batch-size', '1', '--device', 'cpu'],
  ];

  test('is quiet when its reader has enough', async () => {
    const command = `set -o pipefail; "$0" "$@" | head -n 1`;
    const ended = spawnSync('bash', ['-c', command, process.execPath, script, 'predict', ...MANY], {
      cwd: temporary,
      env,
      encoding: 'utf8',
    });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
    expect(ended.stdout).toMatch(/^hard\/val\/ants\/0\.png\t.*\n$/);
  });

  test('ends at Ctrl-C', async () => {
    const { code, stdout, stderr } = await runAndSignal(['predict', ...MANY], 'SIGINT', /\t/);
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'Stopping after this batch. Ctrl-C again ends at once.\n',
    });
    expect(lines(stdout).length).toBeLessThan(2400);
    expect(stdout).toMatch(/\n$/);
  });
});

describe('the reference’s form', () => {
  const files = ['--src_model', 'teacher.pth', '--dst_model', 'reference.pth'];
  const tuples = ['--mean', '(0.485, 0.456, 0.406)', '--std', '(0.229, 0.224, 0.225)'];

  test('prints the reference’s lines of a training', async () => {
    const { code, stdout } = await run([
      ...['--task', 'train', ...files, ...tuples, '--classes_number', '2', '--epochs', '2'],
      ...['--lr', '0.0001', '--drop_rate', '0.2', '--dataset_path', 'hard'],
      ...['--temperature', '2.0', '--alpha', '0.7'],
    ]);
    expect(code).toBe(0);
    const number = '\\d+\\.\\d{6}';
    const epoch = (n: number) =>
      `epoch:${n}/2; train loss:${number}, accuracy:${number}; validation loss:${number}, accuracy:${number}; time:\\d+\\.\\d{2}s\n`;
    expect(stdout).toMatch(
      new RegExp(
        `^train dataset length: 8; classes: {'ants': 0, "bee's": 1}; number of categories: 2\n` +
          `val dataset length: 8; classes: {'ants': 0, "bee's": 1}\n` +
          `${epoch(1)}${epoch(2)}====== execution completed ======\n$`,
      ),
    );
    expect(existsSync(at('reference.pth'))).toBe(true);
  });

  test('prints an early stop', async () => {
    const { code, stdout } = await run([
      ...['--task', 'train', '--src_model', 'teacher.pth', '--dst_model', 'early.pth', ...tuples],
      ...['--dataset_path', 'easy', '--lr', '0.003', '--drop_rate', '0', '--alpha', '0'],
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nepoch:.*\nstop training early\n====== execution completed ======\n$/);
  });

  test('prints the reference’s lines of a prediction', async () => {
    const { code, stdout, stderr } = await run([
      ...['--task', 'predict', '--dst_model', 'bare.pth', ...tuples],
      ...['--labels_file', 'labels.txt', '--images_path', 'hard/val'],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^((?:0|1|2|3)\.png\t(?:ants|bee's)\t[01]\.\d{4}\n){8}====== execution completed ======\n$/,
    );
  });

  test('predicts with what the student’s file says', async () => {
    const args = ['--task=predict', '--dst_model=student.pth', '--images_path=hard/val'];
    expect(await run(args)).toMatchObject({ code: 0, stderr: '' });
  });

  test('refuses another number of classes than the dataset has', async () => {
    const { code, stdout, stderr } = await run([
      ...['--task', 'train', '--src_model', 'teacher.pth', '--dst_model', 'none.pth', ...tuples],
      ...['--dataset_path', 'hard', '--classes_number', '3'],
    ]);
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr:
        "distill: Expected the number of class folders in 'hard', 2, for --classes_number but received 3. (ERR_OPTION)\n",
    });
    expect(existsSync(at('none.pth'))).toBe(false);
  });

  test('says errors in its own names', async () => {
    const { code, stderr } = await run([
      ...['--task', 'train', ...files, ...tuples, '--dataset_path', 'hard', '--drop_rate', '2'],
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/ for --drop_rate but received 2/);
  });
});

describe('files', () => {
  test('inspect describes a student', async () => {
    const { code, stdout } = await run(['inspect', 'student.pth']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^architecture +student$/m);
    expect(stdout).toMatch(/^names +ants, bee's$/m);
    expect(stdout).toMatch(/^image size +32$/m);
    expect(stdout).not.toContain('features.0.weight');
  });

  test('inspect lists tensors, or all as JSON', async () => {
    const [listed, json] = await Promise.all([
      run(['inspect', 'teacher.pth', '--tensors']),
      run(['inspect', 'teacher.pth', '--json']),
    ]);
    expect(listed.stdout).toMatch(/^architecture +densenet121$/m);
    expect(listed.stdout).toMatch(/^features\.conv0\.weight\tfloat32\t\(64, 3, 7, 7\)$/m);
    expect(events(json.stdout)).toMatchObject([
      { event: 'checkpoint', path: 'teacher.pth', architecture: 'densenet121', metadata: null },
    ]);
  });

  test('stats are ready to be pasted', async () => {
    const [plain, json] = await Promise.all([
      run(['stats', 'hard', '--image-size', '32']),
      run(['stats', 'hard', '--image-size', '32', '--json']),
    ]);
    expect(plain.stdout).toMatch(/^--mean (0\.\d{6},?){3} --std (0\.\d{6},?){3}\n$/);
    expect(plain.stderr).toBe('8 pictures of 2 classes\n');
    const options = plain.stdout.trimEnd().split(' ');
    expect(triple(options[1] ?? '')).toEqual([
      expect.closeTo(70 / 255, 5),
      expect.closeTo(90 / 255, 5),
      expect.closeTo(185 / 255, 5),
    ]);
    expect(events(json.stdout)).toMatchObject([
      { event: 'stats', images: 8, classes: ['ants', "bee's"] },
    ]);
  });

  test.runIf(existsSync('/dev/full'))('output that cannot be written is an error', async () => {
    const command = '"$0" "$@" > /dev/full';
    const args = [command, process.execPath, script, 'inspect', 'student.pth'];
    const child = spawn('sh', ['-c', ...args], { cwd: temporary });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'distill: The output cannot be written (ENOSPC). (ERR_OUTPUT)\n',
    });
  });
});

describe('an interrupted training', () => {
  const NOTE = 'Stopping after this batch; what has been saved stays. Ctrl-C again ends at once.\n';

  /** Whatever is not the student itself. */
  const leftovers = (folder: string) =>
    readdirSync(at(folder)).filter((name) => name !== 'student.pth');

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('keeps what is saved at %s', async (signal, exitCode) => {
    mkdirSync(at(signal));
    const args = train(`${signal}/student.pth`, ...ENDLESS);
    const { code, stdout, stderr } = await runAndSignal(args, signal, /^epoch:2/m);
    expect(code).toBe(exitCode);
    expect(stderr.endsWith(NOTE)).toBe(true);
    expect(stdout).toMatch(/^Stopped: after \d+ of 1000000000 epochs\.$/m);
    expect(stdout).toMatch(new RegExp(`^Student: ${signal}/student.pth, 1\\.7 MB$`, 'm'));
    expect(leftovers(signal)).toEqual([]);
    const { stdout: found } = await run(['inspect', `${signal}/student.pth`, '--json']);
    expect(events(found)[0]).toMatchObject({ architecture: 'student', metadata: { epoch: 1 } });
  });

  test('reports its result with --json', async () => {
    const args = train('s.pth', ...ENDLESS, '--json');
    const { code, stdout } = await runAndSignal(args, 'SIGINT', /"event":"epoch"/);
    rmSync(at('s.pth'));
    expect(code).toBe(130);
    expect(events(stdout).at(-1)).toMatchObject({ event: 'result', stopReason: 'stopped' });
  });

  test('ends at once at the second Ctrl-C', async () => {
    // One batch an epoch, long enough for the second signal to arrive before its end.
    const slow = ['--image-size', '224', '--batch-size', '8', '--device', 'cpu'];
    const args = train('twice.pth', ...ENDLESS, ...slow);
    const { code, signal } = await runAndSignal(args, 'SIGINT', /^epoch:1/m, /Ctrl-C again/);
    // Where the batch was faster, after all, it ended as after the first. A shell says 130 to both.
    expect(signal ?? code).toBe(code === null ? 'SIGINT' : 130);
  });

  test('leaves nothing when it was only preparing', async () => {
    mkdirSync(at('preparing'));
    const args = train('preparing/student.pth', '--image-size', '224', '--cache-dir', 'kept');
    const { code, stdout } = await runAndSignal(args, 'SIGINT', /training and/);
    expect(code).toBe(130);
    expect(lines(stdout)).toEqual([
      'Stopped: while preparing.',
      'Student: none was saved; preparing/student.pth is untouched',
    ]);
    expect(readdirSync(at('preparing'))).toEqual([]);
    expect(existsSync(at('kept')) ? readdirSync(at('kept')) : []).toEqual([]);
  });

  test('in the reference’s form is not completed', async () => {
    const { code, stdout } = await runAndSignal(
      [
        ...['--task', 'train', '--src_model', 'teacher.pth', '--dst_model', 'interrupted.pth'],
        ...[...PREPROCESSING, '--dataset_path', 'hard'],
      ],
      'SIGINT',
      /^epoch:1/m,
    );
    expect(code).toBe(130);
    expect(stdout).not.toContain('execution completed');
    expect(existsSync(at('interrupted.pth'))).toBe(true);
  });

  test('ends when nobody reads its lines', async () => {
    const command = `"$0" "$@" | head -n 1; exit \${PIPESTATUS[0]}`;
    const child = spawn(
      'bash',
      ['-c', command, process.execPath, script, ...train('unread.pth', ...ENDLESS)],
      { cwd: temporary, env, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    running.add(child);
    let stdout = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    running.delete(child);
    expect(code).toBe(130);
    expect(stdout).toMatch(/^epoch:1\/.*\n$/);
    expect(existsSync(at('unread.pth'))).toBe(true);
  });
});

/** util-linux's `script` runs a command on a terminal. */
const hasTerminal = (() => {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux');
  } catch {
    return false;
  }
})();
if (!hasTerminal)
  console.warn('Skipping what needs a terminal: there is no `script` of util-linux.');

describe.runIf(hasTerminal)('on a terminal', () => {
  function onTerminal(args: string[], more: Record<string, string> = {}): string {
    const quoted = [process.execPath, script, ...args].map(
      (word) => `'${word.replaceAll("'", `'\\''`)}'`,
    );
    // What the test runner says of its own colours is not for the command; nor is CI, where Node
    // takes a terminal for one without colours.
    const { CI, NO_COLOR, FORCE_COLOR, NODE_DISABLE_COLORS, ...inherited }: NodeJS.ProcessEnv = env;
    return execFileSync('script', ['-qec', quoted.join(' '), '/dev/null'], {
      cwd: temporary,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...inherited, TERM: 'xterm', ...more },
    });
  }

  test('training shows a bar instead of lines', () => {
    const shown = onTerminal(train('terminal.pth', '--epochs', '100'));
    expect(shown).toMatch(/preparing .*\d+\/16 pictures/);
    expect(shown).toMatch(/training .*epoch \d+\/100/);
    expect(shown).toMatch(/best 0\.5000 {2}ETA \d+:\d\d/);
    expect(shown).not.toMatch(/train loss/);
    // The bar is gone before the outcome.
    expect(shown).toContain('\x1b[2KDone: all 100 epochs were run.\r\n');
    expect(shown).not.toContain('\x1b[?');
  });

  test('the reference’s last line is green, except without colours', () => {
    const args = ['--task=predict', '--dst_model=student.pth', '--images_path=hard/val'];
    const line = '====== execution completed ======';
    expect(onTerminal(args)).toContain(`\x1b[32m${line}\x1b[39m`);
    expect(onTerminal(args, { NO_COLOR: '1' })).not.toContain('\x1b');
  });
});
