import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { joinLists } from '../../../lib/cli/lists.js';
import { runCommand } from '../../helpers/child.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-lists-'));
afterAll(() => rmSync(folder, { recursive: true }));

const split = (line: string) => line.split(' ');

describe('lists whose items are words of their own', () => {
  test.each([
    [
      '--mean 0.485 0.456 0.406 --std 0.229 0.224 .225',
      '--mean=0.485,0.456,0.406 --std=0.229,0.224,.225',
    ],
    ['--mean [0.485, 0.456, 0.406] photos', '--mean=0.485,0.456,0.406 photos'],
    ['--std (0.229, 0.224, 0.225)', '--std=0.229,0.224,0.225'],
    ['--mean=0.485 0.456 0.406 photos', '--mean=0.485,0.456,0.406 photos'],
    ['--mean 0 0 0 1 2', '--mean=0,0,0 1 2'],
    ['--temperature 2 4 8 --alpha 0.5 0.7', '--temperature=2,4,8 --alpha=0.5,0.7'],
    ['--lr 1e-4 1e-3 photos', '--lr=1e-4,1e-3 photos'],
    ['--seeds 7 8 9', '--seeds=7,8,9'],
    ['photos --augment crop flip', 'photos --augment=crop,flip'],
  ])('%s is %s', (given, joined) => {
    expect(joinLists(split(given))).toEqual(split(joined));
  });

  test.each([
    '--mean 0.485,0.456,0.406 1 2',
    '--mean (0.485,0.456,0.406) photos',
    '--mean photos',
    '--mean',
    '--seeds [7]',
    '--epochs 1 2',
    '-- --mean 1 2 3',
  ])('%s stays as it is', (given) => {
    expect(joinLists(split(given)).join(' ').replaceAll('=', ' ')).toBe(given);
  });

  test('a word that names a file is no item, unless the list would be too short', () => {
    const file = path.join(folder, '3');
    writeFileSync(file, '');
    const before = process.cwd();
    process.chdir(folder);
    try {
      expect(joinLists(split('--seeds 2 3'))).toEqual(split('--seeds=2 3'));
      expect(joinLists(split('--mean 3 3 3'))).toEqual(split('--mean=3,3,3'));
    } finally {
      process.chdir(before);
    }
  });

  test('reach the options', async () => {
    const dataset = path.join(folder, 'none');
    const files = ['--teacher', 't.pth', '--student', path.join(folder, 's.pth')];
    const mean = split('--mean 0.485 0.456 0.406 --std 0.229 0.224 0.225');
    const { stderr } = await runCommand(['train', dataset, ...files, ...mean]);
    expect(stderr).toMatch(/ERR_DATASET_NOT_FOUND/);
  });

  test('where one value is expected, the message names the option', async () => {
    const { code, stderr } = await runCommand(
      split('train photos --teacher t.pth --student s.pth --alpha 0.5 0.7'),
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/for --alpha but received '0\.5,0\.7'/);
  });
});

test('words too many are shown, with what is commonly wrong', async () => {
  const { code, stdout, stderr } = await runCommand(
    split('train my photos --teacher t.pth --student s.pth'),
  );
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr:
      "distill: train takes 1 argument, but received 'my' 'photos'; put quotes around a name with spaces, and commas between the items of a list. (ERR_USAGE)\n",
  });
});

describe('what other programs call it', () => {
  test.each([
    ['train --learning-rate 0.1', "unknown option '--learning-rate'; did you mean --lr?"],
    ['train --learning_rate=0.1', "unknown option '--learning_rate=0.1'; did you mean --lr?"],
    ['train --batch_size 4', "unknown option '--batch_size'; did you mean --batch-size?"],
    ['train --model s.pth', "unknown option '--model'; did you mean --teacher?"],
    ['predict --model s.pth a.png', "unknown option '--model'; did you mean --student?"],
    ['train --data photos', "unknown option '--data'; did you mean <dataset>?"],
    ['train --shuffle', "unknown option '--shuffle'; did you mean --no-shuffle?"],
    ['train --temprature 2', "unknown option '--temprature'; did you mean --temperature?"],
    ['train --weight-decay 0.1', "unknown option '--weight-decay'; it is an option of teach."],
    ['train --zzzzzzzzz', "unknown option '--zzzzzzzzz'"],
    ['distill photos', "unknown command 'distill'; did you mean train?"],
    ['classify a.png', "unknown command 'classify'; did you mean predict?"],
    ['zzzzzzz', "unknown command 'zzzzzzz'"],
  ])('%s', async (line, message) => {
    const { code, stdout, stderr } = await runCommand(split(line));
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `distill: ${message} (ERR_USAGE)\n`,
    });
  });
});
