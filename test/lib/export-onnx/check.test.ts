import { mkdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkModel, findRuntime } from '../../../lib/export-onnx/check.js';
import { feed, sampleImages } from '../../../lib/export-onnx/samples.js';
import { exportOnnx } from '../../../lib/index.js';
import { filesIn, mean, std } from '../../helpers/dataset.js';
import { inFolder, out, student } from '../../helpers/onnx.js';
import { refusalOf } from '../../helpers/results.js';
import { parseSafetensors, writeBytes } from '../../helpers/safetensors.js';

describe('a model that would not answer as its student', () => {
  test('is not written, and what was there stays', async () => {
    const broken = inFolder('broken.safetensors');
    const bytes = readFileSync(student);
    const { header, data } = parseSafetensors(bytes);
    // Finite weights whose answers are not.
    const [begin, end] = header['classifier.3.weight'].data_offsets;
    for (let i = begin; i < end; i += 4) data.writeFloatLE(3e38, i);
    writeBytes(broken, bytes);
    mkdirSync(inFolder('kept'));
    const file = writeBytes(inFolder('kept/old.onnx'), 'old');
    const error = await refusalOf(exportOnnx(broken, file, { overwrite: true }));
    expect(error).toMatchObject({
      code: 'ERR_NOT_FINITE',
      message: expect.stringContaining(`The answers of '${broken}' for made-up pictures`),
    });
    expect(readFileSync(file, 'utf8')).toBe('old');
    const logits = await refusalOf(
      exportOnnx(broken, inFolder('kept/new.onnx'), { softmax: false }),
    );
    expect(logits.code).toBe('ERR_NOT_FINITE');
    expect(filesIn(inFolder('kept'))).toEqual(['old.onnx']);
  });

  test('is found out by a difference of more than 1e-4, and by no less', async () => {
    await exportOnnx(student, out('right.onnx'));
    const model = readFileSync(out('right.onnx'));
    const runtime = await findRuntime();
    if (typeof runtime === 'string') throw new Error(runtime);
    const pixels = sampleImages(3, 48);
    const input = feed(pixels, 3, 48, { input: 'uint8', mean, std });
    const [expected = new Float32Array()] = await runtime.run(model, [input]);
    const shifted = (by: number) => expected.map((value, i) => (i === 11 ? value + by : value));
    const trial = (by: number) => ({ input, images: 3, expected: shifted(by) });
    const check = (by: number) => checkModel(model, runtime, [trial(by)], { input: 'uint8' });
    expect((await check(0)).maxDifference).toBe(0);
    expect((await check(9e-5)).maxDifference).toBeCloseTo(9e-5, 6);
    for (const by of [1.1e-4, -1.1e-4, Number.NaN]) {
      expect((await refusalOf(check(by))).code).toBe('ERR_EXPORT_CHECK');
    }
    // One that resizes pictures may differ by more.
    const resizing = (by: number) => checkModel(model, runtime, [trial(by)], { input: 'picture' });
    expect((await resizing(9e-3)).maxDifference).toBeCloseTo(9e-3, 4);
    expect((await refusalOf(resizing(1.1e-2))).code).toBe('ERR_EXPORT_CHECK');
    // Another model: its mean is not the student's.
    await exportOnnx(student, out('wrong.onnx'), { mean: [0.5, 0.456, 0.406] });
    const other = readFileSync(out('wrong.onnx'));
    const wrong = checkModel(other, runtime, [trial(0)], { input: 'uint8' });
    expect((await refusalOf(wrong)).code).toBe('ERR_EXPORT_CHECK');
    // And what is no model at all.
    const none = checkModel(Buffer.from('none'), runtime, [trial(0)], { input: 'uint8' });
    expect(await refusalOf(none)).toMatchObject({
      code: 'ERR_EXPORT_CHECK',
      message: expect.stringContaining('does not run it'),
    });
  });
});
