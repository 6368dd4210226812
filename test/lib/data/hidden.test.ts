import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { scanFolder } from '../../../lib/data/dataset.js';
import { isHidden } from '../../../lib/data/hidden.js';
import { scanImages } from '../../../lib/data/images.js';
import { type DistillWarning, datasetStats, distill, doctor, predict } from '../../../lib/index.js';
import { smallRun, temporaryFolder, writePicture, writeStudent } from '../../helpers/dataset.js';
import { python, runPython } from '../../helpers/python.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
});

function files(...names: string[]): void {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), 'x');
  }
}

/** Hidden files that torchvision takes for pictures, and folders that it takes for classes. */
const LIKE_PICTURES = ['ants/._1.jpg', '.ipynb_checkpoints/1.jpg', '__MACOSX/ants/._1.jpg'];
const LITTER = ['.DS_Store', 'ants/.DS_Store', 'ants/Thumbs.db', 'bees/desktop.ini'];

test.each([
  ...['.DS_Store', '._x.jpg', '__MACOSX', '.ipynb_checkpoints', 'Thumbs.db', 'THUMBS.DB'],
  ...['desktop.ini', '@eaDir', '$RECYCLE.BIN', 'System Volume Information', '.git', '.x.png'],
])('%s is hidden', (name) => expect(isHidden(name)).toBe(true));

test.each(['x.jpg', '_x.jpg', 'x.', 'MACOSX', 'thumbs', '…', 'a.DS_Store'])('%s is not', (name) =>
  expect(isHidden(name)).toBe(false),
);

describe('a folder of classes', () => {
  test('has neither classes nor pictures of hidden names', async () => {
    files('ants/1.jpg', 'ants/in/.x/2.jpg', 'bees/2.jpg', ...LIKE_PICTURES, ...LITTER);
    const { classes, samples, ignored, hidden } = await scanFolder(root);
    expect(classes).toEqual(['ants', 'bees']);
    expect(samples.map((sample) => path.relative(root, sample.path))).toEqual([
      'ants/1.jpg',
      'bees/2.jpg',
    ]);
    expect(ignored).toEqual([]);
    expect(hidden.map((file) => path.relative(root, file.path)).sort()).toEqual(
      [...LITTER, 'ants/._1.jpg', 'ants/in/.x', '.ipynb_checkpoints', '__MACOSX'].sort(),
    );
  });

  test.skipIf(python === null)('has them for torchvision, and else the same', async () => {
    files('ants/1.jpg', 'ants/in/.x/2.jpg', 'bees/2.jpg', ...LIKE_PICTURES, ...LITTER);
    const code = [
      'import decode, json, sys',
      'from torchvision.datasets import ImageFolder',
      'found = ImageFolder(json.load(sys.stdin))',
      'print(json.dumps({"classes": found.classes, "paths": [path for path, _ in found.samples]}))',
    ].join('\n');
    const found = runPython(['-c', code], root) as { classes: string[]; paths: string[] };
    expect(found.classes).toEqual(['.ipynb_checkpoints', '__MACOSX', 'ants', 'bees']);
    const { samples } = await scanFolder(root);
    const isShown = (file: string) => !path.relative(root, file).split('/').some(isHidden);
    expect(samples.map((sample) => sample.path)).toEqual(found.paths.filter(isShown));
    expect(found.paths.length).toBe(samples.length + 4);
  });
});

test('pictures are not searched for in hidden folders, but taken where they are named', async () => {
  files('a.jpg', '._a.jpg', '.in/b.jpg');
  expect(await scanImages(root)).toMatchObject({ files: [path.join(root, 'a.jpg')] });
  const named = [path.join(root, '._a.jpg'), path.join(root, '.in')];
  expect((await scanImages(named)).files).toEqual([named[0], path.join(root, '.in/b.jpg')]);
});

describe('is said once, with a count', () => {
  const HIDDEN = /^4 hidden files and folders \(such as (._1.jpg|.ipynb_checkpoints); the first is/;

  async function run(...hidden: string[]) {
    const options = await smallRun(root);
    const found: { dataset?: object; warnings: DistillWarning[] } = { warnings: [] };
    for (const name of hidden) {
      mkdirSync(path.dirname(path.join(options.dataset, name)), { recursive: true });
      writeFileSync(path.join(options.dataset, name), 'x');
    }
    const training = distill({ ...options, epochs: 1 })
      .on('dataset', (dataset) => (found.dataset = dataset))
      .on('warning', (warning) => found.warnings.push(warning));
    await training;
    return found;
  }

  test('by a run', async () => {
    const { dataset, warnings } = await run(
      ...['train/.DS_Store', 'train/ants/._1.png', 'train/.ipynb_checkpoints/0.png'],
      'val/ants/Thumbs.db',
    );
    expect(dataset).toEqual({ classes: ['ants', 'bees'], train: 11, val: 7, hidden: 4 });
    expect(warnings.map(({ code }) => code)).toContain('WARN_HIDDEN_FILES');
    const of = warnings.filter(({ code }) => code === 'WARN_HIDDEN_FILES');
    expect(of).toEqual([expect.objectContaining({ message: expect.stringMatching(HIDDEN) })]);
  });

  test('without a warning where it is litter alone', async () => {
    const { dataset, warnings } = await run('train/.DS_Store');
    expect(dataset).toMatchObject({ hidden: 1 });
    expect(warnings.filter(({ code }) => code === 'WARN_HIDDEN_FILES')).toEqual([]);
  });

  test('by the doctor, by stats and by predict', async () => {
    for (const name of ['ants/0.png', 'bees/0.png', 'bees/._0.png']) {
      await writePicture(path.join(root, 'train', name), 1);
      await writePicture(path.join(root, 'val', name), 2);
    }
    files('train/.DS_Store');
    const { findings } = await doctor({ dataset: root });
    expect(findings.filter(({ check }) => check === 'hidden')).toEqual([
      expect.objectContaining({ status: 'warning', message: expect.stringMatching(/^2 hidden/) }),
      expect.objectContaining({ status: 'warning', message: expect.stringMatching(/^1 hidden/) }),
    ]);
    const warnings: DistillWarning[] = [];
    const onWarning = (warning: DistillWarning) => warnings.push(warning);
    expect((await datasetStats(root, { imageSize: 32, onWarning })).images).toBe(2);
    const student = await writeStudent(path.join(root, 's.pth'));
    const mean = [0, 0, 0] as const;
    const std = [1, 1, 1] as const;
    const labels = ['ants', 'bees'];
    const images = path.join(root, 'val');
    const predicted = await predict({
      student,
      images,
      mean,
      std,
      labels,
      imageSize: 32,
      onWarning,
    });
    expect(predicted.length).toBe(2);
    expect(warnings.map(({ code }) => code)).toEqual(['WARN_HIDDEN_FILES', 'WARN_HIDDEN_FILES']);
  });
});
