import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  at,
  env,
  events,
  lines,
  PREPROCESSING,
  picture,
  run,
  runAndSignal,
  running,
  script,
  temporary,
  train,
} from '../../helpers/cli.js';

const ENDLESS = ['--epochs', '1000000000'];

const EPOCH =
  /^epoch:(\d+)\/(\d+); train loss:\d+\.\d{6}, accuracy:[01]\.\d{6}; validation loss:\d+\.\d{6}, accuracy:[01]\.\d{6}; time:\d+\.\d{2}s/;

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
      expect.stringMatching(
        /^Kept by accuracy-and-loss; accuracy would keep [123]; loss would keep [123]$/,
      ),
      'Student: plain.pth, cnn of 422,530 parameters, 1.7 MB',
      expect.stringMatching(/^Time: .* on (cpu|cuda:\d) in fp32 \(prepare .*, train .*\), seed 7$/),
      'Next: distill predict <images> --student plain.pth',
    ]);
  });

  test('prints only the outcome with --quiet', async () => {
    const { code, stdout, stderr } = await run(train('quiet.pth', '--epochs', '1', '--quiet'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Done: .*\nBest: .*\nKept by .*\nStudent: .*\nTime: .*\nNext: .*\n$/);
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

describe('an interrupted training', () => {
  const NOTE = 'Stopping after this batch; what has been saved stays. Ctrl-C again ends at once.\n';

  /** The files of a folder but for the student itself. */
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
    expect(stdout).toMatch(
      new RegExp(`^Student: ${signal}/student.pth, cnn of 422,530 parameters, 1\\.7 MB$`, 'm'),
    );
    expect(leftovers(signal)).toEqual([]);
    const { stdout: found } = await run(['inspect', `${signal}/student.pth`, '--json']);
    expect(events(found)[0]).toMatchObject({ architecture: 'cnn', metadata: { epoch: 1 } });
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
    // If the batch was faster after all, the run ended as after the first signal. A shell says 130 to both.
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
    // The test runner's settings of colours are not for the command, and under CI Node takes a terminal for one without
    // colours.
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
