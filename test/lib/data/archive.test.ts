import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { datasetFolders } from '../../../lib/checks.js';
import { expandBraces } from '../../../lib/data/archive/index.js';
import { scanDataset } from '../../../lib/data/dataset.js';
import { scanImages } from '../../../lib/data/images.js';
import { imageName } from '../../../lib/data/logits-file.js';
import { readSource } from '../../../lib/data/source.js';
import {
  type DistillOptions,
  datasetStats,
  distill,
  doctor,
  predict,
  teacherLogits,
} from '../../../lib/index.js';
import { filesOf, type Packed, pax, tarOf, writeTo, zipOf } from '../../helpers/archive.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { python, runPython } from '../../helpers/python.js';
import { numbersOf, refusalOf } from '../../helpers/results.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
  mkdirSync(root);
});
const at = (...names: string[]) => path.join(root, ...names);
const named = (...names: string[]): Packed[] => names.map((name) => ({ name, data: name }));

/** The names that a file of logits would have, by half, and the classes. */
async function halves(given: Partial<Parameters<typeof datasetFolders>[0]>) {
  const { classes, train, val } = await scanDataset(datasetFolders({ splitSeed: 0, ...given }));
  const names = (split: 'train' | 'val', folder: typeof train) =>
    folder.samples.map((sample) => imageName(split, folder, sample));
  return { classes, train: names('train', train), val: names('val', val) };
}

const TREE = [
  'train/b/2.jpg',
  'train/b/10.jpg',
  'train/a/x.jpg',
  'train/a/in/1.png',
  'val/a/3.jpg',
  'val/b/4.jpg',
];
const FOUND = {
  classes: ['a', 'b'],
  train: ['train/a/x.jpg', 'train/a/in/1.png', 'train/b/10.jpg', 'train/b/2.jpg'],
  val: ['val/a/3.jpg', 'val/b/4.jpg'],
};

describe.each([
  ['tar', tarOf],
  ['zip', zipOf],
] as const)('a %s', (kind, pack) => {
  const write = (name: string, files: readonly Packed[]) =>
    writeTo(at(`${name}.${kind}`), pack(files));

  test('of train/ and val/, as it is or in a folder, has the classes, the order and the names of the folder', async () => {
    expect(await halves({ dataset: write('a', named(...TREE)) })).toEqual(FOUND);
    const dotted = TREE.map((name) => `./${name}`);
    expect(await halves({ dataset: write('b', named(...dotted)) })).toEqual(FOUND);
    const inside = TREE.map((name) => `photos/${name}`);
    expect(await halves({ dataset: write('c', named(...inside)) })).toEqual(FOUND);
    const more = named('train/notes.txt', 'test/a/5.jpg', 'train/a/x.txt', 'read.me');
    expect(await halves({ dataset: write('d', [...more, ...named(...TREE)]) })).toEqual(FOUND);
  });

  test('of class folders is split by valSplit, as the folder is', async () => {
    const files = Array.from({ length: 20 }, (_, i) => `${i % 2 ? 'ants' : 'bees'}/${i}.jpg`);
    const folder = at('folder');
    for (const name of files) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeTo(path.join(folder, name), Buffer.from('x'));
    }
    const valSplit = 0.3;
    const expected = await halves({ dataset: folder, valSplit });
    expect(expected.val.length).toBe(6);
    expect(await halves({ dataset: write('a', named(...files)), valSplit })).toEqual(expected);
    expect(await halves({ train: write('b', named(...files)), valSplit })).toEqual(expected);
    const inside = files.map((name) => `train/${name}`);
    expect(await halves({ dataset: write('c', named(...inside)), valSplit })).toEqual(expected);
    const unsplit = await refusalOf(halves({ dataset: at(`a.${kind}`) }));
    expect(unsplit).toMatchObject({ code: 'ERR_DATASET_NOT_FOUND' });
    expect(unsplit.message).toContain('set `valSplit`');
  });

  test('may be each half, and has hidden files that are passed over', async () => {
    const train = write(
      't',
      named('a/1.jpg', 'b/2.jpg', '__MACOSX/a/._1.jpg', 'a/._1.jpg', '.DS_Store'),
    );
    const val = write('v', named('a/3.jpg', 'b/4.jpg'));
    const found = await scanDataset(datasetFolders({ train, val, splitSeed: 0 }));
    expect(found.classes).toEqual(['a', 'b']);
    expect(found.train.hidden.map(({ path }) => path).sort()).toEqual(
      ['.DS_Store', '__MACOSX', 'a/._1.jpg'].map((name) => `${train}/${name}`).sort(),
    );
  });

  test('of pictures with labels beside them is a shard of WebDataset', async () => {
    const sample = (key: string, label: string): Packed[] => [
      { name: `${key}.jpg`, data: key },
      { name: `${key}.cls`, data: `${label}\n` },
    ];
    write('data-00', [...sample('001', '10'), ...sample('003', '9')]);
    write('data-01', [...sample('002', '9'), ...sample('004', '10'), ...sample('in/005', '9')]);
    const pattern = at(`data-{00..01}.${kind}`);
    const expected = {
      classes: ['9', '10'],
      train: ['001', '002', '003', '004'],
    };
    const found = await halves({ dataset: pattern, valSplit: 0.2 });
    expect(found.classes).toEqual(expected.classes);
    expect([...found.train, ...found.val].length).toBe(5);
    expect(await halves({ dataset: root, valSplit: 0.2 })).toEqual(found);

    write('train-0', [...sample('1', 'x'), ...sample('2', 'y')]);
    write('val-0', [...sample('1', 'x'), ...sample('2', 'y')]);
    expect(await halves({ dataset: at(`{train,val}-0.${kind}`) })).toEqual({
      classes: ['x', 'y'],
      train: [`train/train-0.${kind}/1.jpg`, `train/train-0.${kind}/2.jpg`],
      val: [`val/val-0.${kind}/1.jpg`, `val/val-0.${kind}/2.jpg`],
    });
  });

  test('takes labels from .txt and .json where there is no .cls', async () => {
    const files: Packed[] = [
      { name: '1.png', data: 'x' },
      { name: '1.txt', data: 'bees' },
      { name: '2.png', data: 'x' },
      { name: '2.json', data: '{"label": "ants", "width": 5}' },
      { name: '3.png', data: 'x' },
      { name: '3.json', data: '{"label": "bees"}' },
      { name: '4.png', data: 'x' },
      { name: '4.seg.png', data: 'x' },
      { name: '4.txt', data: 'ants' },
    ];
    const found = await halves({ dataset: write('a', files), valSplit: 0.5 });
    expect(found.classes).toEqual(['ants', 'bees']);
    expect([...found.train, ...found.val].length).toBe(4);
    const without = write('b', [...files, { name: '5.png', data: 'x' }]);
    expect(await refusalOf(halves({ dataset: without, valSplit: 0.5 }))).toMatchObject({
      code: 'ERR_ARCHIVE',
      message: expect.stringContaining("its entry '5.png' has no label beside it"),
    });
  });

  test('gives the bytes of each file, and refuses to when it has changed', async () => {
    const files = filesOf(path.join(import.meta.dirname, '../../fixtures/pictures')).slice(0, 12);
    const archive = write(
      'a',
      files.map(({ name, data = '' }) => ({ name: `in/${name}.jpg`, data })),
    );
    const { files: found } = await scanImages(archive);
    expect(found.length).toBe(files.length);
    for (const source of found) {
      const name = (source as { name: string }).name.slice('in/'.length, -'.jpg'.length);
      const data = files.find((file) => file.name === name)?.data as Buffer;
      expect(Buffer.compare(Buffer.from(await readSource(source)), data)).toBe(0);
    }
    write('a', named('in/1.jpg'));
    await expect(readSource(found[0] as string)).rejects.toThrow('has changed since');
  });

  test.skipIf(python === null)("of Python's is read", async () => {
    for (const name of [...TREE, `train/b/${'long'.repeat(40)}/${'name'.repeat(30)}é.jpg`]) {
      mkdirSync(path.dirname(at('tree', name)), { recursive: true });
      writeTo(at('tree', name), Buffer.from(name));
    }
    const code = [
      'import json, os, sys, tarfile, zipfile',
      'folder, kind = json.load(sys.stdin)',
      "files = [os.path.join(at, name) for at, _, names in os.walk(f'{folder}/tree') for name in names]",
      'made = []',
      "if kind == 'tar':",
      "    for name, format in [('pax', tarfile.PAX_FORMAT), ('gnu', tarfile.GNU_FORMAT)]:",
      "        with tarfile.open(f'{folder}/{name}.tar', 'w', format=format) as tar:",
      "            tar.add(f'{folder}/tree', '.')",
      "        made.append(f'{folder}/{name}.tar')",
      'else:',
      "    for name, method in [('stored', 0), ('deflated', 8)]:",
      "        with zipfile.ZipFile(f'{folder}/{name}.zip', 'w', method) as archive:",
      '            for file in files:',
      "                with archive.open(zipfile.ZipInfo(os.path.relpath(file, f'{folder}/tree')), 'w', force_zip64=True) as to:",
      "                    to.write(open(file, 'rb').read())",
      "        made.append(f'{folder}/{name}.zip')",
      'print(json.dumps(made))',
    ].join('\n');
    const expected = await halves({ dataset: at('tree') });
    expect(expected.train.length).toBe(5);
    for (const archive of runPython(['-c', code], [root, kind]) as string[]) {
      expect(await halves({ dataset: archive })).toEqual(expected);
      const { files } = await scanImages(archive);
      for (const source of files) {
        const { name } = source as { name: string };
        expect(Buffer.from(await readSource(source)).toString()).toBe(
          readFileSync(at('tree', name), 'utf8'),
        );
      }
    }
  });
});

test('a pattern stands for the files that a shell makes of it', () => {
  expect(expandBraces('a-{08..11}.tar')).toEqual(['a-08.tar', 'a-09.tar', 'a-10.tar', 'a-11.tar']);
  expect(expandBraces('{a,b}/{0..1}.zip')).toEqual(['a/0.zip', 'a/1.zip', 'b/0.zip', 'b/1.zip']);
  expect(expandBraces('a.tar')).toEqual(['a.tar']);
  for (const pattern of ['{1..0}.tar', '{0..100000}.tar', `${'{0..999}'.repeat(3)}.tar`]) {
    expect(() => expandBraces(pattern)).toThrow('stands for');
  }
});

test('a tar has long names of pax and GNU, and sizes of bytes', async () => {
  const long = `a/${'x'.repeat(300)}.jpg`;
  const size = Buffer.alloc(12);
  size[0] = 0x80;
  size[11] = 3;
  const tar = tarOf([
    pax('path', long),
    { name: 'short', data: 'pax' },
    { name: '././@LongLink', kind: 'L', data: `${long}2.jpg\0` },
    { name: 'short', data: 'gnu' },
    { name: 'a/3.jpg', data: 'big', size: size.toString('latin1') },
    pax('size', '4'),
    { name: 'a/4.jpg', data: 'four', size: 0 },
    { name: 'g', kind: 'g', data: '19 comment=a b c d\n' },
  ]);
  const { files } = await scanImages(writeTo(at('a.tar'), tar));
  const texts = await Promise.all(files.map((source) => readSource(source)));
  expect(texts.map((text) => Buffer.from(text).toString())).toEqual(['big', 'four', 'pax', 'gnu']);
});

describe('a run', () => {
  async function train(options: DistillOptions) {
    const epochs: unknown[] = [];
    await distill(options).on('epoch', (report) => epochs.push(numbersOf(report)));
    return epochs;
  }

  test('from a tar, a zip and shards has the numbers of the folder; so have logits, stats and predictions', async () => {
    const options = await smallRun(root);
    const { teacher, dataset, student, mean, std, imageSize, device, threads } = options;
    const files = filesOf(dataset);
    const tar = writeTo(at('d.tar'), tarOf(files));
    const zip = writeTo(at('d.zip'), zipOf(files));
    for (const half of ['train', 'val']) {
      const samples = files.filter(({ name }) => name.startsWith(half));
      const shard = samples.flatMap(({ name, data = '' }): Packed[] => {
        const [, label = '', file = ''] = name.split('/');
        const key = `${label}-${path.basename(file, '.png')}`;
        return [
          { name: `${key}.png`, data },
          { name: `${key}.cls`, data: label },
        ];
      });
      writeTo(at(`${half}-0.tar`), tarOf(shard.slice(0, 6)));
      writeTo(at(`${half}-1.tar`), tarOf(shard.slice(6)));
    }
    const epochs = await train(options);
    for (const source of [tar, zip, at('{train,val}-{0..1}.tar')]) {
      expect(await train({ ...options, dataset: source })).toEqual(epochs);
    }

    const output = at('logits.safetensors');
    await teacherLogits({ teacher, dataset: zip, output, mean, std, imageSize, device, threads });
    const { teacher: _, ...rest } = options;
    expect(await train({ ...rest, teacherLogits: output })).toEqual(epochs);
    expect(await datasetStats(tar, { imageSize })).toEqual(
      await datasetStats(dataset, { imageSize }),
    );

    const folder = await predict({ student, images: path.join(dataset, 'val'), device, threads });
    const both = await predict({ student, images: [zip, tar], device, threads });
    const answers = both.filter(({ path }) => path?.includes('/val/'));
    expect(answers.map(({ path, source }) => [path, source])).toEqual(
      [zip, tar].flatMap((archive, source) =>
        folder.map(({ path: file }) => [
          `${archive}/${path.relative(dataset, file as string)}`,
          source,
        ]),
      ),
    );
    expect(answers.map(({ top }) => top)).toEqual([...folder, ...folder].map(({ top }) => top));

    const { findings } = await doctor({ ...options, dataset: zip, student: undefined });
    expect(
      findings.filter(({ status, topic }) => status === 'problem' && topic === 'dataset'),
    ).toEqual([]);
    expect(findings.find(({ check }) => check === 'duplicates')?.status).toBeDefined();
  });

  test('takes a kept store over until the archive changes', async () => {
    const { dataset, ...options } = await smallRun(root);
    const files = filesOf(dataset);
    const kept = { ...options, dataset: at('d.zip'), cacheDir: at('cache'), epochs: 1 };
    writeTo(kept.dataset, zipOf(files));
    const first = await distill(kept);
    expect((await distill(kept)).store).toBe(first.store);
    writeTo(kept.dataset, zipOf(files, { comment: 'changed' }));
    expect((await distill(kept)).store).not.toBe(first.store);
  });

  test('skips a damaged entry where it may', async () => {
    const { dataset, ...options } = await smallRun(root);
    const files = filesOf(dataset).map((file) =>
      file.name === 'train/ants/0.png' ? { ...file, zip: { crc: 5 } } : file,
    );
    const damaged = writeTo(at('d.zip'), zipOf(files));
    const run = { ...options, dataset: damaged, epochs: 1 };
    expect(await refusalOf(distill(run))).toMatchObject({
      code: 'ERR_BAD_IMAGE',
      message: `The picture ${damaged}/train/ants/0.png is not read: it is damaged in its archive: its checksum is not the archive's.`,
    });
    const { skipped } = await distill({ ...run, onBadImage: 'skip' }).on('warning', () => {});
    expect(skipped).toEqual([`${damaged}/train/ants/0.png`]);
  });
});
