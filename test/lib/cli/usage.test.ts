import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { triple } from '../../../lib/cli/arguments.js';
import { inFlags } from '../../../lib/cli/flags.js';
import { distill } from '../../../lib/distill.js';
import { DistillError } from '../../../lib/errors.js';
import { at, events, lines, run, train } from '../../helpers/cli.js';
import { flagsFor } from '../../helpers/results.js';

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
      'Expected either <dataset>, a folder with train/ and val/, or both --train and --val, or --train and --val-split. (ERR_OPTION)',
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
