import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import {
  compare,
  convert,
  type DistillOptions,
  datasetStats,
  distill,
  doctor,
  exportOnnx,
  inspect,
  sweep,
  type TeachOptions,
  teach,
} from '../../../lib/index.js';
import { calls } from '../../helpers/options.js';
import { refusalOf } from '../../helpers/results.js';

describe.each(Object.entries(calls))('%s()', (_, { table, valid, required, call }) => {
  const refusal = (options: unknown) => refusalOf(call(options));
  const refused = (message: unknown) => ({ name: 'DistillError', code: 'ERR_OPTION', message });

  test('has no option that this test forgets', async () => {
    const { message } = await refusal({ ...valid, 'nothing like any of them': 1 });
    const names = /the options are (.*)\.$/.exec(message)?.[1]?.split(', ');
    expect(names?.sort()).toEqual(Object.keys(table).sort());
  });

  test.each(Object.entries(table))(
    'refuses a wrong `%s`, saying what it should be',
    async (name, values) => {
      for (const value of values) {
        const error = await refusal({ ...valid, [name]: value });
        const message = new RegExp(`^Expected .{5,} for \`${name}\` but received .+\\.$`);
        expect(error, String(value)).toMatchObject(refused(expect.stringMatching(message)));
      }
    },
  );

  test.each(required)('asks for `%s`', async (name) => {
    for (const options of [{ ...valid, [name]: undefined }, without(valid, name)]) {
      const message = new RegExp(`for \`${name}\` but received nothing`);
      expect(await refusal(options)).toMatchObject(refused(expect.stringMatching(message)));
    }
  });

  test.each(Object.keys(table))('suggests `%s` for its misspellings', async (name) => {
    for (const misspelt of [`${name}x`, `${name}${name.at(-1)}`, `${name[0]}${name}`]) {
      const message = `There is no option \`${misspelt}\`; did you mean \`${name}\`?`;
      expect(await refusal({ ...valid, [misspelt]: 1 })).toMatchObject(refused(message));
    }
  });

  test('takes undefined for an option that is not given', async () => {
    const absent = Object.fromEntries(Object.keys(table).map((name) => [name, undefined]));
    expect((await refusal({ ...absent, ...valid })).code).not.toBe('ERR_OPTION');
  });

  test.each([undefined, null, 'teacher.pth', 5, []])('refuses %o for options', async (options) => {
    const message = expect.stringMatching(/^Expected an object of options but received /);
    expect(await refusal(options)).toMatchObject(refused(message));
  });

  test('shows a value of any size briefly', async () => {
    const { message } = await refusal({ ...valid, mean: new Array(10_000).fill(0.5) });
    expect(message.length).toBeLessThan(250);
  });
});

/** Calls without a table of options: paths by position, and functions that take the options of others. */
describe.each<[string, string, (path: string) => PromiseLike<unknown>]>([
  ['inspect()', 'path', (path) => inspect(path)],
  ['datasetStats()', 'folder', (path) => datasetStats(path)],
  ['convert()', 'model', (path) => convert(path, 'none.pth')],
  ['convert()', 'output', (path) => convert('none.pth', path)],
  ['exportOnnx()', 'student', (path) => exportOnnx(path, 'none.onnx')],
  ['exportOnnx()', 'output', (path) => exportOnnx('none.pth', path)],
  ['exportOnnx()', 'labels', (labels) => exportOnnx('none.pth', 'none.onnx', { labels })],
  ['doctor()', 'teacher', (teacher) => doctor({ teacher })],
  ['doctor()', 'student', (student) => doctor({ student })],
  ['sweep()', 'out', (out) => sweep({ teacher: 'none', dataset: 'none', out })],
  ['sweep()', 'student', (student) => sweep({ teacher: 'none', dataset: 'none', student })],
  ['compare()', 'out', (out) => compare({ teacher: 'none', dataset: 'none', out })],
  ['compare()', 'student', (student) => compare({ teacher: 'none', dataset: 'none', student })],
])('%s', (_, name, call) => {
  test(`refuses a \`${name}\` that the system would cut at a NUL byte`, async () => {
    const { code, message } = await refusalOf(call('victim.pth\0.pth'));
    expect(code).toBe('ERR_OPTION');
    expect(message).toMatch(
      new RegExp(`^Expected a path.* for \`${name}\` .*; leave out the NUL byte in it`),
    );
    expect(message).toContain("'victim.pth\\x00.pth'");
  });

  test(`refuses a \`${name}\` with half a character, which the system would be given as U+FFFD`, async () => {
    const { code, message } = await refusalOf(call('victim\ud83d.pth'));
    expect(code).toBe('ERR_OPTION');
    expect(message).toMatch(new RegExp(`for \`${name}\` .*; a lone surrogate in it`));
  });
});

test('the addon takes no path that the system would cut', async () => {
  const path = 'victim.pth\0.pth';
  const addon = loadAddon();
  for (const call of [
    () => addon.inspect(path, false),
    () => addon.readTensor(path, 'a'),
    () => addon.readTensors(path, ['a'], false),
    () => addon.writeFile(path, new Uint8Array(1)),
    () => addon.checkWritable(path),
    () => addon.convert({ from: 'none', to: path, format: 'pth', averaged: false }),
    () => addon.createModel({ path, architecture: 'cnn', classes: 2, seed: 1 }),
  ]) {
    await expect(call()).rejects.toThrow(/NUL byte/);
  }
});

describe('distill()', () => {
  test.each([
    ['no folder', {}],
    ['train alone', { train: 'a' }],
    ['val alone', { val: 'a' }],
    ['all three', { dataset: 'a', train: 'b', val: 'c' }],
    ['dataset and train', { dataset: 'a', train: 'b' }],
  ])('asks for either dataset or both train and val, not %s', async (_, folders) => {
    const { dataset, ...valid } = calls.distill.valid;
    await expect(distill({ ...valid, ...folders })).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message:
        'Expected either `dataset`, a folder with train/ and val/, or both `train` and `val`, or `train` and `valSplit`.',
    });
  });
});

test.each([
  ['neither', {}],
  ['both', { teacher: 'a', teacherLogits: 'b' }],
])('distill() asks for either teacher or teacherLogits, not %s', async (received, teachers) => {
  const { teacher, ...valid } = calls.distill.valid;
  await expect(distill({ ...valid, ...teachers })).rejects.toMatchObject({
    code: 'ERR_OPTION',
    message: `Expected either \`teacher\`, a network's file, or \`teacherLogits\`, a file of its answers, but received ${received}.`,
  });
});

describe('options that mean nothing together are refused:', () => {
  const { teacher, ...unled } = calls.distill.valid;
  test.each([
    [
      'views and logits of the pictures as they are',
      { ...unled, teacherLogits: 'l.safetensors', views: 2 },
      /`views` and `augment` change the pixels/,
    ],
    [
      'augmentation and logits of the pictures as they are',
      { ...unled, teacherLogits: 'l.safetensors', augment: ['flip'] },
      /`views` and `augment` change the pixels/,
    ],
    [
      'a constant rate and warm-up',
      { ...calls.distill.valid, warmup: 2 },
      /'constant' has no `warmup`/,
    ],
  ] as [string, DistillOptions, RegExp][])('distill(), %s', async (_, options, message) => {
    await expect(distill(options)).rejects.toMatchObject({ code: 'ERR_OPTION', message });
  });

  test.each([
    ['Adam and weight decay', { optimizer: 'adam', weightDecay: 0.1 }, /no `weightDecay`/],
    ['one cycle and warm-up', { warmup: 2 }, /'one-cycle' has no `warmup`/],
    ['a constant rate and warm-up', { schedule: 'constant', warmup: 2 }, /no `warmup`/],
    ['frozen features of fresh weights', { freezeEpochs: 1 }, /it needs `weights`/],
  ] as [string, Partial<TeachOptions>, RegExp][])('teach(), %s', async (_, options, message) => {
    const given = { ...calls.teach.valid, ...options };
    await expect(teach(given)).rejects.toMatchObject({ code: 'ERR_OPTION', message });
  });
});

function without(options: object, name: string): object {
  return Object.fromEntries(Object.entries(options).filter(([key]) => key !== name));
}
