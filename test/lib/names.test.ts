import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { scanFolder } from '../../lib/data/dataset.js';
import {
  type DistillWarning,
  datasetStats,
  distill,
  doctor,
  exportOnnx,
  inspect,
  type Prediction,
  predict,
  teach,
  teacherLogits,
} from '../../lib/index.js';
import { isName, isUnicode, nameOf, systemPath } from '../../lib/names.js';
import { printable } from '../../lib/words.js';
import { runCommand } from '../helpers/child.js';
import { smallRun, temporaryFolder } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';
import { refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
const at = (...names: string[]) => path.join(folder, ...names);

/** `café.png` in Latin-1, and the name that it is taken for where its bytes are read as UTF-8. */
const LATIN = Buffer.from('caf\xe9.png', 'latin1');
const TAKEN_FOR = 'caf\ufffd.png';
const NAME = 'caf\udce9.png';

const under = (root: string, name: Buffer) => Buffer.concat([Buffer.from(`${root}/`), name]);

/** Some file systems have names in Unicode alone; there is nothing to be wrong with them. */
const canBeNamed = (() => {
  try {
    writeFileSync(under(folder, LATIN), '');
    return true;
  } catch {
    return false;
  }
})();
if (!canBeNamed) console.warn('Skipping names that are not UTF-8: this file system has none.');

/** A grey picture in a folder, which is made. */
function grey(root: string, name: string | Buffer, value: number): void {
  mkdirSync(root, { recursive: true });
  const header = Buffer.from('P5\n32 32\n255\n');
  // The extension does not matter: the decoder reads the contents.
  writeFileSync(under(root, Buffer.from(name)), Buffer.concat([header, Buffer.alloc(1024, value)]));
}

describe('a name of bytes', () => {
  test.each<[number[], string]>([
    [[...Buffer.from('é 蜜 🐝')], 'é 蜜 🐝'],
    [[0x63, 0xe9, 0x2e], 'c\udce9.'],
    [[0xc2, 0xec, 0xd2, 0xcf], '\udcc2\udcec\udcd2\udccf'], // GBK
    [[0xe8, 0x9c], '\udce8\udc9c'], // half a character
    [[0xed, 0xb3, 0xa9], '\udced\udcb3\udca9'], // a surrogate is none, either
    [[0xf0, 0x9f, 0x90, 0x9d, 0xff, 0x61], '🐝\udcffa'],
  ])('%j is %j, and back', (bytes, name) => {
    expect(nameOf(Buffer.from(bytes))).toBe(name);
    expect([...Buffer.from(systemPath(name))]).toEqual(bytes);
    expect(isName(name)).toBe(true);
  });

  test('is shown as its bytes', () => {
    expect(printable(NAME)).toBe('caf\\xe9.png');
    expect([isUnicode(NAME), isUnicode('🐝'), isName('\ud83d')]).toEqual([false, true, false]);
  });
});

describe.runIf(canBeNamed)('pictures whose names are not UTF-8', () => {
  let base: Awaited<ReturnType<typeof smallRun>>;

  beforeAll(async () => {
    base = await smallRun(folder);
    await distill(base);
    grey(`${base.dataset}/train/ants`, LATIN, 60);
    grey(`${base.dataset}/train/ants`, TAKEN_FOR, 160);
    grey(at('collide'), LATIN, 0);
    grey(at('collide'), TAKEN_FOR, 255);
  });

  async function answers(images: string): Promise<Prediction[]> {
    const found: Prediction[] = [];
    for await (const one of predict({ student: base.student, images })) found.push(one);
    return found;
  }

  test.skipIf(python === null)('are found as torchvision finds them, in its order', async () => {
    const root = at('order');
    for (const name of [
      'a.png',
      '\xc3\xa9.png',
      '\xe9.png',
      '\xe9\x80\x80.png',
      '\xf0\x9f\x90\x9d.png',
      '\xef\xbd\x9e.png',
      '\xef\xbf\xbd.png',
      '\xff.png',
    ]) {
      grey(`${root}/class`, Buffer.from(name, 'latin1'), 1);
    }
    mkdirSync(under(`${root}/class`, Buffer.from([0xe9])));
    execFileSync('bash', ['-c', `cp "$0"/*.png "$0"/$'\\xe9'/`, `${root}/class`]);
    const code = [
      'import decode, json, sys',
      'from torchvision.datasets import ImageFolder',
      'print(json.dumps([path for path, _ in ImageFolder(json.load(sys.stdin)).samples]))',
    ].join('\n');
    const { samples } = await scanFolder(root);
    expect(samples.map((sample) => sample.path)).toEqual(runPython(['-c', code], root));
    expect(samples).toHaveLength(16);
  });

  test('are answered for, each for itself', async () => {
    const [first, second, ...more] = await answers(at('collide'));
    expect([first?.path, second?.path]).toEqual([at('collide', NAME), at('collide', TAKEN_FOR)]);
    expect(more).toEqual([]);
    expect(first?.probability).not.toBe(second?.probability);
    // The path of a prediction is one that is taken.
    expect(await answers(first?.path as string)).toEqual([first]);
  });

  test('are trained on', async () => {
    const warnings: DistillWarning[] = [];
    for (const kept of [undefined, at('kept'), at('kept')]) {
      const run = distill({ ...base, student: at('s.pth'), cacheDir: kept });
      const result = await run.on('warning', (warning) => warnings.push(warning));
      expect(result).toMatchObject({ images: { train: 13, val: 7 }, skipped: [] });
    }
    expect(warnings).toEqual([]);
    const { teacher, student, ...options } = base;
    const taught = await teach({ ...options, teacher: at('taught.pth'), epochs: 1, batchSize: 4 });
    expect(taught.images.train).toBe(13);
  });

  test('are measured and examined', async () => {
    const { mean } = await datasetStats(at('collide'), { imageSize: 32 });
    expect(mean[0]).toBeCloseTo(0.5, 9);
    const { findings } = await doctor({ dataset: base.dataset, imageSize: 32 });
    const find = (check: string) => findings.find((finding) => finding.check === check)?.message;
    expect(find('pictures')).toBe('All 20 pictures decode.');
    expect(find('duplicates')).toBe('No file is in both train and val.');
  });

  test('that do not decode are named by their bytes', async () => {
    const root = at('bad');
    mkdirSync(root);
    writeFileSync(under(root, LATIN), 'x');
    const { code, message } = await refusalOf(answers(root));
    expect({ code, message }).toEqual({
      code: 'ERR_BAD_IMAGE',
      message: expect.stringContaining(`${root}/caf\\xe9.png is not read: it `),
    });
  });

  test('cannot be in a file of logits, whose names are UTF-8', async () => {
    const { teacher, dataset, mean, std, imageSize } = base;
    const options = { teacher, dataset, mean, std, imageSize, output: at('logits.safetensors') };
    expect(await refusalOf(teacherLogits(options))).toMatchObject({
      code: 'ERR_BAD_IMAGE',
      message: expect.stringMatching(/ants\/caf\\xe9\.png .* its name is not UTF-8.*; rename it/),
    });
    const warnings: DistillWarning[] = [];
    const onWarning = (warning: DistillWarning) => warnings.push(warning);
    const result = await teacherLogits({ ...options, onBadImage: 'skip', onWarning });
    const left = path.join(dataset, 'train/ants', NAME);
    expect(result).toMatchObject({ images: { train: 12, val: 7 }, skipped: [left] });
    expect(warnings).toMatchObject([{ code: 'WARN_IMAGE_SKIPPED', path: left }]);
  });

  /** Runs the command with a last argument that is no string of JavaScript's. */
  function withName(args: string[], place: string) {
    const words = [process.execPath, path.resolve('scripts/distill.js'), ...args];
    return spawnSync('bash', ['-c', `"$@" "$PLACE"/$'caf\\xe9.png'`, 'bash', ...words], {
      encoding: 'utf8',
      env: { ...process.env, PLACE: place, OMP_NUM_THREADS: '1' },
      timeout: 60_000,
    });
  }

  test('are taken from the command line', () => {
    const { stdout } = withName(['predict', '--student', base.student, '--json'], at('collide'));
    expect(JSON.parse(stdout)).toMatchObject({ path: at('collide', NAME) });
  });

  test('are refused as such where another file is expected', () => {
    const { status, stderr } = withName(['inspect'], at('collide'));
    expect(status).toBe(2);
    expect(stderr).toMatch(/caf\\udce9\.png/i);
    expect(stderr).toContain('that is not UTF-8: rename it');
  });
});

describe.runIf(canBeNamed)('class folders whose names are not UTF-8', () => {
  const root = at('classes');
  beforeAll(() => {
    for (const split of ['train', 'val']) {
      for (const name of [Buffer.from([0xe9]), Buffer.from('\ufffd')]) {
        mkdirSync(`${root}/${split}`, { recursive: true });
        mkdirSync(under(`${root}/${split}`, name));
      }
    }
  });

  test('are refused by name wherever classes are read', async () => {
    const message = `Expected names of classes in UTF-8, but in ${root}/train "\\xe9" is not; rename this folder, such as with convmv.`;
    const teacher = at('teacher.pth');
    for (const call of [
      () => distill({ teacher, student: at('s.pth'), dataset: root }),
      () => teach({ teacher: at('t.pth'), dataset: root }),
      () => teacherLogits({ teacher, dataset: root, output: at('l.safetensors') }),
      () => datasetStats(root),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ code: 'ERR_DATASET_CLASS_NAME', message });
    }
    const { findings } = await doctor({ dataset: root });
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'train', code: 'ERR_DATASET_CLASS_NAME', message }),
    );
    const { code, stdout } = await runCommand(['doctor', root]);
    expect(code).toBe(1);
    expect(stdout).toContain('-> Rename the folders');
  });
});

test('a name of half a character is no label', async () => {
  const labels = ['ant', 'b\ud800'];
  const student = at('none.pth');
  const images = at('none.png');
  const message = expect.stringMatching(/for `labels` .*; a lone surrogate in it/);
  for (const call of [
    exportOnnx(student, at('s.onnx'), { labels }),
    predict({ student, images, labels }),
  ]) {
    expect(await refusalOf(call)).toMatchObject({ code: 'ERR_OPTION', message });
  }
});

test('a class with half a character in a file’s metadata is damaged', async () => {
  const file = at('metadata.safetensors');
  const metadata = { classes: ['ant', 'b\ud800'], mean: [0, 0, 0], std: [1, 1, 1], imageSize: 32 };
  const tensors = [{ name: 'a', shape: [1], data: new Float32Array(1) }];
  await loadAddon().writeTensors({ path: file, tensors, metadata: JSON.stringify(metadata) });
  expect(await refusalOf(inspect(file))).toMatchObject({
    code: 'ERR_CHECKPOINT_CORRUPT',
    message: expect.stringContaining('is damaged (classes.1)'),
  });
});
