import { type Command, CommanderError } from 'commander';
import { toDistillError } from '../errors.js';
import { exactArguments } from './arguments.js';
import { type Flags, flagsOf, inFlags, namesInFlags } from './flags.js';
import { joinLists } from './lists.js';
import { Output } from './output.js';
import { createProgram, createReference } from './program.js';
import { asksForReference, REFERENCE_FLAGS } from './reference.js';
import { Ended } from './signals.js';
import { usageError, usageMessage } from './usage.js';

/**
 * Runs the command `distill`, but for `setup`, which needs no built package and is handled before.
 *
 * @param argv The arguments alone.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 by SIGTERM).
 */
export async function main(argv: string[]): Promise<number> {
  // Searched for by hand, so that wrong usage is reported in JSON as well.
  const output = new Output({ json: argv.includes('--json'), quiet: argv.includes('--quiet') });
  const isReference = asksForReference(argv);
  const program = isReference ? createReference(output) : createProgram(output);
  const flags = isReference ? REFERENCE_FLAGS : flagsOf(program);
  output.inFlags = (text) => namesInFlags(text, flags);

  try {
    await program.parseAsync(joinLists(exactArguments(argv)), { from: 'user' });
    output.hideBar();
    await output.flush();
    return 0;
  } catch (error) {
    output.hideBar();
    if (error instanceof CommanderError) {
      const command = program.commands.find((command) => command.name() === argv[0]) ?? program;
      return concludeUsage(error, command, output);
    }
    return conclude(error, output, flags);
  }
}

/** Reports commander's complaint about the arguments, and returns the exit code. */
function concludeUsage(error: CommanderError, command: Command, output: Output): number {
  // Help or the version, which is on the screen already. Help that nobody asked for is wrong usage.
  if (error.exitCode === 0) return 0;
  if (error.code !== 'commander.help') output.fail(usageError(usageMessage(error, command)));
  return 2;
}

/** Reports why a command ended, and returns the exit code. */
function conclude(error: unknown, output: Output, flags: Flags): number {
  if (error instanceof Ended) return error.exitCode;
  const failure = inFlags(toDistillError(error), flags);
  output.fail(failure);
  return failure.code === 'ERR_OPTION' || failure.code === 'ERR_USAGE' ? 2 : 1;
}
