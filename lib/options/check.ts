import { inspect } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { DistillError } from '../errors.js';
import { hintFor } from './hints.js';
import { expectedBy, namesOf, type Schema, type Shape, synonymsOf } from './option.js';
import { synonymOf } from './synonyms.js';

/** Shows any value briefly, in one line. */
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
export function checkOptions<Fields extends Shape>(
  schema: Schema<Fields>,
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

  const { issues } = parsed.error;
  // A name that is not known explains one that is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0];
  if (issue?.code === 'unrecognized_keys') throw unknownOption(issue.keys[0] ?? '', schema);
  const name = String(issue?.path[0] ?? '');
  const field = schema.shape[name];
  const expected = (field && expectedBy(field)) ?? 'another value';
  const received = name in given ? show(given[name]) : 'nothing';
  const accepts = (value: unknown) => field !== undefined && z.safeParse(field, value).success;
  const hint = hintFor(given[name], accepts, show);
  throw new DistillError(
    'ERR_OPTION',
    `Expected ${expected} for \`${name}\` but received ${received}${hint ? `; ${hint}` : ''}.`,
  );
}

/** Refuses a name that is no option, with the one that is meant where that can be guessed. */
function unknownOption<Fields extends Shape>(name: string, schema: Schema<Fields>): DistillError {
  const names = namesOf(schema);
  const similar = closest(name, names);
  const meant =
    synonymOf(name, synonymsOf(schema)) ?? (distance(name, similar) <= 3 ? similar : undefined);
  const hint = meant ? `did you mean \`${meant}\`?` : `the options are ${names.join(', ')}.`;
  return new DistillError('ERR_OPTION', `There is no option \`${name}\`; ${hint}`);
}
