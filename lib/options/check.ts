import { inspect } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { DistillError } from '../errors.js';
import { hintFor } from './hints.js';
import { synonymOf } from './synonyms.js';

/** A field's description, which a default or optional() around it hides. */
function describe(field: z.core.$ZodType | undefined): string | undefined {
  if (field instanceof z.ZodDefault || field instanceof z.ZodOptional) {
    return describe(field.def.innerType);
  }
  return (field as z.ZodType | undefined)?.description;
}

/** Whatever the caller passed, shown briefly in one line. */
function show(value: unknown): string {
  const shown = inspect(value, { depth: 1, breakLength: Infinity, maxStringLength: 60 });
  const text = shown.replace(/\s+/g, ' '); // long lists are broken all the same
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/**
 * Checks options against a schema, fills in the defaults, and drops those that are undefined.
 *
 * @throws DistillError `ERR_OPTION` that names the first option at fault, what it should be and what
 * it was.
 */
export function checkOptions<Shape extends z.core.$ZodLooseShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  options: unknown,
): z.output<typeof schema> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected an object of options but received ${show(options)}.`,
    );
  }
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;

  const names = Object.keys(schema.shape);
  const { issues } = parsed.error;
  // A name that is not known explains one that is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  if (issue?.code === 'unrecognized_keys') {
    const unknown = issue.keys[0] ?? '';
    const similar = closest(unknown, names);
    const known =
      synonymOf(unknown, names) ?? (distance(unknown, similar) <= 3 ? similar : undefined);
    const hint = known ? `did you mean \`${known}\`?` : `the options are ${names.join(', ')}.`;
    throw new DistillError('ERR_OPTION', `There is no option \`${unknown}\`; ${hint}`);
  }
  const name = String(issue?.path[0] ?? '');
  const field = schema.shape[name];
  const expected = describe(field) ?? 'another value';
  const received = name in given ? show(given[name]) : 'nothing';
  const accepts = (value: unknown) => field !== undefined && z.safeParse(field, value).success;
  const hint = hintFor(given[name], accepts, show);
  throw new DistillError(
    'ERR_OPTION',
    `Expected ${expected} for \`${name}\` but received ${received}${hint ? `; ${hint}` : ''}.`,
  );
}
