import { homedir } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  convert,
  datasetStats,
  distill,
  exportOnnx,
  inspect,
  predict,
} from '../../../lib/index.js';
import { calls } from '../../helpers/options.js';
import { refusalOf } from '../../helpers/results.js';

describe('a refused value comes with what mends it:', () => {
  test.each<[string, unknown, string]>([
    ['student', '~/s.pth', `only a shell expands ~, so write '${homedir()}/s.pth'`],
    [
      'teacher',
      new URL('file:///a%20b.pth'),
      "a file URL becomes a path by fileURLToPath() of node:url: '/a b.pth'",
    ],
    [
      'teacher',
      'file:///a%20b.pth',
      "a file URL becomes a path by fileURLToPath() of node:url: '/a b.pth'",
    ],
    ['dataset', 'https://a/b', 'download it first, as only files of this machine are read'],
    ['cacheDir', new URL('s3://a/b'), 'download it first, as only files of this machine are read'],
    ['mean', [123.675, 116.28, 103.53], 'divided by 255 it is [ 0.485, 0.456, 0.406 ]'],
    ['std', [58.395, 57.12, 57.375], 'divided by 255 it is [ 0.229, 0.224, 0.225 ]'],
    ['mean', '(0.485, 0.456, 0.406)', 'as numbers it is [ 0.485, 0.456, 0.406 ]'],
    ['std', ['0.5', '0.5', '0.5'], 'as a number it is [ 0.5, 0.5, 0.5 ]'],
    ['lr', '1e-4', 'as a number it is 0.0001'],
    ['epochs', '50', 'as a number it is 50'],
    ['shuffle', 'false', 'without quotes it is false'],
    ['schedule', 'OneCycleLR', "it is spelt 'one-cycle'"],
    ['schedule', 'Cosine', "it is spelt 'cosine'"],
    ['precision', 'float32', "it is spelt 'fp32'"],
    ['device', 'GPU', "it is spelt 'cuda'"],
    ['device', 0, "it is spelt 'cuda:0'"],
    ['augment', 'flip', "as a list it is [ 'flip' ]"],
    ['augment', ['Crop', 'resized_crop'], ''],
    ['lr', 3, ''],
  ])('`%s`, %o', async (name, value, hint) => {
    const { message } = await refusalOf(distill({ ...calls.distill.valid, [name]: value }));
    expect(message).toMatch(/^Expected .* but received [^;]*[;.]/);
    expect(message.split('; ')[1]?.replace(/\.$/, '') ?? '').toBe(hint);
  });

  test.each([
    ['a symbol', Symbol('x')],
    ['an object without a prototype', Object.create(null)],
    ['a list of such', [Symbol('x'), Object.create(null)]],
    ['a URL of another machine', new URL('file://host/a')],
    ['a URL with an escaped slash', 'file:///a%2Fb'],
    ['1n', 1n],
  ])('%s has none, and is refused all the same', async (_, value) => {
    for (const name of ['student', 'mean', 'lr', 'device', 'signal', 'augment']) {
      const { code } = await refusalOf(distill({ ...calls.distill.valid, [name]: value }));
      expect(code).toBe('ERR_OPTION');
    }
  });

  test('of an ArrayBuffer, as fetch() gives it, its bytes', async () => {
    const images = new ArrayBuffer(2);
    const { message } = await refusalOf(predict({ student: 'a', images } as never));
    expect(message).toMatch(/; new Uint8Array\(\) makes of it Uint8Array\(2\) \[ 0, 0 \]\.$/);
  });

  test('of an AbortController, its signal', async () => {
    const signal = new AbortController() as unknown as AbortSignal;
    const { message } = await refusalOf(distill({ ...calls.distill.valid, signal }));
    expect(message).toMatch(/; its signal is meant: AbortSignal/);
  });

  test.each([
    ['inspect()', () => inspect('~/a.pth')],
    ['datasetStats()', () => datasetStats('~/a')],
    ['datasetStats(), its options', () => datasetStats('a', { imageSize: '32' as never })],
    ['convert()', () => convert('a', '~/b.pth')],
    ['exportOnnx()', () => exportOnnx('~/a', 'b')],
    ['predict()', () => calls.predict.call({ student: 'a', images: ['b', '~/c'] })],
  ])('%s', async (_, call) => {
    const { code, message } = await refusalOf(call());
    expect({ code, message }).toMatchObject({ code: 'ERR_OPTION' });
    expect(message).toMatch(/only a shell expands ~, so write|as a number it is 32/);
  });
});

describe('names that other systems use are understood:', () => {
  const calledBy = async (call: (options: unknown) => Promise<unknown>, names: object) => {
    for (const [called, option] of Object.entries(names)) {
      const { message } = await refusalOf(call({ [called]: 1 }));
      expect(message).toBe(`There is no option \`${called}\`; did you mean \`${option}\`?`);
    }
  };

  test('distill()', async () => {
    await calledBy(calls.distill.call, {
      learningRate: 'lr',
      learning_rate: 'lr',
      LR: 'lr',
      batch_size: 'batchSize',
      numEpochs: 'epochs',
      num_epochs: 'epochs',
      T: 'temperature',
      dropout: 'dropRate',
      model: 'teacher',
      output: 'student',
      data_dir: 'dataset',
      valid: 'val',
      num_workers: 'threads',
    });
  });

  test('predict()', async () => {
    await calledBy(calls.predict.call, {
      model: 'student',
      classes: 'labels',
      image: 'images',
      files: 'images',
      top_k: 'topK',
      dtype: 'precision',
    });
  });
});
