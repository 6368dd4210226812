import { DistillError } from '../errors.js';
import { preprocessing as fields } from '../options/fields.js';
import type { DistillWarning } from '../warnings.js';
import type { CheckpointContents } from './inspect.js';
import { readLabels } from './labels.js';
import type { ModelMetadata } from './metadata.js';
import {
  CENTER_CROP,
  IMAGE_SIZE,
  type PixelPreprocessing,
  type PixelSteps,
  type Preprocessing,
  STEPS,
} from './preprocessing.js';
import { type FoundRecipe, recipeOf } from './recipes.js';

// Finds out how pictures become a network's input: from the options, a recipe, the model's own file, and a recipe
// that was found with it, in this order.

/** The preprocessing options of a call, once they are checked. */
export interface GivenPreprocessing {
  preprocess?: string | undefined;
  exif?: PixelSteps['exif'] | undefined;
  resize?: number | readonly [number, number] | false | undefined;
  interpolation?: PixelSteps['interpolation'] | undefined;
  padding?:
    | number
    | readonly [number, number]
    | readonly [number, number, number, number]
    | undefined;
  crop?: boolean | undefined;
  imageSize?: number | undefined;
  mean?: Preprocessing['mean'] | undefined;
  std?: Preprocessing['std'] | undefined;
}

/** The parts of a model's file that say its preprocessing. */
export type Described = Pick<CheckpointContents, 'metadata' | 'recipe'>;

/**
 * Returns the steps that the caller says, or else the recipe that it names, or else the model's own file, or else a recipe
 * that was found with it.
 *
 * @returns Without `mean` and `std` where nobody says them.
 * @throws DistillError `ERR_OPTION` where the steps do not go together, `ERR_PREPROCESS` where the recipe cannot be honoured.
 */
export async function resolvePreprocessing(
  given: GivenPreprocessing,
  model: Described | null = null,
): Promise<PixelPreprocessing & Partial<Preprocessing>> {
  const recipe = given.preprocess === undefined ? {} : await recipeOf(given.preprocess);
  const options = optionsAsSteps(given);
  const found = takenRecipe(given, model);
  const inFile = model?.metadata ? stepsIn(model.metadata) : found ? stepsOf(found) : {};
  const merged = {
    ...CENTER_CROP,
    imageSize: IMAGE_SIZE,
    ...inFile,
    ...recipe,
    ...options,
  };
  merged.crop = cropOf([options, recipe, inFile]);
  if (merged.resize === null && options.interpolation === undefined) {
    merged.interpolation = CENTER_CROP.interpolation;
  }
  if (!merged.crop && options.imageSize === undefined) merged.imageSize = squareOf(merged);
  checkSteps(merged, options);
  return merged;
}

/** Returns the recipe that was found with a model, where it is taken: neither the caller nor the model's file says another. */
function takenRecipe(given: GivenPreprocessing, model: Described | null): FoundRecipe | null {
  return given.preprocess === undefined && !model?.metadata ? (model?.recipe ?? null) : null;
}

/**
 * Returns the warning of a recipe that was found with a model and is taken; `null` where none is.
 *
 * @param model The contents of the model's file.
 */
export function recipeFound(given: GivenPreprocessing, model: Described): DistillWarning | null {
  const found = takenRecipe(given, model);
  if (!found?.steps) return null;
  const steps = Object.entries(found.steps).map(([name, value]) => `${name} ${value ?? 'none'}`);
  return {
    code: 'WARN_RECIPE_FOUND',
    message: `Pictures are prepared as '${found.from}' (${found.program}) says, but for the options that are given: ${steps.join(', ')}; name it as \`preprocess\`, or 'none' if it is not to count.`,
    path: found.from,
  };
}

/** Returns the steps of a recipe, which may be one that cannot be honoured. */
function stepsOf({ steps, refusal }: FoundRecipe): Partial<Preprocessing> {
  if (steps) return steps;
  throw new DistillError('ERR_PREPROCESS', refusal ?? '');
}

/**
 * Tells whether the middle is cut out. The first one that says `resize` or `crop` decides, as a file's `crop: false` is
 * about its own `resize`.
 */
function cropOf(sources: readonly Partial<Preprocessing>[]): boolean {
  const first = sources.find(({ resize, crop }) => resize !== undefined || crop !== undefined);
  return first?.crop ?? CENTER_CROP.crop;
}

function stepsIn(metadata: ModelMetadata): Partial<Preprocessing> {
  const { mean, std, imageSize } = metadata;
  const steps = Object.fromEntries(
    STEPS.map((name) => [name, metadata[name] ?? CENTER_CROP[name]]),
  );
  return { ...(steps as unknown as PixelSteps), imageSize, mean, std };
}

/** Returns the options that are given, each as the step that it stands for. */
function optionsAsSteps(given: GivenPreprocessing): Partial<Preprocessing> {
  const { exif, resize, interpolation, padding, crop, imageSize, mean, std } = given;
  const steps = {
    exif,
    resize: resize === false ? null : resize,
    interpolation,
    padding: padding === undefined ? undefined : sidesOf(padding),
    crop,
    imageSize,
    mean,
    std,
  };
  return Object.fromEntries(Object.entries(steps).filter(([, value]) => value !== undefined));
}

/** Returns the padding of each side: of one number, or of two for left and right and for top and bottom, as torchvision takes them. */
function sidesOf(
  padding: Exclude<GivenPreprocessing['padding'], undefined>,
): PixelSteps['padding'] {
  if (typeof padding === 'number') return [padding, padding, padding, padding];
  if (padding.length === 4) return padding;
  const [across, down] = padding;
  return [across, down, across, down];
}

/** Returns the side of the square that a picture becomes without a crop. */
function squareOf({ resize, padding, imageSize }: PixelPreprocessing): number {
  if (!Array.isArray(resize)) return imageSize;
  return resize[0] + padding[1] + padding[3];
}

/** Refuses steps that do not give the square that a network sees. */
function checkSteps(steps: PixelPreprocessing, options: Partial<Preprocessing>): void {
  const { resize, padding, crop, imageSize } = steps;
  const refuse = (message: string) => new DistillError('ERR_OPTION', message);
  if (options.interpolation !== undefined && resize === null) {
    throw refuse(
      '`interpolation` is the filter of resizing, but nothing is resized; give `resize`, or leave it out.',
    );
  }
  if (crop) return;
  if (!Array.isArray(resize)) {
    throw refuse(
      `Without a \`crop\`, expected \`resize\` with height and width, but received ${resize ?? 'none'}; give both, such as [${imageSize}, ${imageSize}].`,
    );
  }
  const [left, top, right, bottom] = padding;
  const height = resize[0] + top + bottom;
  const width = resize[1] + left + right;
  if (height !== width) {
    throw refuse(
      `Without a \`crop\`, the network would see ${height} x ${width} pixels (height, width), but it sees squares; give a square as \`resize\`, or \`padding\` that makes it one.`,
    );
  }
  if (height !== imageSize) {
    throw refuse(
      `Without a \`crop\`, expected \`imageSize\` ${height}, to which pictures are resized, but received ${imageSize}; leave it out.`,
    );
  }
  if (!fields.imageSize.safeParse(height).success) {
    throw refuse(
      `Without a \`crop\`, expected \`resize\` and \`padding\` to give ${fields.imageSize.description}, but they give ${height}.`,
    );
  }
}

/**
 * Returns a model's preprocessing and class names: the caller's, or else those of the recipe that it names, or else those in
 * the model's file.
 *
 * @param given.labels Names by index, or a file of `index name` lines.
 * @throws DistillError `ERR_NO_METADATA` where nobody says them, `ERR_LABELS` where the names are not as many as the model's
 * classes, and what {@link resolvePreprocessing} throws.
 */
export async function preprocessingOf(
  {
    path,
    classes,
    architecture,
    metadata,
    recipe,
  }: Pick<CheckpointContents, 'path' | 'classes' | 'architecture'> & Described,
  given: GivenPreprocessing & { labels?: string | readonly string[] | undefined },
): Promise<{ preprocessing: Preprocessing; labels: readonly string[] }> {
  const read = typeof given.labels === 'string' ? await readLabels(given.labels) : given.labels;
  const labels = read ?? metadata?.classes;
  const resolved = await resolvePreprocessing(given, { metadata, recipe });
  const { mean, std } = resolved;
  if (!labels || !mean || !std) {
    const missing = Object.entries({ labels, mean, std }).filter(([, value]) => !value);
    throw new DistillError(
      'ERR_NO_METADATA',
      `'${path}' has no ${missing.map(([name]) => name).join(', ')}; pass ${missing.length > 1 ? 'them as options' : 'it as an option'}.`,
    );
  }
  // An unknown architecture is refused when it is loaded.
  if (architecture !== null && classes !== labels.length) {
    throw new DistillError(
      'ERR_LABELS',
      `'${path}' has ${classes} classes, but there are ${labels.length} labels${typeof given.labels === 'string' ? ` in '${given.labels}'` : ''}.`,
    );
  }
  return { preprocessing: { ...resolved, mean, std }, labels };
}
