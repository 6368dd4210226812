import type { Command } from 'commander';
import { DistillError } from '../errors.js';

/** The command line's names of the API's options. */
export type Flags = ReadonlyMap<string, string>;

/** Returns the flags and the arguments of a command, or of all commands of a program. */
export function flagsOf(command: Command): Flags {
  return new Map([
    ...command.commands.flatMap((one) => [...flagsOf(one)]),
    ...command.registeredArguments.map((made) => [made.name(), `<${made.name()}>`] as const),
    ...command.options.map((made) => [made.attributeName(), made.long ?? made.flags] as const),
  ]);
}

/** Returns an error of the API with the command line's names. */
export function inFlags(error: DistillError, flags: Flags): DistillError {
  return new DistillError(error.code, namesInFlags(error.message, flags), { cause: error });
}

/** Returns a sentence of the API with the command line's names. */
export function namesInFlags(text: string, flags: Flags): string {
  // Options stand between backticks; names with a capital inside are unmistakable, except in a path.
  const names = /`(\w+)`|(?<![\w/\\'".-])([a-z]+[A-Z]\w*)(?![\w/\\'"-])/g;
  return text.replace(
    names,
    (all, quoted?: string, bare?: string) => flags.get(quoted ?? bare ?? '') ?? all,
  );
}
