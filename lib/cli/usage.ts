import type { Command, CommanderError } from 'commander';
import { DistillError } from '../errors.js';
import { fieldOf, isRequired, namesOf, type Schema } from '../options/option.js';
import { synonymOf } from '../options/synonyms.js';
import { count } from '../words.js';
import { flagsOf } from './flags.js';
import { synonymsIn } from './options.js';

/** Makes the error of wrong usage, whose exit code is 2. */
export function usageError(message: string): DistillError {
  return new DistillError('ERR_USAGE', message);
}

/**
 * Checks that options are given, and names all that are not.
 *
 * @param who The command, such as `train`.
 * @param options Values by flag.
 */
export function demand(who: string, options: Record<string, unknown>): void {
  const missing = Object.keys(options).filter((flag) => options[flag] === undefined);
  if (missing.length === 0) return;
  const measured = missing.some((flag) => flag === '--mean' || flag === '--std');
  const hint = measured ? '; `distill stats <folder>` measures --mean and --std' : '';
  throw usageError(`${who} needs ${missing.join(', ')}${hint}.`);
}

/**
 * Checks that the options are given that a call cannot do without.
 *
 * @param others Names of further ones that this command cannot do without.
 */
export function demandOptions(
  command: Command,
  schema: Schema,
  given: Record<string, unknown>,
  ...others: string[]
): void {
  const needed = namesOf(schema).filter(
    (name) => isRequired(fieldOf(schema, name)) || others.includes(name),
  );
  const flags = flagsOf(command);
  const values = needed.map((name) => [flags.get(name) ?? name, given[name]] as const);
  demand(command.name(), Object.fromEntries(values));
}

/** Names of the commands in other programs. */
const COMMANDS: Readonly<Record<string, string>> = {
  train: 'distil distill fit learn run student',
  teach: 'finetune fine-tune teacher pretrain',
  predict: 'classify infer inference eval evaluate test label',
  inspect: 'info show summary describe print',
  stats: 'mean std measure normalize',
  logits: 'teacher-logits answers',
  export: 'convert onnx save',
  sweep: 'grid search tune',
  compare: 'benchmark bench ablation',
  doctor: 'check validate verify diagnose',
  setup: 'install build',
};

/**
 * Returns commander's complaint about the arguments in one sentence, with what was probably meant.
 *
 * @param command The command or the program that they are for.
 */
export function usageMessage({ code, message }: CommanderError, command: Command): string {
  const [complaint = '', ...rest] = message.replace(/^error: /, '').split('\n');
  const suggestion = rest[0]?.replace(/^\(D(.*)\)$/, 'd$1');
  if (code === 'commander.excessArguments') {
    const words = command.args.map((word) => `'${word}'`).join(' ');
    const most = command.registeredArguments.length;
    return `${command.name()} takes ${count(most, 'argument')}, but received ${words}; put quotes around a name with spaces, and commas between the items of a list.`;
  }
  const word = /'(.*)'/s.exec(complaint)?.[1] ?? '';
  const hint =
    code === 'commander.unknownOption'
      ? (flagMeant(word, command) ?? suggestion ?? ownersOf(word, command))
      : code === 'commander.unknownCommand'
        ? (suggestion ?? commandMeant(word))
        : suggestion;
  return hint === undefined ? complaint : `${complaint}; ${hint}`;
}

/** Finds the flag or the argument that another program's flag stands for. */
function flagMeant(word: string, command: Command): string | undefined {
  const [, name] = /^--?(\w[\w-]+)/.exec(word) ?? [];
  const meant = name && synonymOf(name, synonymsIn(command));
  return meant && `did you mean ${flagsOf(command).get(meant)}?`;
}

/** Names the other commands that have a flag. */
function ownersOf(word: string, { parent }: Command): string | undefined {
  const [flag] = word.split('=');
  const owners = parent?.commands.filter(({ options }) =>
    options.some(({ long }) => long === flag),
  );
  const names = owners?.map((command) => command.name()).join(', ');
  return names ? `it is an option of ${names}.` : undefined;
}

function commandMeant(word: string): string | undefined {
  const isMeant = (called: string) => called.split(' ').includes(word.toLowerCase());
  const found = Object.entries(COMMANDS).find(([, called]) => isMeant(called));
  return found && `did you mean ${found[0]}?`;
}
