import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { env, events, lines, run, runAndSignal, script, temporary } from '../../helpers/cli.js';

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

  /** Batches of one picture each, so that there is always another to be stopped at. */
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
