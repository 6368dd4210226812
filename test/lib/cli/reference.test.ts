import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { at, run } from '../../helpers/cli.js';

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
