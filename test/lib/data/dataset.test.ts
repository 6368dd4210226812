import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { scanDataset, scanFolder } from '../../../lib/data/dataset.js';
import { scanImages } from '../../../lib/data/images.js';
import { statSamples } from '../../../lib/data/samples.js';
import { python, runPython } from '../../helpers/python.js';

const temporary = mkdtempSync(path.join(tmpdir(), 'distill-dataset-'));
afterAll(() => rmSync(temporary, { recursive: true }));

let root: string;
let count = 0;
beforeEach(() => {
  root = path.join(temporary, String(count++));
  mkdirSync(root);
});

function files(...names: string[]): void {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), 'x');
  }
}

/** Paths from the root on, with the class. */
async function scan(): Promise<[string, number][]> {
  const { samples } = await scanFolder(root);
  return samples.map((sample) => [path.relative(root, sample.path), sample.label]);
}

describe('scanFolder', () => {
  test('takes sorted folders as classes and their pictures in order', async () => {
    files('bees/2.jpg', 'bees/10.jpg', 'ants/x.png', 'ants/a.jpeg');
    const found = await scanFolder(root);
    expect(found.root).toBe(root);
    expect(found.classes).toEqual(['ants', 'bees']);
    expect(found.samples).toEqual([
      { path: path.join(root, 'ants/a.jpeg'), label: 0 },
      { path: path.join(root, 'ants/x.png'), label: 0 },
      { path: path.join(root, 'bees/10.jpg'), label: 1 },
      { path: path.join(root, 'bees/2.jpg'), label: 1 },
    ]);
  });

  test('sorts by code point, not by locale or UTF-16 unit', async () => {
    const classes = ['Z', '_', 'a', 'z', 'é', '\uff5e', '\u{10000}'];
    files(...classes.map((name) => `${name}/1.jpg`));
    expect((await scanFolder(root)).classes).toEqual(classes);
  });

  test('takes the extensions of ImageFolder in any case, and no others', async () => {
    const taken = [
      'a.jpg',
      'b.JPEG',
      'c.Png',
      'd.ppm',
      'e.bmp',
      'f.pgm',
      'g.tif',
      'h.TIFF',
      'i.webp',
    ];
    files(
      ...[...taken, 'j.gif', 'k.txt', 'jpg', 'l.jpg.txt', 'm.pbm'].map((name) => `class/${name}`),
    );
    expect(await scan()).toEqual(taken.map((name) => [path.join('class', name), 0]));
  });

  test('takes folders in a class in the order of their whole paths', async () => {
    files('c/b/1.jpg', 'c/a/z.jpg', 'c/a/in/1.jpg', 'c/a-b/1.jpg', 'c/z.jpg', 'c/x.jpg/inside.jpg');
    const inOrder = ['z.jpg', 'a/z.jpg', 'a-b/1.jpg', 'a/in/1.jpg', 'b/1.jpg', 'x.jpg/inside.jpg'];
    expect(await scan()).toEqual(inOrder.map((name) => [path.join('c', name), 0]));
  });

  test('ignores files beside the class folders', async () => {
    files('class/a.jpg', 'loose.jpg');
    expect(await scan()).toEqual([[path.join('class', 'a.jpg'), 0]]);
  });

  test('follows links to files and folders, and not in circles', async () => {
    files('ants/a.jpg');
    mkdirSync(path.join(root, 'ants/deep'));
    symlinkSync('../a.jpg', path.join(root, 'ants/deep/link.jpg'));
    symlinkSync('..', path.join(root, 'ants/deep/back'));
    symlinkSync('../..', path.join(root, 'ants/deep/farther-back'));
    symlinkSync('nowhere.jpg', path.join(root, 'ants/lost.jpg'));
    symlinkSync('ants', path.join(root, 'bees'));
    const names = ['a.jpg', 'lost.jpg', 'deep/link.jpg'];
    expect(await scan()).toEqual([
      ...names.map((name) => [`ants/${name}`, 0]),
      ...names.map((name) => [`bees/${name}`, 1]),
    ]);
  });

  test.skipIf(python === null)('finds what torchvision finds, in its order', async () => {
    files('Z/1.jpg', 'a/1.jpg', 'é/1.jpg', '\uff5e/1.jpg', '\u{10000}/1.jpg', 'loose.jpg');
    files('a/b/1.jpg', 'a/b-c/1.PNG', 'a/b/c/1.Webp', 'a/\uff5e.jpg', 'a/\u{10000}.jpg', 'a/x.gif');
    files('a/x.jpg/y.bmp', 'a/B.jpg', 'a/b.jpg', 'a/10.jpg', 'a/9.jpg');
    mkdirSync(path.join(root, 'linked'));
    symlinkSync('../a/b', path.join(root, 'linked/folder'));
    symlinkSync('../a/1.jpg', path.join(root, 'linked/file.jpg'));
    symlinkSync('nowhere', path.join(root, 'linked/lost.jpg'));
    const found = await scanFolder(root);
    const code = [
      'import decode, json, sys',
      'from torchvision.datasets import ImageFolder',
      'found = ImageFolder(json.load(sys.stdin))',
      'samples = [{"path": path, "label": label} for path, label in found.samples]',
      'print(json.dumps({"classes": found.classes, "samples": samples}))',
    ].join('\n');
    const { classes, samples } = found;
    expect({ classes, samples }).toEqual(runPython(['-c', code], root));
    expect(samples.length).toBeGreaterThan(15);
  });

  test.each([
    ['nothing', 'gone', 'there is nothing'],
    ['a file', 'class/a.jpg', 'that is a file'],
  ])('refuses %s', async (_, name, reason) => {
    files('class/a.jpg');
    const place = path.join(root, name);
    await expect(scanFolder(place)).rejects.toMatchObject({
      name: 'DistillError',
      code: 'ERR_DATASET_NOT_FOUND',
      message: `Expected a folder at ${place}, but ${reason}.`,
    });
  });

  test('refuses a folder without class folders, and says if it has pictures', async () => {
    await expect(scanFolder(root)).rejects.toMatchObject({
      code: 'ERR_DATASET_NO_CLASSES',
      message: `Expected one folder per class in ${root}, but it has none.`,
    });
    files('a.jpg', 'b.png', 'notes.txt');
    await expect(scanFolder(root)).rejects.toMatchObject({
      code: 'ERR_DATASET_NO_CLASSES',
      message: expect.stringContaining('2 pictures lie directly in it'),
    });
  });

  test('names the classes without a picture', async () => {
    files('ants/a.jpg', 'bees/readme.txt', 'wasps/deep/a.gif');
    await expect(scanFolder(root)).rejects.toMatchObject({
      code: 'ERR_DATASET_EMPTY_CLASS',
      message: expect.stringContaining('"bees", "wasps" have none'),
    });
  });
});

describe('scanDataset', () => {
  const scanned = () =>
    scanDataset({ train: path.join(root, 'train'), val: path.join(root, 'val') });

  test('scans both folders', async () => {
    files('train/b/1.jpg', 'train/a/1.jpg', 'val/a/2.jpg', 'val/b/3.jpg');
    const { classes, train, val } = await scanned();
    expect(classes).toEqual(['a', 'b']);
    expect(train.samples.map((sample) => path.relative(root, sample.path))).toEqual([
      'train/a/1.jpg',
      'train/b/1.jpg',
    ]);
    expect(val.samples.map((sample) => sample.label)).toEqual([0, 1]);
  });

  test.each([
    ['only in train', ['train/c/1.jpg'], ['train has "c"'], 'val has'],
    ['only in val', ['val/c/1.jpg'], ['val has "c"'], 'train has'],
    ['in either', ['train/c/1.jpg', 'val/d/1.jpg'], ['train has "c"', 'val has "d"'], 'none'],
  ])('names classes that are %s', async (_, more, said, unsaid) => {
    files('train/a/1.jpg', 'val/a/1.jpg', ...more);
    const error = await scanned().then(
      () => expect.unreachable(),
      (error: unknown) => error as Error,
    );
    expect(error).toMatchObject({ code: 'ERR_DATASET_CLASS_MISMATCH' });
    for (const part of said) expect(error.message).toContain(part);
    expect(error.message).not.toContain(unsaid);
  });

  test('says which folder is missing', async () => {
    files('train/a/1.jpg');
    await expect(scanned()).rejects.toMatchObject({
      code: 'ERR_DATASET_NOT_FOUND',
      message: expect.stringContaining(path.join(root, 'val')),
    });
  });
});

describe('scanImages', () => {
  test('takes the pictures below a folder, sorted', async () => {
    files('b.jpg', 'a.png', 'deep/c.jpg', 'notes.txt', 'x.jpg/d.jpg');
    const found = await scanImages(root);
    expect(found.ignored).toEqual([path.join(root, 'notes.txt')]);
    expect(found.files.map((file) => path.relative(root, file as string))).toEqual([
      'a.png',
      'b.jpg',
      'deep/c.jpg',
      'x.jpg/d.jpg',
    ]);
  });

  test('takes a named file whatever its name ends in, and keeps the order of several inputs', async () => {
    files('z.dat', 'folder/b.jpg', 'folder/a.jpg');
    const inputs = [path.join(root, 'z.dat'), path.join(root, 'folder')];
    const found = await scanImages(inputs);
    expect(found.files.map((file) => path.relative(root, file as string))).toEqual([
      'z.dat',
      'folder/a.jpg',
      'folder/b.jpg',
    ]);
  });

  test('refuses what is not there, and a folder without a picture', async () => {
    files('folder/notes.txt', 'a.jpg');
    const folder = path.join(root, 'folder');
    const nothing = path.join(root, 'nothing');
    await expect(scanImages([path.join(root, 'a.jpg'), nothing])).rejects.toMatchObject({
      code: 'ERR_IMAGES_NOT_FOUND',
      message: `Expected a picture or a folder of pictures at ${nothing}, but there is nothing.`,
    });
    await expect(scanImages(folder)).rejects.toMatchObject({
      code: 'ERR_IMAGES_NOT_FOUND',
      message: expect.stringContaining(`in ${folder}, but it has none`),
    });
  });
});

test('statSamples gives relative paths, sizes and times in the order of the samples', async () => {
  const names = Array.from({ length: 150 }, (_, i) => `c/in/${String(i).padStart(3, '0')}.jpg`);
  files(...names);
  for (const [i, name] of names.entries()) {
    writeFileSync(path.join(root, name), 'x'.repeat(i));
    utimesSync(path.join(root, name), 1_600_000_000 + i, 1_600_000_000 + i);
  }
  symlinkSync('nowhere', path.join(root, 'c/in/lost.jpg'));
  const stats = await statSamples(await scanFolder(root));
  expect(stats).toEqual([
    ...names.map((name, i) => ({
      relativePath: name,
      size: i,
      mtimeMs: (1_600_000_000 + i) * 1000,
    })),
    { relativePath: 'c/in/lost.jpg', size: 0, mtimeMs: 0 },
  ]);
});
