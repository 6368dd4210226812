import { z } from 'zod';
import { choice, preprocessing } from '../../options/fields.js';
import { type Fields, fieldOf, filter, flag, type RecipeReader, side, Unfit } from './reading.js';

// The preprocessing options as an object, such as the `distill.json` in a model's file.

const count = z
  .int()
  .min(0)
  .max(2 ** 16)
  .describe('a whole number of pixels');

const padding = z
  .union([
    count.transform((all): [number, number, number, number] => [all, all, all, all]),
    z.tuple([count, count]).transform(([x, y]): [number, number, number, number] => [x, y, x, y]),
    z.tuple([count, count, count, count]),
  ])
  .describe('one, two or four numbers of pixels');

const resize = z
  .union([side, z.tuple([side, side]), z.literal(false).transform(() => null), z.null()])
  .describe('a number of pixels, height and width, or false');

/** The fields that are options of the preprocessing. */
const TYPES = {
  exif: z.enum(['ignore', 'apply']).describe("'ignore' or 'apply'"),
  resize,
  interpolation: filter,
  padding,
  crop: flag,
  cropRounding: choice('even', 'down'),
  imageSize: preprocessing.imageSize,
  mean: preprocessing.mean,
  std: preprocessing.std,
} as const;

/** The other fields of a model's metadata. */
const OTHERS = ['classes', 'options', 'teacher', 'weights', 'epoch', 'metrics', 'versions'];

export const own: RecipeReader = {
  program: 'node-distill',
  recognizes: (value) => Object.keys(TYPES).some((name) => name in value),
  read(value) {
    const [unknown] = unknownFields(value);
    if (unknown !== undefined) throw new Unfit(unknown, 'is no option of the preprocessing');
    const names = Object.keys(TYPES).filter((name) => name in value);
    return Object.fromEntries(
      names.map((name) => [name, fieldOf<unknown>(value, name, TYPES[name as keyof typeof TYPES])]),
    );
  },
};

/** Returns the fields that such an object does not have. */
export function unknownFields(value: Fields): string[] {
  return Object.keys(value).filter((name) => !(name in TYPES) && !OTHERS.includes(name));
}
