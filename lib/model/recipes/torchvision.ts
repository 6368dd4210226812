import { z } from 'zod';
import {
  channels,
  type Fields,
  fieldOf,
  filter,
  type RecipeReader,
  side,
  squareOf,
  squareSteps,
  Unfit,
} from './reading.js';

// torchvision's `weights.transforms()`: its fields as JSON, or the text that Python prints of it.

/** A side, or a list of it alone, or of height and width. */
const sides = z
  .union([
    side.transform((one): [number, number?] => [one]),
    z.tuple([side]).transform(([one]): [number, number?] => [one]),
    z.tuple([side, side]).transform(([height, width]): [number, number?] => [height, width]),
  ])
  .describe('a number of pixels, or height and width');

const interpolation = z
  .string()
  .transform((name) => name.replace(/^InterpolationMode\./, '').toLowerCase())
  .pipe(filter)
  .describe(filter.description as string);

/** The class of the presets for classifying pictures. */
const PRESET = 'ImageClassification';

export const torchvision: RecipeReader = {
  program: 'torchvision',
  recognizes: (value) => 'resize_size' in value && 'crop_size' in value,
  read(value) {
    const { preset = PRESET } = value;
    if (preset !== PRESET) throw new Unfit('preset', `is ${preset}, where ${PRESET} is expected`);
    const [cropHeight, cropWidth = cropHeight] = fieldOf(value, 'crop_size', sides);
    const imageSize = squareOf('crop_size', [cropHeight, cropWidth]);
    const [shorter, width] = fieldOf(value, 'resize_size', sides);
    // On a picture, `antialias` changes nothing: Pillow always antialiases.
    return {
      ...squareSteps(width === undefined ? shorter : [shorter, width], imageSize),
      interpolation: fieldOf(value, 'interpolation', interpolation),
      mean: fieldOf(value, 'mean', channels),
      std: fieldOf(value, 'std', channels),
    };
  },
};

/** Returns the fields in the text that Python prints of `weights.transforms()`; `null` of another text. */
export function fieldsOfRepr(text: string): Fields | null {
  const { name, body } =
    /^\s*(?<name>[A-Z]\w{0,60})\((?<body>[^()]*)\)\s*$/.exec(text)?.groups ?? {};
  if (name === undefined || body === undefined || !body.includes('crop_size=')) return null;
  const fields = [...body.matchAll(/(?<field>\w+)=(?<value>\[[^\]]*\]|[^\s,]+)/g)].map((match) => {
    const { field = '', value = '' } = match.groups ?? {};
    return [field, literalOf(value)] as const;
  });
  return { ...Object.fromEntries(fields), preset: name };
}

function literalOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
