import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { convert, inspect } from '../../lib/index.js';
import { filesIn } from '../helpers/dataset.js';
import { inFolder, metadata, out, pth, student } from '../helpers/onnx.js';
import { writePth } from '../helpers/pth.js';
import { refusalOf } from '../helpers/results.js';

describe('convert()', () => {
  test.each(['cnn', 'densenet121'])('keeps a %s bit by bit', async (architecture) => {
    const first = inFolder(`${architecture}-1.pth`);
    await loadAddon().createModel({ path: first, architecture, classes: 5, seed: 4 });
    const there = await convert(first, inFolder(`${architecture}-2.safetensors`));
    expect(there).toMatchObject({ format: 'safetensors', architecture, classes: 5 });
    const back = await convert(there.path, inFolder(`${architecture}-3.pt`));
    expect(back.format).toBe('pth');
    expect((await inspect(there.path)).format).toBe('safetensors');
    expect(readFileSync(back.path).equals(readFileSync(first))).toBe(true);
  });

  test('keeps what a run said of a student', async () => {
    expect((await inspect(pth)).metadata).toEqual(metadata);
    expect((await inspect(pth)).format).toBe('zip');
    const again = await convert(pth, out('again.bin'), { format: 'safetensors' });
    expect((await inspect(again.path)).metadata).toEqual(metadata);
  });

  test.each<[string, string, RegExp, () => unknown[] | Promise<unknown[]>]>([
    [
      'a name that says no format',
      'ERR_OPTION',
      /\.pth, \.pt, \.pt2 or \.safetensors.*`output`/,
      () => [student, out('never.bin')],
    ],
    [
      'another format',
      'ERR_OPTION',
      /'pth', 'pt2' or 'safetensors' for `format` but received 'onnx'/,
      () => [student, out('never.pth'), { format: 'onnx' }],
    ],
    ['the file itself', 'ERR_OPTION', /`output` is the model's own file/, () => [student, student]],
    [
      'another network',
      'ERR_MODEL_ARCHITECTURE',
      /not those of a network that is known/,
      async () => [
        await writePth(inFolder('other.pth'), { a: { shape: [1], data: [1] } }),
        out('never.pth'),
      ],
    ],
    [
      'an output in no folder',
      'ERR_WRITE',
      /create its folder/,
      () => [student, inFolder('none/s.pth')],
    ],
  ])('refuses %s', async (_, code, message, given) => {
    const call = convert as (...given: unknown[]) => Promise<unknown>;
    const error = await refusalOf(call(...(await given())));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(filesIn(inFolder('out')).filter((name) => /never|tmp/.test(name))).toEqual([]);
  });
});
