import { z } from 'zod';

/** Facts of an option besides its check, its default and its type; the command line and the docs are made of them. */
export interface OptionMeta {
  /**
   * Its line in the command line's help, which names other options in backticks. An option without one has no flag.
   * The values of a choice, the default and "(required)" are added to it.
   */
  help?: string;
  /** The word for the value in the help, such as `file` in `--student <file>`. Default: by the kind of the value. */
  placeholder?: string;
  /** The default in words, where it is computed. */
  shown?: string;
  /** Its flags, where they are not the name in kebab case: `-o, --output`. */
  flag?: string;
  /** Names in other programs, with a blank between two. A name that fits several options stands for the first. */
  synonyms?: string;
  /** Tells whether a value is a path from the current folder; `true`: any is. */
  path?: true | ((value: string) => boolean);
  /**
   * What becomes of the option where a run is resumed: it may change ('free'), also so that the numbers do ('told'), or is no
   * part of the run ('apart'). Without it, it must be the same.
   */
  resume?: 'free' | 'told' | 'apart';
  /** Set for an option that a training's outcome depends on: a model's metadata records it, always or where it is changed. */
  recorded?: 'always' | 'changed';
}

const registry = z.registry<OptionMeta>();

/** Returns a copy of a field that carries these facts; they add to those of the field. */
export function option<Field extends z.ZodType>(field: Field, meta: OptionMeta): Field {
  const copy = field.clone() as Field;
  // Typed by the field's output, which these facts do not depend on.
  (registry as z.core.$ZodRegistry<OptionMeta, z.ZodType>).add(copy, meta);
  return copy;
}

/** Tells whether the value of a field is a path from the current folder. */
export function isPathIn(field: z.core.$ZodType, value: unknown): value is string {
  const { path } = metaOf(field);
  if (typeof value !== 'string' || path === undefined) return false;
  return path === true || path(value);
}

/** The shape of any call's schema. */
export type Shape = z.core.$ZodLooseShape;

/** A call's schema: its options by name. */
export type Schema<Fields extends Shape = Shape> = z.ZodObject<Fields, z.core.$strict>;

/** Returns the facts of a field, with those of what a default or `optional()` wraps. */
export function metaOf(field: z.core.$ZodType): OptionMeta {
  const inner = wrappedBy(field);
  return { ...(inner && metaOf(inner)), ...registry.get(field) };
}

/** Returns the text that completes "Expected … for `name`", such as `a path`. */
export function expectedBy(field: z.core.$ZodType): string | undefined {
  const inner = wrappedBy(field);
  return z.globalRegistry.get(field)?.description ?? (inner && expectedBy(inner));
}

/** Returns the names of a schema's options, in its order. */
export function namesOf(schema: Schema): string[] {
  return Object.keys(schema.shape);
}

/** Returns the names of a schema's options, each with its names in other programs. */
export function synonymsOf(schema: Schema): [option: string, synonyms: string][] {
  return namesOf(schema).map((name) => [name, metaOf(fieldOf(schema, name)).synonyms ?? '']);
}

/** Returns the field of an option. */
export function fieldOf(schema: Schema, name: string): z.core.$ZodType {
  const field = schema.shape[name];
  if (!field) throw new Error(`There is no option ${name}.`);
  return field as z.core.$ZodType;
}

/** Tells whether a call cannot do without an option. */
export function isRequired(field: z.core.$ZodType): boolean {
  return !z.safeParse(field, undefined).success;
}

/** Returns a field's default, `undefined` where it has none or computes it. */
export function defaultIn(field: z.core.$ZodType): unknown {
  if (field instanceof z.ZodDefault) return field.def.defaultValue;
  const inner = wrappedBy(field);
  return inner && defaultIn(inner);
}

/** Returns the default of an option that has one. */
export function defaultOf<Fields extends Shape, Name extends keyof Fields & string>(
  schema: Schema<Fields>,
  name: Name,
): Exclude<z.output<Fields[Name]>, undefined> {
  const value = defaultIn(fieldOf(schema as Schema, name));
  if (value === undefined) throw new Error(`The option ${name} has no default.`);
  return value as Exclude<z.output<Fields[Name]>, undefined>;
}

/** Returns the options that a model's metadata records, in the schema's order; those that are undefined are left out. */
export function recordedOptions<Options extends object>(
  schema: Schema,
  options: Options,
): Partial<Options> {
  const entries = namesOf(schema).flatMap((name) => {
    const field = fieldOf(schema, name);
    const { recorded } = metaOf(field);
    const value = options[name as keyof Options];
    const isLeftOut = value === undefined || (recorded === 'changed' && value === defaultIn(field));
    return recorded === undefined || isLeftOut ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries) as Partial<Options>;
}

/** The kinds of values that a command line writes in different ways. */
export type Kind =
  | { type: 'boolean' | 'number' | 'numbers' | 'sizes' | 'text' | 'object' }
  | { type: 'triple' }
  | { type: 'choice' | 'names'; values: readonly string[] };

/** Returns the kind of a field's value. */
export function kindOf(field: z.core.$ZodType): Kind {
  if (field instanceof z.ZodBoolean) return { type: 'boolean' };
  if (field instanceof z.ZodNumber) return { type: 'number' };
  if (field instanceof z.ZodTuple)
    return { type: field.def.items.length === 3 ? 'triple' : 'sizes' };
  if (field instanceof z.ZodEnum) return { type: 'choice', values: field.options.map(String) };
  if (field instanceof z.ZodArray) {
    const element = kindOf(field.element);
    if (element.type === 'choice') return { type: 'names', values: element.values };
    return { type: element.type === 'number' ? 'numbers' : 'text' };
  }
  if (field instanceof z.ZodUnion) {
    const kinds = field.options.map((one) => kindOf(one).type);
    return { type: (['numbers', 'sizes'] as const).find((type) => kinds.includes(type)) ?? 'text' };
  }
  // Functions, and the signal.
  if (field instanceof z.ZodCustom) return { type: 'object' };
  const inner = wrappedBy(field);
  return inner ? kindOf(inner) : { type: 'text' };
}

/** Returns the field that another one wraps, such as the one that a default is for. */
function wrappedBy(field: z.core.$ZodType): z.core.$ZodType | undefined {
  const wraps =
    field instanceof z.ZodDefault ||
    field instanceof z.ZodOptional ||
    field instanceof z.ZodReadonly;
  if (wraps) return field.def.innerType;
  return field instanceof z.ZodPipe ? field.def.in : undefined;
}
