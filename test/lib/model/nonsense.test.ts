import { readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import {
  convert,
  distill,
  doctor,
  exportOnnx,
  inspect,
  type Prediction,
  predict,
  teacherLogits,
} from '../../../lib/index.js';
import { costOf } from '../../../lib/model/cost.js';
import { CENTER_CROP } from '../../../lib/model/preprocessing.js';
import { runCommand } from '../../helpers/child.js';
import {
  filesIn,
  mean,
  smallRun,
  std,
  temporaryFolder,
  writeStudent,
} from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';
import { alterTensor } from '../../helpers/safetensors.js';

// Numbers that are of the right kind and mean nothing: in files, and in what models make of them.

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);
let base: Awaited<ReturnType<typeof smallRun>>;
let picture: string;
beforeAll(async () => {
  base = await smallRun(folder);
  picture = path.join(base.dataset, 'val/ants/1.png');
});

let made = 0;
/** A student with other values in one of its tensors. */
async function altered(tensor: string, value: (index: number) => number): Promise<string> {
  const file = await writeStudent(inFolder(`${made++}.safetensors`), { classes: 2 });
  return alterTensor(file, tensor, value);
}

const use = { labels: ['ants', 'bees'], mean, std, imageSize: 32 };
const on = { device: 'cpu', threads: 1 };

async function ask(student: string, images: string | Uint8Array, more = {}): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for await (const one of predict({ student, images, ...use, ...on, ...more })) {
    predictions.push(one);
  }
  return predictions;
}

describe('a negative variance', () => {
  test('is refused by name wherever a student is loaded', async () => {
    const tensor = 'features.5.running_var';
    const student = await altered(tensor, (i) => (i === 7 ? -1e-3 : 1));
    const { student: file, ...rest } = base;
    for (const call of [
      () => ask(student, picture),
      () => convert(student, inFolder('converted.pth')),
      () => exportOnnx(student, inFolder('exported.onnx'), use),
      () => distill({ ...rest, student: inFolder('out/new.pth'), initialStudent: student }),
    ]) {
      expect(await refusalOf(call())).toMatchObject({
        code: 'ERR_CHECKPOINT_CORRUPT',
        message: expect.stringContaining(`'${tensor}' in '${student}' holds negative variances`),
      });
    }
    expect(filesIn(inFolder('out'))).toEqual([]);
  });

  test('is told from one of zero, which is none', async () => {
    const student = await altered('features.5.running_var', () => 0);
    expect(await ask(student, picture)).toHaveLength(1);
  });
});

describe('answers that are no finite numbers', () => {
  const infinite = () => altered('classifier.3.weight', () => 3e38);
  const refused = (student: string, name: string) => ({
    code: 'ERR_NOT_FINITE',
    message: expect.stringContaining(`'${student}' for ${name} are not finite`),
  });

  test('are refused by predict(), which names the picture', async () => {
    const student = await infinite();
    const name = `the picture ${picture}`;
    expect(await refusalOf(ask(student, picture))).toMatchObject(refused(student, name));
    const bytes = await refusalOf(ask(student, readFileSync(picture)));
    expect(bytes).toMatchObject(refused(student, 'the picture images'));
  });

  test('are refused where one class alone has one, and a probability would be 0', async () => {
    // -Infinity for the first class, as there is no negative feature.
    const student = await altered('classifier.3.weight', (i) => (i < 128 ? -3e38 : 0.01));
    expect(await refusalOf(ask(student, picture))).toMatchObject({ code: 'ERR_NOT_FINITE' });
  });

  test('are refused by all else that asks a model', async () => {
    const student = await infinite();
    const { dataset } = base;
    const logits = { teacher: student, output: inFolder('l.safetensors'), dataset, ...on };
    const { labels, ...seen } = use;
    expect(await refusalOf(teacherLogits({ ...logits, ...seen }))).toMatchObject(
      refused(student, `the picture ${path.join(dataset, 'train/ants/0.png')}`),
    );
    const cost = costOf(student, { ...CENTER_CROP, ...seen }, { ...on, precision: 'fp32' });
    expect(await refusalOf(cost)).toMatchObject(refused(student, 'a grey picture'));
    const exported = exportOnnx(student, inFolder('infinite.onnx'), use);
    expect(await refusalOf(exported)).toMatchObject(refused(student, 'made-up pictures'));
    expect(filesIn(folder)).not.toContain('infinite.onnx');
    expect(filesIn(folder)).not.toContain('l.safetensors');
  });

  test('are found by doctor()', async () => {
    const teacher = inFolder('infinite-teacher.safetensors');
    await convert(base.teacher, teacher);
    alterTensor(teacher, 'features.norm5.weight', () => 1e38);
    const { findings } = await doctor({ ...base, teacher });
    expect(findings).toContainEqual(
      expect.objectContaining({
        status: 'problem',
        message: expect.stringMatching(/for the picture .*val.ants.0\.png are not finite/),
      }),
    );
  });
});

describe('metadata', () => {
  const right = { classes: ['ants', 'bees'], mean, std, imageSize: 32 };

  test.each([
    ['mean', [0.5, 0.5, 1e30], /three numbers in 0\.\.1/],
    ['mean', [-0.5, 0.5, 0.5], /three numbers in 0\.\.1/],
    ['std', [0.2, 0, 0.2], /three numbers in 0\.0001\.\.1/],
    ['std', [0.2, -0.2, 0.2], /three numbers in 0\.0001\.\.1/],
    ['std', [0.2, 1e-38, 0.2], /three numbers in 0\.0001\.\.1/],
    ['imageSize', 5e9, /a whole number of pixels in 32\.\.4096/],
    ['imageSize', 33.5, /a whole number of pixels in 32\.\.4096/],
  ])('with a `%s` of %j is refused', async (name, value, expected) => {
    const file = inFolder(`metadata-${made++}.safetensors`);
    const metadata = JSON.stringify({ ...right, [name]: value });
    const data = Float32Array.of(1);
    await native(
      loadAddon().writeTensors({
        path: file,
        tensors: [{ name: 'a', shape: [1], data }],
        metadata,
      }),
    );
    const error = await refusalOf(inspect(file));
    expect(error).toMatchObject({
      code: 'ERR_CHECKPOINT_CORRUPT',
      message: expect.stringMatching(expected),
    });
    expect(error.message).toContain(`The metadata in '${file}' is damaged (${name}`);
  });
});

test('a batch larger than memory is refused with what mends it', async () => {
  // 100 GB of pixels.
  const images = new Array(2000).fill(picture);
  const given = { student: base.teacher, images, ...use, imageSize: 4096, batchSize: 2000, ...on };
  expect(await refusalOf(predict(given))).toMatchObject({
    code: 'ERR_OUT_OF_MEMORY',
    message: expect.stringMatching(/lower `batchSize` or `imageSize`/),
  });
});

test('nonsense on the command line is refused before anything is done', async () => {
  const args = ['train', base.dataset, '--teacher', base.teacher, '--student', inFolder('s.pth')];
  const numbers = ['--mean', mean.join(), '--std', std.join()];
  for (const [flag, value] of [
    ['--std', '1e-38,0.2,0.2'],
    ['--temperature', '1e-39'],
    ['--lr', '5e-324'],
    ['--epochs', '1e300'],
    ['--crop-scale', '1e-300'],
  ] as const) {
    const { code, stderr } = await runCommand([...args, ...numbers, flag, value]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(new RegExp(`Expected .* in .* for ${flag} but received`)),
    });
  }
});
