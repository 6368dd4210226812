import type { Command, CommanderError } from 'commander';
import { synonymOf } from '../options/synonyms.js';
import { count } from '../words.js';

/** What other programs call the commands here. */
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
 * What commander has to say of the arguments, in one sentence, with what was meant.
 *
 * @param command The one that they are for: a command, or the program.
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

/** The flag or the argument that another program's flag stands for. */
function flagMeant(word: string, { options, registeredArguments }: Command): string | undefined {
  const [, name] = /^--?(\w[\w-]+)/.exec(word) ?? [];
  const names = options.map((option) => option.attributeName());
  const given = registeredArguments.map((argument) => argument.name());
  const meant = name && synonymOf(name, [...names, ...given]);
  if (!meant) return undefined;
  const flag = options[names.indexOf(meant)]?.long;
  return `did you mean ${flag ?? `<${meant}>`}?`;
}

/** The other commands that have a flag. */
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
