import { Command, CommanderError } from 'commander';
import { toDistillError } from '../errors.js';
import { version } from '../package.js';
import { exactArguments } from './arguments.js';
import { addCompare } from './compare.js';
import { addDoctor } from './doctor.js';
import { addExport } from './export.js';
import { addInspect, addStats } from './files.js';
import { type Flags, flagsOf, inFlags, namesInFlags } from './flags.js';
import { joinLists } from './lists.js';
import { addLogits } from './logits.js';
import { Output } from './output.js';
import { addPredict } from './predict.js';
import { asksForReference, REFERENCE_FLAGS, referenceProgram } from './reference.js';
import { Ended } from './signals.js';
import { addSweep } from './sweep.js';
import { addTeach } from './teach.js';
import { addTrain } from './train.js';
import { usageError, usageMessage } from './usage.js';

/**
 * The command `distill`, without `setup`, which needs no built package and is handled before.
 *
 * @param argv The arguments alone.
 * @returns The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 by SIGTERM).
 */
export async function main(argv: string[]): Promise<number> {
  // Looked for by hand, so that wrong usage is told in JSON as well.
  const output = new Output({ json: argv.includes('--json'), quiet: argv.includes('--quiet') });
  const isReference = asksForReference(argv);
  const program = tamed(new Command('distill'), output);
  if (isReference) {
    referenceProgram(program, output);
  } else {
    program
      .description('Trains a DenseNet and distils it into a small CNN, on LibTorch.')
      .version(version)
      .addHelpText('after', EPILOGUE);
    addTrain(program, output);
    addTeach(program, output);
    addSweep(program, output);
    addCompare(program, output);
    addPredict(program, output);
    addInspect(program, output);
    addStats(program, output);
    addLogits(program, output);
    addExport(program, output);
    addDoctor(program, output);
    addSetup(program);
  }

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

const EPILOGUE = `
Example:
  distill doctor photos/ --teacher teacher.pth --student student.pth
  distill teach photos/ --teacher teacher.pth --weights densenet121-a639ec97.pth
  distill train photos/ --teacher teacher.pth --student student.pth
  distill predict photos/new --student student.pth
  distill export student.pth -o student.onnx

The form of the reference script is understood as well: distill --task train --help

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`;

/** Makes commander report through us instead of printing errors and ending the process. */
function tamed(program: Command, output: Output): Command {
  return program.exitOverride().configureOutput({
    writeOut: (text) => output.printLines(text.trimEnd()),
    writeErr: (text) => {
      for (const line of text.trimEnd().split('\n')) output.alert(line);
    },
    outputError: () => {},
  });
}

/** Listed for the help; the command's script has handled it before this is reached. */
function addSetup(program: Command): void {
  program
    .command('setup')
    .description(
      'find or bring LibTorch and build the native addon (its help: distill setup --help)',
    )
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw usageError('setup is the first argument: distill setup --help.');
    });
}

/** Reports what commander has to say of the arguments. */
function concludeUsage(error: CommanderError, command: Command, output: Output): number {
  // Help or the version, which is on the screen already. Help that nobody asked for is wrong usage.
  if (error.exitCode === 0) return 0;
  if (error.code !== 'commander.help') output.fail(usageError(usageMessage(error, command)));
  return 2;
}

/** Reports why a command ended. */
function conclude(error: unknown, output: Output, flags: Flags): number {
  if (error instanceof Ended) return error.exitCode;
  const failure = inFlags(toDistillError(error), flags);
  output.fail(failure);
  return failure.code === 'ERR_OPTION' || failure.code === 'ERR_USAGE' ? 2 : 1;
}
