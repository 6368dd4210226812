import { describe, expect, test } from 'vitest';
import { runCommand } from '../../helpers/child.js';
import { at, bare, good } from '../../helpers/doctor.js';

describe('the command', () => {
  const given = () => ['doctor', good.dataset, '--teacher', good.teacher, '--device', 'cpu'];
  const events = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  test('takes what `train` takes', async () => {
    const flagsOf = async (command: string) => {
      const { stdout } = await runCommand([command, '--help']);
      return [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
    };
    expect((await flagsOf('doctor')).sort()).toEqual((await flagsOf('train')).sort());
  });

  test('is for people: a line each, and an exit code', async () => {
    const { code, stdout, stderr } = await runCommand([...given(), '--epochs', '7']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ok {7}LibTorch \d+\.\d+\.\d+/m);
    expect(stdout).toContain('--device auto is');
    expect(stdout).toMatch(/to prepare, .* an epoch, 7 epochs at most: .*; an estimate/);
    expect(stdout).toMatch(/\n(All is well|0 problems, \d+ warnings?)\.\n$/);
    expect(stdout).not.toContain('`');
  });

  test('fails with a problem, and says what mends it in its own words', async () => {
    const missing = [...given(), '--student', at('none/student.pth'), '--quiet'];
    const { code, stdout, stderr } = await runCommand(missing);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/^problem {2}.*cannot be written.* \(ERR_WRITE\)\n {9}-> Name a file/m);
    expect(stdout).toMatch(/^1 problem, \d warnings?\.$/m);
    expect(stdout).not.toMatch(/^ok/m);
    const none = await runCommand(['doctor', good.dataset, '--teacher', bare, '--quiet']);
    expect(none.code).toBe(1);
    expect(none.stdout).toContain('-> Pass --mean and --std as the teacher was trained with');
  });

  test('is for machines: one object a line', async () => {
    const { code, stdout } = await runCommand([...given(), '--json']);
    expect(code).toBe(0);
    const told = events(stdout);
    const result = told.pop();
    expect(result).toMatchObject({ event: 'result', problems: 0, time: { epochs: 500 } });
    expect(told.map(({ event, ...finding }) => finding)).toEqual(result.findings);
  });

  test('wrong usage is told from a problem', async () => {
    const { code, stderr } = await runCommand(['doctor', good.dataset, '--epochs', 'many']);
    expect(code).toBe(2);
    expect(stderr).toContain('--epochs');
  });
});
