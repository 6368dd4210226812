import { z } from 'zod';
import { CLASSES, COMMON, type ImageProcessor } from './hugging-face-classes.js';
import {
  channels,
  type Fields,
  fieldOf,
  flag,
  positive,
  type RecipeReader,
  type RecipeSteps,
  side,
  squareOf,
  squareSteps,
  Unfit,
  withoutNull,
} from './reading.js';

// Hugging Face's `preprocessor_config.json` of the image processors of classifiers.

/** Pillow's numbers of its filters. */
const FILTERS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box'] as const;

const resample = z
  .int()
  .min(0)
  .max(4)
  .transform((number) => FILTERS[number] as (typeof FILTERS)[number])
  .describe("0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic) or 4 (box), Pillow's numbers,");

/** A size as of old, a number or a list, or as today, an object. */
const size = z
  .union([
    side,
    z.tuple([side, side]).transform(([height, width]) => ({ height, width })),
    z.object({ height: side, width: side }).strict(),
    z.object({ shortest_edge: side }).strict(),
  ])
  .describe('a number of pixels, height and width, or shortest_edge');

/** Height and width, or the shorter side. */
type Size = readonly [height: number, width: number] | number;

export const huggingFace: RecipeReader = {
  program: 'Hugging Face',
  recognizes: (value) =>
    typeof value.image_processor_type === 'string' ||
    ['do_resize', 'do_center_crop', 'image_mean', 'resample'].some((name) => name in value),
  read(value) {
    const processor = processorOf(value);
    const fields: Fields = { ...COMMON, ...processor.defaults, ...withoutNull(value) };
    refuseSteps(fields);
    return {
      ...geometryOf(fields, processor),
      interpolation: fieldOf(fields, 'resample', resample),
      ...normalizationOf(fields, processor),
    };
  },
};

function processorOf(value: Fields): ImageProcessor {
  const names = [value.image_processor_type, value.feature_extractor_type];
  const name = names.find((one) => typeof one === 'string');
  if (name === undefined) {
    throw new Unfit(
      'image_processor_type',
      'is missing, and with it what the other fields mean: add it, such as "ViTImageProcessor"',
    );
  }
  // Names of old files, and of the two ways to compute the same.
  const current = name.replace(/FeatureExtractor$/, 'ImageProcessor').replace(/(Fast|Pil)$/, '');
  const processor = Object.hasOwn(CLASSES, current) ? CLASSES[current] : undefined;
  if (processor) return processor;
  throw new Unfit(
    'image_processor_type',
    `is "${name.slice(0, 60)}", whose steps are not known here; known are those of ${Object.keys(CLASSES).join(', ')}`,
  );
}

/** Steps besides those that are read. A processor passes over fields that it does not know, unless they name a step. */
const HARMLESS = ['do_convert_rgb', 'do_reduce_labels'];
const KNOWN = ['do_resize', 'do_center_crop', 'do_rescale', 'do_normalize', ...HARMLESS];

function refuseSteps(fields: Fields): void {
  if (fields.do_flip_channel_order === true) {
    throw new Unfit(
      'do_flip_channel_order',
      'asks for blue, green, red, and networks see red first',
    );
  }
  const step = Object.keys(fields).find(
    (name) => name.startsWith('do_') && fields[name] !== false && !KNOWN.includes(name),
  );
  if (step !== undefined) throw new Unfit(step, 'is a step that is not done here');
}

function geometryOf(
  fields: Fields,
  { defaultToSquare, resized, crops }: ImageProcessor,
): RecipeSteps {
  const isResized = fieldOf(fields, 'do_resize', flag);
  const given = isResized ? sizeOf(fields, 'size', defaultToSquare) : null;
  const pct = () => fieldOf(fields, 'crop_pct', positive);
  const { resize, cut } =
    given !== null && resized ? resized(given, pct) : { resize: given, cut: null };
  const crop =
    crops && fieldOf(fields, 'do_center_crop', flag) ? squareIn(fields, 'crop_size') : null;
  if (cut !== null && crop !== null && cut !== crop) {
    throw new Unfit('crop_size', `is ${crop} after a crop of ${cut}, and only one crop is made`);
  }
  const imageSize = crop ?? cut;
  // All of them cut so, whichever computes it.
  if (imageSize !== null) return squareSteps(resize, imageSize, 'down');
  if (typeof resize === 'object' && resize !== null) {
    return squareSteps(resize, squareOf('size', resize));
  }
  throw new Unfit(
    'do_center_crop',
    'is false, which leaves pictures of many shapes, and networks see squares here',
  );
}

function sizeOf(fields: Fields, name: string, defaultToSquare: boolean): Size {
  // Sizes that are not in use stand there as null.
  const { [name]: value } = fields;
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const given = fieldOf({ [name]: isObject ? withoutNull(value as Fields) : value }, name, size);
  if (typeof given === 'number') return defaultToSquare ? [given, given] : given;
  return 'shortest_edge' in given ? given.shortest_edge : [given.height, given.width];
}

function squareIn(fields: Fields, name: string): number {
  const given = sizeOf(fields, name, true);
  if (typeof given === 'number') throw new Unfit(name, 'names no height and width');
  return squareOf(name, given);
}

/**
 * Returns mean and std for pixels in 0..1. A processor computes `(pixel * factor - offset - mean) / std`, which with
 * `scale = 255 * factor` is `(pixel / 255 - (mean + offset) / scale) / (std / scale)`.
 */
function normalizationOf(
  fields: Fields,
  { offsets }: ImageProcessor,
): Pick<RecipeSteps, 'mean' | 'std'> {
  const factor = fieldOf(fields, 'do_rescale', flag)
    ? fieldOf(fields, 'rescale_factor', positive)
    : 1;
  // 1/255, whether in float64, in float32 or with some decimals.
  const scale = Math.abs(255 * factor - 1) < 1e-6 ? 1 : 255 * factor;
  const offset =
    offsets && fieldOf(fields, 'do_rescale', flag) && fields.rescale_offset === true ? 1 : 0;
  const isNormalized = fieldOf(fields, 'do_normalize', flag);
  const means = isNormalized ? fieldOf(fields, 'image_mean', channels) : ([0, 0, 0] as const);
  const stds = isNormalized ? fieldOf(fields, 'image_std', channels) : ([1, 1, 1] as const);
  // EfficientNet's own networks divide once more.
  const isDividedAgain = offsets && fields.include_top === true;
  const again = isDividedAgain ? fieldOf(fields, 'image_std', channels) : ([1, 1, 1] as const);
  const mean = means.map((value) => (value + offset) / scale);
  const std = stds.map((value, i) => (value * (again[i] as number)) / scale);
  return {
    mean: mean as [number, number, number],
    std: std as [number, number, number],
  };
}
