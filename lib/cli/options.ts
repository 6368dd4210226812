import { Argument, type Command, Option } from 'commander';
import { alternatives } from '../options/fields.js';
import {
  defaultIn,
  fieldOf,
  isRequired,
  type Kind,
  kindOf,
  metaOf,
  namesOf,
  type Schema,
} from '../options/option.js';
import { names, number, numbers, sizes, triple } from './arguments.js';

// Makes the options of commands from the schemas of the calls that they make.

/** Another option's name in a help text. */
const NAME = /`(\w+)`/g;

/** The style of a command's flags. */
interface FlagStyle {
  /** The letter between the words of a name. Default: `-`. */
  joint?: '-' | '_';
  /** Defaults to show that are the command's own, by option. */
  shown?: Readonly<Record<string, string>>;
  /** The option that is the command's argument. */
  argument?: string;
}

/** An option or an argument of a command, with its names in other programs. */
const synonyms = new WeakMap<Option | Argument, string>();

/** Returns the options and arguments of a command, each with its names in other programs. */
export function synonymsIn({ options, registeredArguments }: Command): [string, string][] {
  return [
    ...options.map((made) => [made.attributeName(), synonyms.get(made) ?? ''] as [string, string]),
    ...registeredArguments.map(
      (made) => [made.name(), synonyms.get(made) ?? ''] as [string, string],
    ),
  ];
}

/**
 * Adds a command that makes a call.
 *
 * @param schema The call's options. Each that has a help text becomes an option of the command.
 * @param given.argument The option that is the command's argument: `<images...>`.
 * @param given.shown Defaults to show that are the command's own, by option.
 * @param given.omit Options that the command has in a form of its own, or lacks.
 */
export function addCall(
  program: Command,
  schema: Schema,
  {
    name,
    description,
    argument,
    shown = {},
    omit = [],
  }: {
    name: string;
    description: string;
    argument: string;
    shown?: Readonly<Record<string, string>>;
    omit?: readonly string[];
  },
): Command {
  const made = callArgument(schema, argument);
  const command = program.command(name).description(description).addArgument(made);
  const others = namesOf(schema).filter((name) => ![made.name(), ...omit].includes(name));
  const style = { shown, argument: made.name() };
  for (const one of callOptions(schema, others, style)) command.addOption(one);
  return command;
}

/** Makes the argument of a command, such as `<images...>`, from an option. */
function callArgument(schema: Schema, flags: string): Argument {
  const made = new Argument(flags);
  const meta = metaOf(fieldOf(schema, made.name()));
  made.description = meta.help ?? '';
  synonyms.set(made, meta.synonyms ?? '');
  return made;
}

/** Makes the command's options of those of a call that have these names and a help text. */
export function callOptions(
  schema: Schema,
  wanted: readonly string[],
  style: FlagStyle = {},
): Option[] {
  return wanted
    .filter((name) => metaOf(fieldOf(schema, name)).help !== undefined)
    .map((name) => callOption(schema, name, style));
}

function callOption(
  schema: Schema,
  name: string,
  { joint = '-', shown = {}, argument }: FlagStyle,
): Option {
  const field = fieldOf(schema, name);
  const meta = metaOf(field);
  const kind = kindOf(field);
  const flag = (option: string) => flagOf(schema, option, joint);
  const inFlags = (text: string) =>
    text.replace(NAME, (_, other: string) => (other === argument ? `<${other}>` : flag(other)));

  const isOff = kind.type === 'boolean' && defaultIn(field) === true;
  const value = kind.type === 'boolean' ? '' : ` <${meta.placeholder ?? PLACEHOLDERS[kind.type]}>`;
  const flags = isOff ? flagFor(`no ${name}`, joint) : flag(name) + value;
  const values = kind.type === 'choice' ? `: ${alternatives(kind.values)}` : '';
  const made = new Option(
    flags,
    inFlags(`${meta.help}${values}${noteOf(field, shown[name] ?? meta.shown)}`),
  );
  // Not what commander makes of the flag, such as `force`.
  if (!isOff) made.attributeName = () => name;
  // Left out, it has no value; commander would give it that of the flag's opposite.
  if (!isOff && made.negate) {
    made.negate = false;
    made.preset(false);
  }
  const parse = PARSERS[kind.type];
  if (parse) made.argParser(parse);
  synonyms.set(made, meta.synonyms ?? '');
  return made;
}

/** Returns the flag of an option, or two: `-o, --output`. */
export function flagOf(schema: Schema, name: string, joint: '-' | '_' = '-'): string {
  return metaOf(fieldOf(schema, name)).flag ?? flagFor(name, joint);
}

/** Returns an option's name as a flag: `--drop-rate`. */
function flagFor(name: string, joint: '-' | '_'): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).split(' ');
  return `--${words.join(joint)}`;
}

/** Returns the last words of an option's help: whether it is required, or what its default is. */
function noteOf(field: Parameters<typeof metaOf>[0], shown: string | undefined): string {
  if (isRequired(field)) return ' (required)';
  const value = shown ?? defaultIn(field);
  // A boolean's flag is the other value than its default.
  return value === undefined || typeof value === 'boolean' ? '' : ` (default: ${value})`;
}

const PLACEHOLDERS: Readonly<Record<Exclude<Kind['type'], 'boolean'>, string>> = {
  number: 'n',
  numbers: 'list',
  sizes: 'pixels',
  triple: 'r,g,b',
  names: 'names',
  choice: 'name',
  text: 'text',
  object: 'object',
};

const PARSERS: Readonly<Partial<Record<Kind['type'], (text: string) => unknown>>> = {
  number,
  numbers,
  sizes,
  triple,
  names,
};

/** Makes the option `--json`. */
export const jsonOption = () => new Option('--json', 'for machines: one JSON object per line');

/** Makes the option `--quiet`. */
export const quietOption = () =>
  new Option('--quiet', 'print only the outcome, warnings and errors');
