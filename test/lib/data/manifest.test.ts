import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { datasetFolders } from '../../../lib/checks.js';
import { scanDataset } from '../../../lib/data/dataset.js';
import { surveyManifest } from '../../../lib/data/manifest.js';
import { relativePath } from '../../../lib/data/samples.js';
import {
  type DistillOptions,
  datasetStats,
  distill,
  doctor,
  teacherLogits,
} from '../../../lib/index.js';
import { smallRun, temporaryFolder } from '../../helpers/dataset.js';
import { numbersOf, refusalOf } from '../../helpers/results.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
  mkdirSync(root);
});

/** Writes a file below the root; returns its path. */
function write(name: string, text: string | Uint8Array = 'x'): string {
  const file = path.join(root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}
const pictures = (...names: string[]) => names.map((name) => write(name));

/** A survey as paths from the root, with the names of their classes. */
async function survey(file: string) {
  const found = await surveyManifest(file);
  const named = (split: typeof found.train) =>
    split?.samples.map((sample) => [relativePath(split, sample), split.classes[sample.label]]);
  return {
    train: named(found.train),
    val: named(found.val),
    unsplit: named(found.unsplit),
    classes: (found.train ?? found.unsplit)?.classes,
  };
}

describe('a manifest', () => {
  test('has pictures in the order of a folder, whatever that of its lines', async () => {
    pictures('b/2.jpg', 'b/10.jpg', 'a/x.jpg', 'a/in/1.jpg', 'a/x.jpg.png', 'v.jpg', 'w.jpg');
    const lines = ['b/2.jpg,bees', 'a/in/1.jpg,ants', 'b/10.jpg,bees', 'a/x.jpg,ants'];
    const file = write('list.csv', `path,label\n${lines.join('\n')}\n`);
    expect(await survey(file)).toEqual({
      train: undefined,
      val: undefined,
      unsplit: [
        ['a/x.jpg', 'ants'],
        ['a/in/1.jpg', 'ants'],
        ['b/10.jpg', 'bees'],
        ['b/2.jpg', 'bees'],
      ],
      classes: ['ants', 'bees'],
    });
  });

  test('has columns in any order, further ones, quotes, a mark of byte order and lines of Windows', async () => {
    const [odd] = pictures('it, says "x"\n.jpg', 'é.jpg', 'v.jpg');
    expect(odd).toContain('\n');
    const lines = [
      '\ufeffsplit,width,label,path',
      'train,5,"ants, red","it, says ""x""\n.jpg"',
      'training,,bees,é.jpg',
      '',
      'Validation,,bees,v.jpg',
      'test,,wasps,none.jpg',
    ];
    const file = write('list.csv', lines.join('\r\n'));
    expect(await survey(file)).toEqual({
      train: [
        ['it, says "x"\n.jpg', 'ants, red'],
        ['é.jpg', 'bees'],
      ],
      val: [['v.jpg', 'bees']],
      unsplit: undefined,
      classes: ['ants, red', 'bees'],
    });
  });

  test('is a JSON object a line, too', async () => {
    pictures('1.jpg', '2.jpg', '3.jpg', '4.jpg');
    const lines = [
      { path: '1.jpg', label: 10, split: 'train', width: 3 },
      { path: './2.jpg', label: 9, split: 'train' },
      { label: '9', split: 'valid', path: '3.jpg' },
      { path: '4.jpg', label: null, split: 'train' },
    ];
    const text = lines.map((line) => JSON.stringify(line)).join('\n');
    expect(await survey(write('list.jsonl', text))).toEqual({
      train: [
        ['2.jpg', '9'],
        ['1.jpg', '10'],
        ['4.jpg', undefined],
      ],
      val: [['3.jpg', '9']],
      unsplit: undefined,
      classes: ['9', '10'],
    });
  });

  test('sorts labels as folders are sorted, unless all are whole numbers', async () => {
    pictures('1.jpg', '2.jpg', '3.jpg');
    const classesOf = async (...labels: string[]) => {
      const lines = labels.map((label, i) => `${i + 1}.jpg,${label}`).join('\n');
      return (await survey(write('list.csv', `path,label\n${lines}`))).classes;
    };
    expect(await classesOf('10', '9', '0')).toEqual(['0', '9', '10']);
    expect(await classesOf('10', '9', 'x')).toEqual(['10', '9', 'x']);
    expect(await classesOf('010', '9', '1')).toEqual(['010', '1', '9']);
    expect(await classesOf('é', 'z', 'Z')).toEqual(['Z', 'z', 'é']);
  });

  test('takes paths out of its folder and absolute ones, and names those in train/ from there', async () => {
    const [outside] = pictures('out/1.jpg', 'in/2.jpg', 'in/train/ants/3.jpg', 'in/val/ants/4.jpg');
    const lines = [`${outside},ants,train`, '../in/2.jpg,ants,train', 'val/ants/4.jpg,ants,val'];
    const file = write('in/list.csv', `path,label,split\n${lines.join('\n')}`);
    expect(await survey(file)).toMatchObject({
      train: [
        ['2.jpg', 'ants'],
        ['../out/1.jpg', 'ants'],
      ],
      val: [['ants/4.jpg', 'ants']],
    });
  });
});

describe('a manifest is refused', () => {
  const csv = (...lines: string[]) => ['list.csv', ['path,label,split', ...lines].join('\n')];
  const jsonl = (...lines: string[]) => ['list.jsonl', lines.join('\n')];
  const good = 'a.jpg,ants,train';

  test.each<[string, (string | Buffer)[], string]>([
    ['that is empty', ['list.csv', ''], 'it is empty; its first line is to name the columns'],
    ['without a header', ['list.csv', 'a.jpg,ants\n'], "line 1: there is no column 'path' among"],
    ['without labels', ['list.csv', 'path,class\na.jpg,x'], "line 1: there is no column 'label'"],
    ['with a column twice', ['list.csv', 'path,label,Path\n'], "are several columns 'path'"],
    ['without a picture', csv(), 'it lists no picture to train with'],
    ['of test pictures alone', csv('a.jpg,ants,test'), 'it lists no picture to train with'],
    ['with too few values', csv(good, 'b.jpg,ants'), 'line 3: expected 3 values'],
    ['with too many values', csv(good, 'b.jpg,ants,train,x'), 'line 3: expected 3 values'],
    ['with a quote that does not end', csv('"a.jpg,ants,train'), 'Quote Not Closed'],
    ['with a quote in a value', csv(good, 'b"c.jpg,ants,train'), 'line 3: Invalid Opening Quote'],
    ['with text behind a quote', csv('"a.jpg"x,ants,train'), 'line 2: Invalid Closing Quote'],
    ['with an endless line', csv(`${'x'.repeat(70_000)},a,train`), 'more than 65536 characters'],
    ['with an endless quote', csv(`"${'x\n'.repeat(70_000)}",a,train`), 'more than 65536'],
    [
      'that is not UTF-8',
      ['list.csv', Buffer.from('path,label\n\xe9.jpg,a', 'latin1')],
      'not UTF-8',
    ],
    [
      'cut within a character',
      ['list.csv', Buffer.from('path,label\na,\xc3', 'latin1')],
      'not UTF',
    ],
    ['with an empty path', csv(good, ',ants,train'), 'line 3: its path is empty'],
    ['with a NUL', csv('a\0.jpg,ants,train'), "line 2: its path 'a\\x00.jpg' cannot be a file's"],
    ['with a URL', csv('https://x/a.jpg,ants,train'), 'line 2: its path'],
    [
      'with a blank before a label',
      csv('a.jpg, ants,train'),
      "line 2: its label ' ants' cannot be",
    ],
    ['with another split', csv('a.jpg,ants,holdout'), "line 2: its split 'holdout' is none of"],
    ['with a line without a split', csv(good, 'b.jpg,ants,'), 'line 3: it has no split'],
    ['without a label to validate with', csv(good, 'b.jpg,,val'), 'line 3: its label is empty'],
    ['with a picture twice', csv(good, 'b.jpg,ants,val', good), "'a.jpg' is in line 2 already"],
    ['with two labels of one', csv(good, './a.jpg,bees,train'), "line 3: './a.jpg' is in line 2"],
    ['with pictures that are not there', csv(good, 'c.jpg,ants,val'), "c.jpg' (line 3); paths"],
    [
      'with a line that is no JSON',
      jsonl('{"path": "a.jpg", "label": "x"}', '{'),
      'line 2: it is no',
    ],
    ['with a list in it', jsonl('["a.jpg", "ants"]'), 'line 1: expected an object such as'],
    ['with null in it', jsonl('null'), 'line 1: expected an object such as'],
    ['with a path that is none', jsonl('{"path": 5, "label": "x"}'), 'as "path", but it is 5'],
    ['without a path', jsonl('{"label": "x"}'), 'as "path", but it is not there'],
    ['with half a label', jsonl('{"path": "a.jpg", "label": 0.5}'), 'as "label", but it is 0.5'],
    ['with several labels', jsonl('{"path": "a.jpg", "label": ["x"]}'), 'it is ["x"]'],
    ['with a number as split', jsonl('{"path": "a.jpg", "split": 1}'), 'as "split", but it is 1'],
    [
      'with an endless object',
      jsonl(`{"path": "${'x'.repeat(2 ** 20)}`),
      'line 1: it has more than',
    ],
  ])('%s', async (_, [name, text], what) => {
    pictures('a.jpg', 'b.jpg');
    const refusal = await refusalOf(surveyManifest(write(name as string, text)));
    expect(refusal.code).toBe('ERR_MANIFEST');
    expect(refusal.message).toContain(what);
    expect(refusal.message).toContain(path.join(root, name as string));
  });

  test('that is not there, or a folder', async () => {
    mkdirSync(path.join(root, 'folder.csv'));
    for (const [name, what] of [
      ['none.csv', 'it does not exist'],
      ['folder.csv', 'it is not a file but a folder'],
    ] as const) {
      const refusal = await refusalOf(surveyManifest(path.join(root, name)));
      expect(refusal).toMatchObject({ code: 'ERR_MANIFEST' });
      expect(refusal.message).toContain(what);
    }
  });

  test('naming five of the pictures that are not there', async () => {
    const lines = Array.from({ length: 100 }, (_, i) => `photos/${i}.jpg,ants`);
    pictures('photos/50.jpg');
    const file = write('list.csv', ['path,label', ...lines].join('\n'));
    const { message } = await refusalOf(surveyManifest(file));
    expect(message).toContain(`photos/0.jpg' (line 2), '${path.join(root, 'photos/1.jpg')}'`);
    expect(message).toContain('and 94 more; paths');
  });

  test('without pictures to validate with, of a class or at all', async () => {
    pictures('a.jpg', 'b.jpg', 'c.jpg');
    const scan = (file: string) => scanDataset(datasetFolders({ dataset: file, splitSeed: 0 }));
    const lines = ['a.jpg,ants,train', 'b.jpg,bees,train', 'c.jpg,ants,val'];
    const lacking = write('1.csv', ['path,label,split', ...lines].join('\n'));
    expect(await refusalOf(scan(lacking))).toMatchObject({ code: 'ERR_DATASET_EMPTY_CLASS' });
    const unsplit = write('2.csv', 'path,label\na.jpg,ants\nb.jpg,bees');
    expect(await refusalOf(scan(unsplit))).toMatchObject({
      code: 'ERR_DATASET_NOT_FOUND',
      message: `Expected pictures to validate with in '${unsplit}', but none is set aside for that; set \`valSplit\`, such as to 0.2.`,
    });
    const both = { dataset: lacking, valSplit: 0.5, splitSeed: 0 };
    expect(await refusalOf(scanDataset(datasetFolders(both)))).toMatchObject({
      code: 'ERR_OPTION',
      message: `'${lacking}' has pictures to validate with; leave \`valSplit\` out.`,
    });
  });
});

describe('a run from a manifest', () => {
  /** Trains a student; returns the numbers of its epochs. */
  async function train(options: DistillOptions) {
    const epochs: unknown[] = [];
    await distill(options).on('epoch', (report) => epochs.push(numbersOf(report)));
    return epochs;
  }

  test('has the numbers of the folder, by the teacher and by its logits, in any order of the lines', async () => {
    const options = await smallRun(root);
    const { teacher, dataset, mean, std, imageSize, device, threads } = options;
    const {
      classes,
      train: trained,
      val,
    } = await scanDataset(datasetFolders({ dataset, splitSeed: 0 }));
    const rows = [...trained.samples, ...val.samples].map((sample) => ({
      path: path.relative(dataset, sample.path),
      label: classes[sample.label],
      split: path.relative(dataset, sample.path).split('/')[0],
    }));
    rows.reverse();
    const manifest = path.join(dataset, 'list.jsonl');
    writeFileSync(manifest, rows.map((row) => JSON.stringify(row)).join('\n'));

    const epochs = await train(options);
    expect(await train({ ...options, dataset: manifest })).toEqual(epochs);
    const output = path.join(root, 'logits.safetensors');
    const asked = { teacher, mean, std, imageSize, device, threads, output };
    await teacherLogits({ ...asked, dataset: manifest });
    const { teacher: _, ...taught } = options;
    expect(await train({ ...taught, dataset, teacherLogits: output })).toEqual(epochs);
    // As `train` and as `val`, it gives the pictures of that half.
    const { dataset: __, ...rest } = options;
    expect(await train({ ...rest, train: manifest, val: manifest })).toEqual(epochs);

    const stats = await datasetStats(manifest, { imageSize: 32 });
    expect(stats).toEqual(await datasetStats(dataset, { imageSize: 32 }));
    const { findings } = await doctor({ ...options, dataset: manifest, student: undefined });
    expect(
      findings.filter(({ topic, status }) => topic === 'dataset' && status === 'problem'),
    ).toEqual([]);
    expect(findings.find(({ check }) => check === 'counts')?.message).toBe(
      '11 training pictures and 7 validation pictures of 2 classes.',
    );
  });

  test('splits one that does not say the halves, as the folder', async () => {
    pictures(...Array.from({ length: 20 }, (_, i) => `${i % 2 ? 'ants' : 'bees'}/${i}.jpg`));
    const lines = Array.from({ length: 20 }, (_, i) =>
      i % 2 ? `ants/${i}.jpg,ants` : `bees/${i}.jpg,bees`,
    );
    const file = write('list.csv', ['path,label', ...lines].join('\n'));
    const scan = (dataset: string) =>
      scanDataset(datasetFolders({ dataset, valSplit: 0.3, splitSeed: 3 }));
    const [listed, found] = [await scan(file), await scan(root)];
    expect(listed.val.samples).toEqual(found.val.samples);
    expect(listed.train.samples).toEqual(found.train.samples);
  });
});
