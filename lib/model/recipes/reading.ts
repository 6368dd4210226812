import { z } from 'zod';
import { INTERPOLATIONS } from '../../options/fields.js';
import type { PixelSteps, Preprocessing } from '../preprocessing.js';

// What the readers of recipes share. A recipe says a network's whole preprocessing but for the orientation in EXIF.

/** The preprocessing that a recipe says; what it leaves open is as if it were not there. */
export type RecipeSteps = Partial<Preprocessing>;

/** A reader of one kind of recipe. */
export interface RecipeReader {
  /** The program that writes such files, as messages name it. */
  program: string;
  /** Tells whether a value read from JSON is of this kind, whether or not it can be honoured. */
  recognizes(value: Fields): boolean;
  /**
   * Returns the preprocessing that the program builds of it.
   *
   * @throws Unfit where that cannot be had.
   */
  read(value: Fields): RecipeSteps;
}

/** An object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** The reason why a recipe cannot be honoured. The message goes on from the field's name: "is …". */
export class Unfit extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/**
 * Returns a field that must be of a type.
 *
 * @throws Unfit that says what was expected, and what is there.
 */
export function fieldOf<T>(fields: Fields, name: string, type: z.ZodType<T>): T {
  const parsed = type.safeParse(fields[name]);
  if (parsed.success) return parsed.data;
  const { [name]: value } = fields;
  const found = value === undefined ? 'missing' : shown(value);
  throw new Unfit(name, `is ${found}, where ${type.description ?? 'another value'} is expected`);
}

/** Returns a value as JSON, cut short. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}

/** Sizes in pixels, up to what Pillow's side can be; narrower limits are those of the options. */
export const side = z
  .int()
  .min(1)
  .max(2 ** 22)
  .describe('a whole number of pixels');

export const flag = z.boolean().describe('true or false');

export const positive = z.number().positive().describe('a positive number');

const triple = z.tuple([z.number(), z.number(), z.number()]);

/** Numbers for red, green and blue, or one for all. */
export const channels = z
  .union([triple, z.number().transform((one) => [one, one, one] as z.infer<typeof triple>)])
  .describe('three numbers (R, G, B)');

/** Filters by the name that timm and torchvision give them. */
export const filter = z
  .enum(INTERPOLATIONS)
  .describe("'bilinear', 'bicubic', 'lanczos', 'box' or 'nearest'");

/**
 * Returns the side of a square.
 *
 * @throws Unfit where it is none: networks see squares here.
 */
export function squareOf(field: string, [height, width]: readonly [number, number]): number {
  if (height === width) return height;
  throw new Unfit(field, `is ${height} x ${width} pixels, and only squares are read`);
}

/**
 * Returns the steps that end in a square, of which other programs have no more: where the resized picture is that square
 * already, nothing is cut.
 */
export function squareSteps(
  resize: PixelSteps['resize'],
  imageSize: number,
  cropRounding: PixelSteps['cropRounding'] = 'even',
): Pick<Preprocessing, 'resize' | 'padding' | 'crop' | 'cropRounding' | 'imageSize'> {
  const isWhole = Array.isArray(resize) && resize.every((length) => length === imageSize);
  return {
    resize,
    padding: [0, 0, 0, 0],
    crop: !isWhole,
    cropRounding: isWhole ? 'even' : cropRounding,
    imageSize,
  };
}

/** Returns an object without the fields that are null, which stand for a default in Python's programs. */
export function withoutNull(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
