import { isDeepStrictEqual } from 'node:util';
import { native } from '../addon.js';
import { decodeBatches } from '../data/decode.js';
import { TEACHER_BATCH } from '../data/prepare.js';
import { type Sample, sourceOf } from '../data/samples.js';
import { readSizes, sampleEvenly, typicalSize, usualResize } from '../data/sizes.js';
import { makeClassifier } from '../model/classifier.js';
import { FEWEST_IMAGES } from '../model/guessing.js';
import { isOnnx } from '../model/onnx-teacher/contents.js';
import { CENTER_CROP, IMAGE_SIZE, type Preprocessing, STEPS } from '../model/preprocessing.js';
import type { NativeClassifier } from '../native.js';
import { percent } from '../words.js';
import type { Asking } from './accuracy.js';
import type { Topic } from './findings.js';
import type { Teacher } from './teacher.js';

// Finds the preprocessing that a teacher was trained with, by its answers for pictures whose class is known.

type Normalization = Pick<Preprocessing, 'mean' | 'std'>;

/** Normalisations that networks are commonly trained with. */
const NORMALIZATIONS: readonly Normalization[] = [
  { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }, // ImageNet's
  { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }, // -1..1
  { mean: [0, 0, 0], std: [1, 1, 1] }, // 0..1
];

/** Pictures that every recipe is tried on, and that the best ones are. */
const SCREENED = 64;
const CONFIRMED = 320;
/** The best recipes of the first trial that are tried on more pictures, besides the plainest ones. */
const FINALISTS = 2;
/**
 * Standard errors by which one recipe must be better than another to be called better. By chance alone, one recipe is in one of
 * 740 examinations, and one of a dozen in about one of 60.
 */
const CLEARLY = 3;

/** A teacher's answers with one recipe. */
interface Tried {
  preprocessing: Preprocessing;
  /** The probability of the right class, 0..1, by picture. */
  probabilities: number[];
  /** Whether the class is right, by picture: 1 or 0. */
  right: number[];
  /** The share of pictures whose class is right. */
  accuracy: number;
}

/** The outcome of the search. */
export interface RecipeSearch {
  configured: Tried;
  /** The plainest recipe with which the teacher does as well as with the best one, as far as the pictures tell. */
  best: Tried;
  /** True where the best one is better than the configured one by more than chance explains. */
  isClear: boolean;
  /** A line for each recipe, the best first. */
  lines: string[];
}

/**
 * Tries the usual recipes: first the ways to resize and crop with the given normalisation, then the usual normalisations with
 * the best of these, and where another one is better, the ways again. All are tried on {@link SCREENED} pictures, and the best
 * on {@link CONFIRMED}, taken from the validation and the training pictures: if the teacher was trained on the latter, they tell
 * most, as it knows them as it saw them. Recipes are compared by the probability that the teacher gives to the right class, on the
 * same pictures. Of those that the pictures do not tell apart, the plainest is named: the configured way, else the crop alone, else
 * torchvision's.
 *
 * @returns `null` where there are too few pictures to tell.
 */
export async function searchRecipe(
  teacher: Teacher & { preprocessing: Preprocessing },
  { val, train }: { val: readonly Sample[]; train: readonly Sample[] },
  asking: Asking,
): Promise<RecipeSearch | null> {
  const confirmed = sampleEvenly([...val, ...train], CONFIRMED);
  const screened = sampleEvenly(confirmed, SCREENED);
  if (screened.length < FEWEST_IMAGES) return null;
  const trials = new Trials(teacher, asking);
  try {
    return await searchIn(trials, teacher, { screened, confirmed }, asking);
  } finally {
    await trials.close();
  }
}

async function searchIn(
  trials: Trials,
  teacher: Teacher & { preprocessing: Preprocessing },
  { screened, confirmed }: { screened: readonly Sample[]; confirmed: readonly Sample[] },
  asking: Asking,
): Promise<RecipeSearch> {
  const { preprocessing, metadata } = teacher;
  // Where all is right already, nothing can do clearly better.
  await trials.tryAll([preprocessing], screened);
  if (trials.best(1)[0]?.accuracy === 1) return trials.conclude(preprocessing);
  const ways = waysOf(await sizesOf(teacher, screened, asking));
  const given = ways.map((way) => ({ ...preprocessing, ...way }));
  await trials.tryAll([preprocessing, ...given], screened);
  const bases = [preprocessing, ...trials.best(2).map(({ preprocessing }) => preprocessing)];
  const normalizations = [...(metadata ? [metadata] : []), ...NORMALIZATIONS];
  const normalized = bases.flatMap((base) =>
    normalizations.map(({ mean, std }) => ({ ...base, mean, std })),
  );
  await trials.tryAll(normalized, screened);
  const { mean, std } = trials.best(1)[0]?.preprocessing ?? preprocessing;
  await trials.tryAll(
    ways.map((way) => ({ ...way, mean, std })),
    screened,
  );
  const finalists = trials.best(FINALISTS).map(({ preprocessing }) => preprocessing);
  const plainest = plainestOf(preprocessing, finalists[0] ?? preprocessing);
  await trials.tryAll([preprocessing, ...plainest, ...finalists], confirmed);
  return trials.conclude(preprocessing, plainest);
}

/** Returns the plainest recipes with the best one's normalisation and size: the configured way, the crop, and torchvision's. */
function plainestOf(
  configured: Preprocessing,
  { imageSize, mean, std }: Preprocessing,
): Preprocessing[] {
  const ways = waysOf([imageSize]).slice(0, 2);
  return [{ ...configured, mean, std }, ...ways.map((way) => ({ ...way, mean, std }))];
}

/** Returns the sides of squares to try: the given one, that in the file, and the usual one, or a smaller picture's own. */
async function sizesOf(
  { preprocessing, metadata, size }: Teacher & { preprocessing: Preprocessing },
  samples: readonly Sample[],
  { maxPixels, signal }: Asking,
): Promise<number[]> {
  if (size) return [size];
  const typical = typicalSize(await readSizes(samples.map(sourceOf), { maxPixels, signal }));
  const side = typical ? Math.min(typical.width, typical.height, IMAGE_SIZE) : IMAGE_SIZE;
  const sizes = [preprocessing.imageSize, ...(metadata ? [metadata.imageSize] : []), side];
  return [...new Set(sizes)].filter((size) => size >= 32);
}

/** Returns the usual ways to make a square of each size: the article's, torchvision's, timm's, and squashing. */
function waysOf(sizes: readonly number[]): Omit<Preprocessing, 'mean' | 'std'>[] {
  return sizes.flatMap((imageSize) => {
    const crop = { ...CENTER_CROP, imageSize };
    const cropped = (resize: number, interpolation: 'bilinear' | 'bicubic') => ({
      ...crop,
      resize,
      interpolation,
    });
    const byShare = (share: number) => Math.floor(imageSize / share);
    const shares = [0.875, 0.9, 0.95, 1].map(byShare);
    return [
      crop,
      cropped(usualResize(imageSize), 'bilinear'),
      cropped(Math.round((imageSize * 232) / 224), 'bilinear'),
      ...shares.map((resize) => cropped(resize, 'bilinear')),
      ...shares.map((resize) => cropped(resize, 'bicubic')),
      { ...crop, resize: [imageSize, imageSize] as const, crop: false },
    ];
  });
}

/** Recipes that are tried, by their names. */
class Trials {
  readonly #teacher: Teacher & { preprocessing: Preprocessing };
  readonly #asking: Asking;
  readonly #tried = new Map<string, Tried>();
  /** The networks by what they are loaded with. */
  readonly #classifiers = new Map<string, NativeClassifier>();

  constructor(teacher: Teacher & { preprocessing: Preprocessing }, asking: Asking) {
    this.#teacher = teacher;
    this.#asking = asking;
  }

  /** Tries those recipes that have not been tried on as many pictures. */
  async tryAll(recipes: readonly Preprocessing[], samples: readonly Sample[]): Promise<void> {
    const wanted = new Map(recipes.map((recipe) => [keyOf(recipe), recipe]));
    for (const [name, recipe] of wanted) {
      if ((this.#tried.get(name)?.probabilities.length ?? 0) >= samples.length) continue;
      this.#tried.set(name, await this.#ask(recipe, samples));
      const done = [...wanted.keys()].indexOf(name) + 1;
      this.#asking.onProgress?.({ check: 'recipe', done, total: wanted.size });
    }
  }

  async #ask(preprocessing: Preprocessing, samples: readonly Sample[]): Promise<Tried> {
    const { maxPixels, signal } = this.#asking;
    const { classes } = this.#teacher;
    const classifier = await this.#classifier(preprocessing);
    const probabilities: number[] = [];
    const right: number[] = [];
    const batches = decodeBatches(samples.map(sourceOf), {
      preprocessing,
      batchSize: TEACHER_BATCH,
      maxPixels,
      signal,
    });
    for await (const { pixels, indices } of batches) {
      const answers = await native(classifier.probabilities(pixels));
      for (const [i, index] of indices.entries()) {
        const row = answers.subarray(i * classes, (i + 1) * classes);
        const probability = row[samples[index]?.label ?? 0] ?? 0;
        // One that is not finite is no answer.
        probabilities.push(Number.isFinite(probability) ? probability : 0);
        right.push(probability >= Math.max(...row) ? 1 : 0);
      }
    }
    return { preprocessing, probabilities, right, accuracy: meanOf(right) };
  }

  async #classifier({ imageSize, mean, std }: Preprocessing): Promise<NativeClassifier> {
    const key = JSON.stringify([imageSize, mean, std]);
    const known = this.#classifiers.get(key);
    if (known) return known;
    const { file, averaged, preprocessing, classes } = this.#teacher;
    const recipe = { ...preprocessing, imageSize, mean, std };
    // Of an ONNX model, whose runtime keeps more than its weights, one is open at a time.
    if (isOnnx(file)) await this.close();
    const made = makeClassifier(file, recipe, this.#asking, { averaged, classes });
    this.#classifiers.set(key, made);
    await native(made.load());
    return made;
  }

  /** The recipes with which the teacher is surest of the right classes. */
  best(most: number): Tried[] {
    return this.#ranked().slice(0, most);
  }

  #ranked(): Tried[] {
    return [...this.#tried.values()].sort(
      (a, b) => meanOf(b.probabilities) - meanOf(a.probabilities),
    );
  }

  /** @param plainest Recipes to be named before others that do as well, the plainest first. */
  conclude(preprocessing: Preprocessing, plainest: readonly Preprocessing[] = []): RecipeSearch {
    const find = (recipe: Preprocessing) => this.#tried.get(keyOf(recipe)) as Tried;
    const configured = find(preprocessing);
    const images = configured.probabilities.length;
    const ranked = this.#ranked();
    const top = ranked.find(({ probabilities }) => probabilities.length === images) as Tried;
    const isClear = isClearlyBetter(top, configured);
    const isAsGood = (tried: Tried) =>
      !isClearlyBetter(top, tried) && (!isClear || isClearlyBetter(tried, configured));
    const best = plainest.map(find).find(isAsGood) ?? top;
    const lines = ranked.map(({ preprocessing, accuracy, probabilities }) => {
      const note = keyOf(preprocessing) === keyOf(configured.preprocessing) ? ' (as given)' : '';
      return `${describe(preprocessing)}${note}: right for ${percent(accuracy)} of ${probabilities.length}, ${percent(meanOf(probabilities))} sure of the right class`;
    });
    return { configured, best, isClear, lines };
  }

  async close(): Promise<void> {
    for (const classifier of this.#classifiers.values()) await classifier.close();
    this.#classifiers.clear();
  }
}

/** Tells whether a teacher is surer of the right classes, and right more often, by more than chance explains. */
function isClearlyBetter(a: Tried, b: Tried): boolean {
  // Both: a network may be surer of objects at another size without having been trained so.
  return (
    standardErrors(a.probabilities, b.probabilities) >= CLEARLY &&
    standardErrors(a.right, b.right) >= CLEARLY
  );
}

/** Returns the mean difference of two recipes on the same pictures, in standard errors of it; positive where `a` is better. */
function standardErrors(a: readonly number[], b: readonly number[]): number {
  const differences = a.map((value, i) => value - (b[i] ?? 0));
  const mean = meanOf(differences);
  const squares = differences.map((difference) => (difference - mean) ** 2);
  const error = Math.sqrt(meanOf(squares) / (differences.length - 1));
  return error === 0 ? 0 : mean / error;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Returns the same text for recipes that give the same pixels. */
function keyOf(recipe: Preprocessing): string {
  const interpolation = recipe.resize === null ? 'bilinear' : recipe.interpolation;
  return JSON.stringify([
    ...STEPS.map((name) => (name === 'interpolation' ? interpolation : recipe[name])),
    recipe.imageSize,
    recipe.mean,
    recipe.std,
  ]);
}

/** Says a recipe in words: `resize 256 bilinear, crop 224, mean …, std …`. */
function describe({ resize, interpolation, crop, imageSize, mean, std }: Preprocessing): string {
  const resized = resize === null ? 'no resize' : `resize ${shown(resize)} ${interpolation}`;
  const cropped = crop ? `, crop ${imageSize}` : '';
  return `${resized}${cropped}, mean ${mean.join(',')}, std ${std.join(',')}`;
}

/** Returns the options that turn one recipe into another, as a sentence's end: "`resize` 256 (--resize 256)". */
export function optionsFor(from: Preprocessing, to: Preprocessing): string {
  const isOther = (name: keyof Preprocessing) => !isDeepStrictEqual(from[name], to[name]);
  const names = (
    ['resize', 'interpolation', 'padding', 'crop', 'imageSize', 'mean', 'std'] as const
  ).filter((name) => {
    if (name === 'interpolation' && to.resize === null) return false;
    // A given `resize` brings the crop back by itself.
    if (name === 'crop' && to.crop) return false;
    return isOther(name) || (name === 'resize' && isOther('crop'));
  });
  const given = names.map((name) => `\`${name}\` ${shown(to[name] ?? false)}`);
  const flags = names.map((name) => flagOf(name, to[name] ?? false));
  const last = given.pop();
  const list = given.length === 0 ? last : `${given.join(', ')} and ${last}`;
  return `${list} (${flags.join(' ')})`;
}

type Value = boolean | string | number | readonly number[];

function shown(value: Value): string {
  return Array.isArray(value) ? value.join(',') : `${value}`;
}

function flagOf(name: string, value: Value): string {
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (name === 'crop') return '--no-crop';
  return `--${flag} ${value === false ? 'none' : shown(value)}`;
}

/** Reports the search, with a line for each recipe. */
export function reportRecipe(
  { configured, best, isClear, lines }: RecipeSearch,
  topic: Topic,
): void {
  const images = configured.probabilities.length;
  const right = (tried: Tried) => `right for ${percent(tried.accuracy)}`;
  const which = `of ${images} validation and training pictures`;
  if (isClear) {
    topic.warn(
      'recipe',
      `As given, the teacher is ${right(configured)} ${which}; with ${describe(best.preprocessing)} it is ${right(best)}, more than chance explains: it seems to be trained so.`,
      `Give ${optionsFor(configured.preprocessing, best.preprocessing)}.`,
      lines,
    );
    return;
  }
  const other =
    best === configured
      ? 'no usual recipe does better by more than chance explains'
      : `${describe(best.preprocessing)} does better by no more than chance (${right(best)})`;
  topic.ok('recipe', `As given, the teacher is ${right(configured)} ${which}; ${other}.`, lines);
}
