import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { distill, doctor, sweep, teach, teacherLogits } from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

const folder = temporaryFolder();
const at = (...names: string[]) => path.join(folder, ...names);

/** Files that look like pictures, which nobody opens. */
function files(...names: string[]): void {
  for (const name of names) {
    mkdirSync(path.dirname(at(name)), { recursive: true });
    writeFileSync(at(name), 'x');
  }
}
const classes = (...folders: string[]) =>
  files(...folders.flatMap((name) => [`${name}/ants/0.png`, `${name}/bees/0.png`]));

classes('roboflow/train', 'roboflow/valid', 'roboflow/test');
classes('keras/train', 'keras/validation');
classes('capitals/Train', 'capitals/Val');
classes('sets/training_set', 'sets/test_set');
classes('unsplit');
classes('unzipped/photos/train', 'unzipped/photos/val', 'unzipped/__MACOSX');
classes('doubled/photos/train', 'doubled/photos/valid');
classes('whole/train', 'whole/val');
classes('alone/train');
classes('judged/val');
files('loose/0.png', 'loose/1.jpg', 'other/notes/a.txt', 'empty/a.txt', 'file.zip');

const instead = (train: string, val: string) =>
  `give \`train\` '${at(train)}' and \`val\` '${at(val)}' instead of \`dataset\``;

const CASES: [string, string, string, string][] = [
  [
    "Roboflow's names",
    'roboflow',
    'val',
    `'${at('roboflow')}' holds train/ and valid/ and test/: give \`train\` '${at('roboflow/train')}' and \`val\` '${at('roboflow/valid')}' or '${at('roboflow/test')}' instead of \`dataset\``,
  ],
  [
    "Keras' names",
    'keras',
    'val',
    `'${at('keras')}' holds train/ and validation/: ${instead('keras/train', 'keras/validation')}`,
  ],
  [
    'capitals',
    'capitals',
    'train',
    `'${at('capitals')}' holds Train/ and Val/: ${instead('capitals/Train', 'capitals/Val')}`,
  ],
  [
    'sets',
    'sets',
    'train',
    `'${at('sets')}' holds training_set/ and test_set/: ${instead('sets/training_set', 'sets/test_set')}`,
  ],
  [
    'class folders',
    'unsplit',
    'train',
    `'${at('unsplit')}' holds class folders itself ("ants", "bees"): set \`valSplit\`, such as to 0.2, or move some pictures of each to '${at('unsplit/val/<class>')}', and the others to '${at('unsplit/train/<class>')}'`,
  ],
  ['a folder in the folder', 'unzipped', 'train', `give '${at('unzipped/photos')}' as \`dataset\``],
  [
    'a folder with other names in it',
    'doubled',
    'train',
    `'${at('doubled/photos')}' holds train/ and valid/: ${instead('doubled/photos/train', 'doubled/photos/valid')}`,
  ],
  [
    'its first half',
    'whole/train',
    'train',
    `'${at('whole/train')}' is one half of a dataset: give '${at('whole')}' as \`dataset\``,
  ],
  [
    'its second half',
    'whole/val',
    'train',
    `'${at('whole/val')}' is one half of a dataset: give '${at('whole')}' as \`dataset\``,
  ],
  [
    'one half with other names',
    'roboflow/train',
    'train',
    `'${at('roboflow/train')}' is one half of a dataset: '${at('roboflow')}' holds train/ and valid/`,
  ],
  [
    'no second half',
    'alone',
    'val',
    `'${at('alone')}' holds train/, but nothing to validate with: set \`valSplit\`, such as to 0.2, or move some pictures of each class to '${at('alone/val/<class>')}'`,
  ],
  [
    'no first half',
    'judged',
    'train',
    `'${at('judged')}' holds val/, but nothing to train with: give`,
  ],
  [
    'loose pictures',
    'loose',
    'train',
    `'${at('loose')}' holds 2 pictures in no class: sort them into`,
  ],
  ['something else', 'other', 'train', `'${at('other')}' holds "notes"`],
  ['nothing', 'empty', 'train', `'${at('empty')}' holds no folder`],
  [
    'no folder at all',
    'gone',
    'train',
    'give a folder that holds train/ and val/ as `dataset`, a manifest',
  ],
];

describe.each(CASES)('a dataset with %s', (_, name, missing, hint) => {
  const message = `Expected a folder at ${at(name, missing)}, but there is nothing; ${hint}`;

  test('is refused with what mends it', async () => {
    const dataset = at(name);
    const refusal = await refusalOf(distill({ teacher: 't.pth', student: at('s.pth'), dataset }));
    expect(refusal.code).toBe('ERR_DATASET_NOT_FOUND');
    expect(refusal.message.startsWith(message)).toBe(true);
    expect(refusal.message).toMatch(/[^.]\.$/);
  });

  test('is a problem with the same words', async () => {
    const { findings } = await doctor({ dataset: at(name) });
    const finding = findings.find(({ check }) => check === missing);
    expect(finding).toMatchObject({ status: 'problem', code: 'ERR_DATASET_NOT_FOUND' });
    expect(finding?.message.startsWith(message)).toBe(true);
  });
});

test('every call that has a dataset says so', async () => {
  const dataset = at('capitals');
  const teacher = at('t.pth');
  for (const call of [
    () => teach({ teacher, dataset }),
    () => sweep({ teacher, dataset }),
    () => teacherLogits({ teacher, dataset, output: at('l.safetensors') }),
  ]) {
    expect((await refusalOf(call())).message).toContain(instead('capitals/Train', 'capitals/Val'));
  }
});

test('the command says it in its flags', async () => {
  const { code, stderr } = await runCommand([
    ...['train', at('keras'), '--teacher', 't.pth', '--student', at('s.pth')],
  ]);
  expect(code).toBe(1);
  expect(stderr).toBe(
    `distill: Expected a folder at ${at('keras/val')}, but there is nothing; '${at('keras')}' holds train/ and validation/: give --train '${at('keras/train')}' and --val '${at('keras/validation')}' instead of <dataset>. (ERR_DATASET_NOT_FOUND)\n`,
  );
});

describe('two folders', () => {
  const run = (train: string, val: string) =>
    refusalOf(distill({ teacher: 't.pth', student: at('s.pth'), train: at(train), val: at(val) }));

  test('of which one is not there: what lies beside it', async () => {
    expect((await run('roboflow/train', 'roboflow/val')).message).toBe(
      `Expected a folder at ${at('roboflow/val')}, but there is nothing; '${at('roboflow')}' holds "test", "train", "valid".`,
    );
  });

  test('of which one is the whole', async () => {
    const { code, message } = await run('whole', 'whole/val');
    expect(code).toBe('ERR_DATASET_CLASS_MISMATCH');
    expect(message).toContain(`'${at('whole')}' holds train/ and val/: give it as \`dataset\`.`);
  });
});
