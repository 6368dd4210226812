import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { datasetFolders } from '../../../lib/checks.js';
import { scanDataset } from '../../../lib/data/dataset.js';
import { imageName } from '../../../lib/data/logits-file.js';
import { doctor, teach } from '../../../lib/index.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
  mkdirSync(root);
});

function files(...names: string[]): void {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), 'x');
  }
}
const at = (...names: string[]) => path.join(root, ...names);

test('pictures without a class come after the others, from a folder and what lies below it', async () => {
  files('d/train/a/1.jpg', 'd/train/b/1.jpg', 'd/val/a/1.jpg', 'd/val/b/1.jpg');
  files('more/2.jpg', 'more/1.jpg', 'more/in/3.png', 'more/._1.jpg', 'more/x.gif');
  const given = { dataset: at('d'), unlabeled: at('more'), splitSeed: 0 };
  const { classes, train, val } = await scanDataset(datasetFolders(given));
  expect(classes).toEqual(['a', 'b']);
  const named = train.samples.map((sample) => [imageName('train', train, sample), sample.label]);
  expect(named).toEqual([
    ['train/a/1.jpg', 0],
    ['train/b/1.jpg', 1],
    ['unlabeled/1.jpg', -1],
    ['unlabeled/2.jpg', -1],
    ['unlabeled/in/3.png', -1],
  ]);
  expect(val.samples.length).toBe(2);
  expect(train.hidden.map((file) => file.path)).toEqual([at('more/._1.jpg')]);
  expect(train.ignored).toEqual([at('more/x.gif')]);
});

test('are none to validate with, whatever valSplit says', async () => {
  files(...Array.from({ length: 10 }, (_, i) => `d/${i % 2 ? 'a' : 'b'}/${i}.jpg`));
  files(...Array.from({ length: 50 }, (_, i) => `more/${i}.jpg`));
  const given = { dataset: at('d'), unlabeled: at('more'), valSplit: 0.4, splitSeed: 0 };
  const { train, val } = await scanDataset(datasetFolders(given));
  expect([train.samples.length, val.samples.length]).toEqual([56, 4]);
  expect(val.samples.every(({ label }) => label >= 0)).toBe(true);
});

test('are the lines of a manifest without a label, or all of another manifest', async () => {
  files('1.jpg', '2.jpg', '3.jpg', '4.jpg', '5.jpg', 'm/6.jpg');
  const lines = ['1.jpg,a,train', '2.jpg,b,train', '3.jpg,,train', '4.jpg,a,val', '5.jpg,b,val'];
  writeFileSync(at('list.csv'), ['path,label,split', ...lines].join('\n'));
  writeFileSync(at('m/more.jsonl'), '{"path": "6.jpg"}');
  const given = { dataset: at('list.csv'), splitSeed: 0 };
  const { classes, train } = await scanDataset(datasetFolders(given));
  expect(classes).toEqual(['a', 'b']);
  expect(train.samples.map(({ label }) => label)).toEqual([0, 1, -1]);
  const both = scanDataset(datasetFolders({ ...given, unlabeled: at('m/more.jsonl') }));
  expect(await refusalOf(both)).toMatchObject({ code: 'ERR_OPTION' });
  const other = { train: at('t'), val: at('v'), unlabeled: at('m/more.jsonl'), splitSeed: 0 };
  files('t/a/1.jpg', 'v/a/1.jpg');
  const found = (await scanDataset(datasetFolders(other))).train;
  expect(found.samples.map((sample) => imageName('train', found, sample))).toEqual([
    'train/a/1.jpg',
    'unlabeled/6.jpg',
  ]);
});

test('are refused where they are not there, and by teach(), which learns from labels', async () => {
  const { dataset, mean, std, imageSize } = await smallRun(root);
  const gone = { dataset, unlabeled: at('gone'), splitSeed: 0 };
  expect(await refusalOf(scanDataset(datasetFolders(gone)))).toMatchObject({
    code: 'ERR_IMAGES_NOT_FOUND',
  });
  const lines = ['train/ants/0.png,a,train', 'train/ants/1.png,b,train', 'train/ants/2.png,,train'];
  const more = ['val/ants/1.png,a,val', 'val/bees/1.png,b,val'];
  const manifest = path.join(dataset, 'list.csv');
  writeFileSync(manifest, ['path,label,split', ...lines, ...more].join('\n'));
  const run = teach({ teacher: at('t.pth'), dataset: manifest, mean, std, imageSize });
  expect(await refusalOf(run)).toMatchObject({
    code: 'ERR_DATASET_UNLABELED',
    message: `'${path.join(dataset, 'train/ants/2.png')}' has no class, which a teacher is trained by; give it one, or leave it out.`,
  });
});

test('are counted by the doctor', async () => {
  const { dataset } = await smallRun(root);
  files('more/1.txt');
  const unlabeled = path.join(dataset, 'train/ants');
  const { findings } = await doctor({ dataset, unlabeled });
  expect(findings.find(({ check }) => check === 'counts')?.message).toBe(
    '11 training pictures and 7 validation pictures of 2 classes, and 5 pictures to train on without a class.',
  );
});
