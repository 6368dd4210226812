import path from 'node:path';
import { z } from 'zod';
import { DistillError } from '../errors.js';
import { readFile, type UnreadableFile } from '../files.js';
import { preprocessing, storedSteps } from '../options/fields.js';
import { expectedBy } from '../options/option.js';
import { printable } from '../words.js';
import { huggingFace } from './recipes/hugging-face.js';
import { own, unknownFields } from './recipes/own.js';
import {
  type Fields,
  type RecipeReader,
  type RecipeSteps,
  shown,
  Unfit,
} from './recipes/reading.js';
import { timm } from './recipes/timm.js';
import { fieldsOfRepr, torchvision } from './recipes/torchvision.js';

// Recipes: files in which other programs say how pictures become a network's input.

/** The kinds of recipes, in the order in which a file is compared with them. */
const READERS: readonly RecipeReader[] = [timm, torchvision, huggingFace, own];

/** Recipes with a name of their own. A file of that name is `./torchvision`. */
const WORDS: Readonly<Record<string, RecipeSteps>> = {
  /** What torchvision's classifiers of before 2021 were trained and measured with. */
  torchvision: {
    resize: 256,
    interpolation: 'bilinear',
    padding: [0, 0, 0, 0],
    crop: true,
    cropRounding: 'even',
    imageSize: 224,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  },
  /** Says nothing, and stands for not looking for a recipe beside the model. */
  none: {},
};

/** Bytes and depth of the largest recipe; most have a kilobyte, and those of timm may name thousands of classes. */
const LARGEST = 16e6;
const DEEPEST = 32;

/**
 * Returns the preprocessing that the option `preprocess` says.
 *
 * @param preprocess 'torchvision', 'none', or the path of a recipe.
 * @throws DistillError `ERR_PREPROCESS` where the file cannot be read, is no recipe, or cannot be honoured.
 */
export async function recipeOf(preprocess: string): Promise<RecipeSteps> {
  if (Object.hasOwn(WORDS, preprocess)) return WORDS[preprocess] as RecipeSteps;
  const bytes = await readFile(preprocess, { limit: LARGEST }).catch(
    ({ message, cause }: UnreadableFile) => {
      const words = Object.keys(WORDS).map((word) => `'${word}'`);
      throw new DistillError(
        'ERR_PREPROCESS',
        `The recipe '${preprocess}' (preprocess) cannot be read, it ${message}; expected ${words.join(', ')} or a file.`,
        { cause },
      );
    },
  );
  const recipe = recognize(textOf(bytes));
  if (recipe) return stepsOf(recipe, preprocess);
  throw new DistillError(
    'ERR_PREPROCESS',
    `'${preprocess}' (preprocess) is no recipe; expected a timm pretrained_cfg or config.json, a preprocessor_config.json of Hugging Face, torchvision's weights.transforms(), or an object with resize, imageSize, mean and std, as JSON.`,
  );
}

/** A recipe that lies beside a model or in its file. */
export interface FoundRecipe {
  /** Its file; of an entry in the model's own, its name follows: `model.safetensors (pretrained_cfg)`. */
  from: string;
  /** The program that writes such recipes. */
  program: string;
  /** The preprocessing that it says; `null` where it cannot be honoured. */
  steps: RecipeSteps | null;
  /** The reason why it cannot be honoured; `null` where it can. */
  refusal: string | null;
}

/**
 * Looks for a recipe in the metadata of a model's file, and then beside it: `<its name>.json`, `preprocessor_config.json`
 * and `config.json`. Files that are none are passed over, as are those that cannot be read.
 *
 * @param entries Texts in the model's own file, by name.
 */
export async function findRecipe(
  model: string,
  entries: readonly { name: string; text: string }[],
): Promise<FoundRecipe | null> {
  for (const { name, text } of entries) {
    const found = foundIn(text, `${model} (${name})`);
    if (found) return found;
  }
  const { dir, name } = path.parse(model);
  for (const file of [`${name}.json`, 'preprocessor_config.json', 'config.json']) {
    const from = path.join(dir, file);
    const bytes = await readFile(from, { limit: LARGEST }).catch(() => null);
    const found = bytes && foundIn(textOf(bytes), from);
    if (found) return found;
  }
  return null;
}

function foundIn(text: string, from: string): FoundRecipe | null {
  const recipe = recognize(text);
  // Other programs write `mean` and `std` into files of their own, too.
  const isOther = recipe?.reader === own && unknownFields(recipe.fields).length > 0;
  if (!recipe || isOther) return null;
  const { program } = recipe.reader;
  try {
    return { from, program, steps: stepsOf(recipe, from), refusal: null };
  } catch (error) {
    return { from, program, steps: null, refusal: (error as DistillError).message };
  }
}

/** A recipe of a known kind. */
interface Recipe {
  reader: RecipeReader;
  fields: Fields;
}

/** Returns the recipe that a text holds; `null` where it holds none. */
function recognize(text: string): Recipe | null {
  const fields = fieldsOfRepr(text) ?? fieldsOfJson(text);
  const reader = fields && READERS.find((one) => one.recognizes(fields));
  return fields && reader ? { reader, fields } : null;
}

/** Returns the object that a text of JSON holds; `null` where it holds none, or one too deep. */
function fieldsOfJson(text: string): Fields | null {
  if (depthOf(text) > DEEPEST) return null;
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Fields) : null;
  } catch {
    return null;
  }
}

/** Returns how deep a text of JSON opens brackets, those in its strings not counted. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let isString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') isString = !isString;
    else if (isString) i += character === '\\' ? 1 : 0;
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth);
    else if (character === '}' || character === ']') depth -= 1;
  }
  return deepest;
}

/** The limits of the options, which hold for recipes as well. */
const LIMITS = z.object({
  resize: storedSteps.resize.nullable(),
  padding: storedSteps.padding,
  imageSize: preprocessing.imageSize,
  mean: preprocessing.mean,
  std: preprocessing.std,
});

/**
 * Returns the preprocessing that a recipe says.
 *
 * @throws DistillError `ERR_PREPROCESS` that names the field which cannot be honoured.
 */
function stepsOf({ reader, fields }: Recipe, from: string): RecipeSteps {
  try {
    const steps = reader.read(fields);
    const [issue] = LIMITS.partial().safeParse(steps).error?.issues ?? [];
    if (!issue) return steps;
    const name = issue.path[0] as keyof typeof LIMITS.shape;
    const expected = expectedBy(LIMITS.shape[name]);
    throw new Unfit(name, `becomes ${shown(steps[name])}, where ${expected} is expected`);
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    throw new DistillError(
      'ERR_PREPROCESS',
      `The recipe '${from}' (${reader.program}) cannot be honoured: ${printable(error.field)} ${error.message}; pass what fits as options (\`resize\`, \`interpolation\`, \`crop\`, \`imageSize\`, \`mean\`, \`std\`), and \`preprocess\` 'none'.`,
    );
  }
}

/** Returns a file's text, without the byte order mark that Windows writes. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
