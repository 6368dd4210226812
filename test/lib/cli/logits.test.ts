import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { inspect } from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { mean, std } from '../../helpers/dataset.js';
import { base, file, inFolder } from '../../helpers/logits.js';

describe('the command', () => {
  const flags = () => [
    ...['--mean', mean.join(), '--std', std.join(), '--image-size', '32'],
    ...['--device', 'cpu', '--threads', '1'],
  ];

  test('logits writes the file, and train learns from it', async () => {
    const output = inFolder('by command.safetensors');
    const given = [base.dataset, '--teacher', base.teacher, '-o', output, ...flags()];
    const said = await runCommand(['logits', ...given]);
    expect(said).toMatchObject({ code: 0, stderr: expect.stringMatching(/--teacher-logits '.*'/) });
    expect(said.stdout).toBe(
      `${output}: logits of a densenet121 for 19 training and 7 validation pictures of 2 classes\n`,
    );
    expect(readFileSync(output).equals(readFileSync(file))).toBe(true);

    const student = inFolder('by-command.pth');
    const learning = ['--teacher-logits', output, '--student', student, '--epochs', '1'];
    const trained = await runCommand(['train', base.dataset, ...learning, ...flags(), '--json']);
    expect(trained).toMatchObject({ code: 0, stderr: '' });
    expect((await inspect(student)).metadata?.teacher).toMatchObject({
      logits: 'by command.safetensors',
    });
  });

  test('logits tells its result as JSON', async () => {
    const output = inFolder('json.safetensors');
    const given = [base.dataset, '--teacher', base.teacher, '-o', output, ...flags(), '--json'];
    const { code, stdout } = await runCommand(['logits', ...given]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'logits',
      path: output,
      images: { train: 19, val: 7 },
    });
  });

  test.each<[string, number, RegExp, () => string[]]>([
    ['no teacher and no output', 2, /logits needs --teacher, --output\./, () => [base.dataset]],
    [
      'no mean',
      1,
      /has no mean, std.*ERR_NO_METADATA/,
      () => [base.dataset, '--teacher', base.teacher, '-o', inFolder('x')],
    ],
    [
      'a wrong size',
      2,
      /for --image-size but received 'big'/,
      () => [base.dataset, '--teacher', base.teacher, '-o', inFolder('x'), '--image-size', 'big'],
    ],
  ])('logits with %s fails', async (_, expected, says, given) => {
    const { code, stdout, stderr } = await runCommand(['logits', ...given()]);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(says);
  });

  test('train with both a teacher and logits is wrong usage', async () => {
    const both = ['--teacher', base.teacher, '--teacher-logits', file, '--student', inFolder('x')];
    const { code, stderr } = await runCommand(['train', base.dataset, ...both, ...flags()]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/either --teacher, .* or --teacher-logits, .* both/),
    });
  });
});
