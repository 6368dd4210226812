// Recipes of other programs: what these libraries build of them is in test/fixtures/recipes/expected.json.

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DistillError } from '../../../lib/errors.js';
import { findRecipe, recipeOf } from '../../../lib/model/recipes.js';
import { expectedRecipes, recipeFile } from '../../helpers/recipes.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-recipes-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a file, an object as JSON, and returns its path. */
function write(content: object | string, name = 'recipe.json'): string {
  const file = path.join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

async function refusal(preprocess: string): Promise<string> {
  const error = await recipeOf(preprocess).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DistillError);
  expect((error as DistillError).code).toBe('ERR_PREPROCESS');
  return (error as DistillError).message;
}

describe('the normalisation is the one that the library computes', () => {
  test.each(expectedRecipes)('%s', async (name, { imageSize, mean, std }) => {
    const steps = await recipeOf(recipeFile(name));
    expect(steps.imageSize).toBe(imageSize);
    for (const [values, expected] of [
      [steps.mean, mean],
      [steps.std, std],
    ] as const) {
      expect(values).toHaveLength(3);
      values?.forEach((value, i) => {
        expect(Math.abs(value - (expected[i] ?? NaN))).toBeLessThan(2e-6); // float32
      });
    }
  });
});

const timm = { input_size: [3, 224, 224], crop_pct: 0.875 };
const vit = { image_processor_type: 'ViTImageProcessor' };
const preset = {
  crop_size: [224],
  resize_size: [256],
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  interpolation: 'InterpolationMode.BILINEAR',
};

describe('steps are read', () => {
  test.each([
    ['a scaled side rounds down', { ...timm, crop_pct: 0.95 }, { resize: 235, crop: true }],
    [
      'squash cuts where the scaled square is larger',
      { ...timm, crop_mode: 'squash' },
      { resize: [256, 256], crop: true },
    ],
    [
      'squash to the very square cuts nothing',
      { ...timm, crop_mode: 'squash', crop_pct: 1 },
      { resize: [224, 224], crop: false },
    ],
    [
      "timm's defaults stand for null, 0 and an empty text",
      { input_size: null, crop_pct: 0, interpolation: '', mean: null },
      { resize: 256, imageSize: 224, interpolation: 'bicubic', mean: [0.485, 0.456, 0.406] },
    ],
    [
      'what timm uses in tests alone is passed over',
      { ...timm, test_input_size: [3, 288, 288], test_crop_pct: 1 },
      { resize: 256, imageSize: 224 },
    ],
    ["the hub's file holds one", { architecture: 'a', pretrained_cfg: timm }, { resize: 256 }],
    [
      'a number is both sides for ViT',
      { feature_extractor_type: 'ViTFeatureExtractor', size: 96, do_resize: true },
      { resize: [96, 96], crop: false, imageSize: 96 },
    ],
    [
      'fast and slow classes are one',
      { image_processor_type: 'CLIPImageProcessorFast', size: { shortest_edge: 240 } },
      { resize: 240, crop: true, imageSize: 224, interpolation: 'bicubic' },
    ],
    [
      'sizes that are not in use are null',
      { ...vit, size: { height: 64, width: 64, shortest_edge: null, longest_edge: null } },
      { resize: [64, 64] },
    ],
    [
      'no resize but a crop',
      { ...vit, do_resize: false, do_center_crop: true, crop_size: 200 },
      { resize: null, crop: true, imageSize: 200 },
    ],
    [
      'without rescaling, mean and std are of 0..255',
      { ...vit, do_rescale: false, image_mean: [102, 127.5, 51], image_std: 51 },
      { mean: [0.4, 0.5, 0.2], std: [0.2, 0.2, 0.2] },
    ],
    [
      'a factor of float32 is 1/255',
      { ...vit, rescale_factor: 0.003921569, image_mean: [0.485, 0.456, 0.406] },
      { mean: [0.485, 0.456, 0.406] },
    ],
    [
      'without normalising, pixels stay in 0..1',
      { ...vit, do_normalize: false },
      { mean: [0, 0, 0], std: [1, 1, 1] },
    ],
    ['fields as JSON', preset, { resize: 256, interpolation: 'bilinear', padding: [0, 0, 0, 0] }],
    ['both sides', { ...preset, resize_size: [224, 224] }, { resize: [224, 224], crop: false }],
    [
      'our own options',
      { exif: 'apply', resize: [200, 300], padding: [4, 8], imageSize: 192 },
      { exif: 'apply', resize: [200, 300], padding: [4, 8, 4, 8], imageSize: 192 },
    ],
    ['our own options without resizing', { resize: false, crop: true }, { resize: null }],
    [
      "a model's metadata",
      { classes: ['a'], mean: [0, 0, 0], std: [1, 1, 1], imageSize: 96, epoch: 3 },
      { imageSize: 96, mean: [0, 0, 0], std: [1, 1, 1] },
    ],
  ])('%s', async (_, recipe, steps) => {
    expect(await recipeOf(write(recipe))).toMatchObject(steps);
  });

  test('a byte order mark is passed over', async () => {
    expect(await recipeOf(write(`\uFEFF${JSON.stringify(preset)}`))).toMatchObject({ resize: 256 });
  });

  test('words are recipes', async () => {
    expect(await recipeOf('none')).toEqual({});
    expect(await recipeOf('torchvision')).toEqual(
      await recipeOf(recipeFile('torchvision/DenseNet121_Weights.IMAGENET1K_V1.txt')),
    );
  });
});

describe('what cannot be honoured is refused by name', () => {
  test.each([
    [{ ...timm, crop_mode: 'border' }, 'crop_mode is "border"'],
    [{ ...timm, input_size: [3, 224, 160] }, 'input_size is 224 x 160 pixels, and only squares'],
    [{ ...timm, input_size: [1, 28, 28] }, 'input_size is [1,28,28], where [3, height, width]'],
    [{ ...timm, input_size: [3, 16, 16] }, 'imageSize becomes 16, where a whole number of pixels'],
    [{ ...timm, interpolation: 'hamming' }, 'interpolation is "hamming", where \'bilinear\''],
    [{ ...timm, interpolation: 'random' }, 'interpolation is "random"'],
    [{ ...timm, crop_pct: -1 }, 'crop_pct is -1, where a positive number is expected'],
    [{ ...timm, crop_pct: '0.9' }, 'crop_pct is "0.9"'],
    [{ ...timm, std: [0.2, 0, 0.2] }, 'std becomes [0.2,0,0.2], where three numbers in 0.0001..1'],
    [{ ...vit, image_processor_type: 'PerceiverImageProcessor' }, 'is "PerceiverImageProcessor"'],
    [{ ...vit, image_processor_type: '__proto__' }, 'image_processor_type is "__proto__"'],
    [{ do_resize: true, size: 224 }, 'image_processor_type is missing'],
    [{ ...vit, size: { shortest_edge: 224 } }, 'do_center_crop is false, which leaves pictures'],
    [{ ...vit, size: { height: 224, width: 160 } }, 'size is 224 x 160 pixels'],
    [{ ...vit, size: { longest_edge: 224 } }, 'size is {"longest_edge":224}, where'],
    [{ ...vit, size: { shortest_edge: 2, longest_edge: 9 } }, 'size is {"shortest_edge":2,"lo'],
    [{ ...vit, do_center_crop: true }, 'crop_size is missing'],
    [{ ...vit, resample: 5 }, 'resample is 5, where 0 (nearest), 1 (lanczos)'],
    [{ ...vit, resample: 'PIL.Image.BOX' }, 'resample is "PIL.Image.BOX"'],
    [{ ...vit, do_pad: true }, 'do_pad is a step that is not done here'],
    [{ ...vit, do_resize: 'yes' }, 'do_resize is "yes", where true or false is expected'],
    [{ ...vit, image_std: [100, 100, 100] }, 'std becomes [100,100,100]'],
    [{ image_processor_type: 'MobileViTImageProcessor' }, 'do_flip_channel_order asks for blue'],
    [
      { image_processor_type: 'ConvNextImageProcessor', size: { height: 224, width: 224 } },
      'size has no shortest_edge',
    ],
    [
      {
        image_processor_type: 'ConvNextImageProcessor',
        size: { shortest_edge: 224 },
        do_center_crop: true,
        crop_size: 192,
      },
      'crop_size is 192 after a crop of 224',
    ],
    [{ ...preset, crop_size: [224, 160] }, 'crop_size is 224 x 160 pixels'],
    [{ ...preset, interpolation: 'InterpolationMode.HAMMING' }, 'interpolation is "Interpolation'],
    [{ ...preset, mean: undefined }, 'mean is missing'],
    [{ resize: 256, imageSize: 224, resizeMode: 'fit' }, 'resizeMode is no option'],
    [{ resize: 256, imageSize: 8 }, 'imageSize is 8, where a whole number of pixels in 32..4096'],
    [{ resize: 0 }, 'resize is 0, where a number of pixels'],
  ])('%j', async (recipe, reason) => {
    const file = write(recipe);
    const message = await refusal(file);
    expect(message).toContain(`The recipe '${file}' (`);
    expect(message).toContain(reason);
    expect(message).toContain("`preprocess` 'none'");
  });

  test('a preset for other tasks', async () => {
    const file = write('SemanticSegmentation(\n    resize_size=[520]\n    crop_size=[1]\n)');
    expect(await refusal(file)).toContain('preset is SemanticSegmentation');
  });

  test.each([
    ['a text', 'resize to 256'],
    ["Python's own notation", "{'input_size': (3, 224, 224)}"],
    ['a list', '[{"input_size":[3,224,224]}]'],
    ['another object', '{"model_type":"vit","image_size":224}'],
    ['an object too deep', `{"input_size":[3,224,224],"a":${'['.repeat(99)}${']'.repeat(99)}}`],
    ['nothing', ''],
  ])('%s', async (_, text) => {
    expect(await refusal(write(text))).toContain('is no recipe; expected a timm pretrained_cfg');
  });

  test('no file, a folder, and one that is too large', async () => {
    const missing = path.join(folder, 'missing.json');
    expect(await refusal(missing)).toContain("it does not exist; expected 'torchvision', 'none'");
    expect(await refusal(folder)).toContain('it is not a file but a folder');
    const large = write('', 'large.json');
    truncateSync(large, 16e6 + 1);
    expect(await refusal(large)).toContain('it is larger than 16 MB');
  });
});

describe('a recipe is found', () => {
  const model = path.join(mkdtempSync(path.join(folder, 'model-')), 'teacher.v1.pth');
  const beside = (name: string) => path.join(path.dirname(model), name);
  const found = (entries: Record<string, string> = {}) =>
    findRecipe(
      model,
      Object.entries(entries).map(([name, text]) => ({ name, text })),
    );

  test('beside the model, and the nearest is taken', async () => {
    expect(await found()).toBeNull();
    writeFileSync(beside('config.json'), JSON.stringify({ pretrained_cfg: timm }));
    expect(await found()).toMatchObject({ from: beside('config.json'), program: 'timm' });
    writeFileSync(beside('preprocessor_config.json'), JSON.stringify(vit));
    expect(await found()).toMatchObject({
      from: beside('preprocessor_config.json'),
      program: 'Hugging Face',
      steps: { resize: [224, 224] },
    });
    writeFileSync(beside('teacher.v1.json'), JSON.stringify({ resize: 64, imageSize: 32 }));
    expect(await found()).toMatchObject({
      from: beside('teacher.v1.json'),
      program: 'node-distill',
      steps: { resize: 64 },
      refusal: null,
    });
  });

  test("in the metadata of the model's file first", async () => {
    const entries = { format: 'pt', note: '{"a":1}', recipe: JSON.stringify(preset) };
    expect(await found(entries)).toMatchObject({
      from: `${model} (recipe)`,
      program: 'torchvision',
      steps: { resize: 256 },
    });
    const printed = recipeFile('torchvision/DenseNet121_Weights.IMAGENET1K_V1.txt');
    const text = readFileSync(printed, 'utf8');
    expect(await found({ transforms: text })).toMatchObject({ steps: { resize: 256 } });
  });

  test('but no file of another program', async () => {
    const other = mkdtempSync(path.join(folder, 'other-'));
    const files = {
      'net.json': { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2], arch: 'densenet121' },
      'preprocessor_config.json': { feature_extractor_type: 'WhisperFeatureExtractor' },
      'config.json': { model_type: 'vit', image_size: 224, architectures: ['ViT'] },
    };
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(path.join(other, name), JSON.stringify(content));
    }
    expect(await findRecipe(path.join(other, 'net.pth'), [])).toBeNull();
  });

  test('and one that cannot be honoured is told with its reason', async () => {
    const other = mkdtempSync(path.join(folder, 'refused-'));
    const file = path.join(other, 'config.json');
    writeFileSync(file, JSON.stringify({ ...timm, crop_mode: 'border' }));
    expect(await findRecipe(path.join(other, 'net.pth'), [])).toEqual({
      from: file,
      program: 'timm',
      steps: null,
      refusal: await refusal(file),
    });
  });
});
