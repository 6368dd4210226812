import { z } from 'zod';
import {
  channels,
  type Fields,
  fieldOf,
  filter,
  positive,
  type RecipeReader,
  type RecipeSteps,
  side,
  squareOf,
  squareSteps,
  withoutNull,
} from './reading.js';

// timm's `pretrained_cfg`, printed as JSON, or the `config.json` of a model on the hub, which holds one.

/** The fields that timm's `resolve_data_config` reads, with its defaults; the others do not change a picture. */
const DEFAULTS: Fields = {
  input_size: [3, 224, 224],
  interpolation: 'bicubic',
  crop_pct: 0.875,
  crop_mode: 'center',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

const inputSize = z
  .tuple([z.literal(3), side, side])
  .describe('[3, height, width], of three channels,');

const cropMode = z
  .enum(['center', 'squash'])
  .describe("'center' or 'squash' (timm's 'border' fills with a colour)");

export const timm: RecipeReader = {
  program: 'timm',
  recognizes: (value) => isConfig(configOf(value)),
  read: (value) => stepsOf(configOf(value)),
};

function configOf(value: Fields): Fields {
  const { pretrained_cfg: config = value } = value;
  return typeof config === 'object' && config !== null ? (config as Fields) : {};
}

function isConfig(config: Fields): boolean {
  return Array.isArray(config.input_size) || 'crop_pct' in withoutProcessor(config);
}

/** Hugging Face's processors have a `crop_pct` as well. */
function withoutProcessor(config: Fields): Fields {
  return 'do_resize' in config || 'image_processor_type' in config ? {} : config;
}

/** Returns what timm's `create_transform` builds for evaluation: Resize, CenterCrop, Normalize. */
function stepsOf(config: Fields): RecipeSteps {
  // Python's `or`: an empty text and a zero stand for the default as well.
  const given = Object.entries(withoutNull(config)).filter(
    ([, value]) => value !== '' && value !== 0,
  );
  const fields: Fields = { ...DEFAULTS, ...Object.fromEntries(given) };
  const [, height, width] = fieldOf(fields, 'input_size', inputSize);
  const imageSize = squareOf('input_size', [height, width]);
  const scaled = Math.floor(imageSize / fieldOf(fields, 'crop_pct', positive));
  const isSquashed = fieldOf(fields, 'crop_mode', cropMode) === 'squash';
  return {
    ...squareSteps(isSquashed ? [scaled, scaled] : scaled, imageSize),
    interpolation: fieldOf(fields, 'interpolation', filter),
    mean: fieldOf(fields, 'mean', channels),
    std: fieldOf(fields, 'std', channels),
  };
}
