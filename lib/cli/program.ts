import { Command } from 'commander';
import { version } from '../package.js';
import { addCompare } from './compare.js';
import { addDoctor } from './doctor.js';
import { addExport } from './export.js';
import { addInspect } from './inspect.js';
import { addLogits } from './logits.js';
import type { Output } from './output.js';
import { addPredict } from './predict.js';
import { referenceProgram } from './reference.js';
import { addResume } from './resume.js';
import { addStats } from './stats.js';
import { addSweep } from './sweep.js';
import { addTeach } from './teach.js';
import { addTrain } from './train.js';
import { usageError } from './usage.js';

/** Creates the command `distill` with all its commands. */
export function createProgram(output: Output): Command {
  const program = tamed(new Command('distill'), output)
    .description('Distils a large image classifier into a small one, on LibTorch.')
    .version(version)
    .addHelpText('after', EPILOGUE);
  addTrain(program, output);
  addTeach(program, output);
  addSweep(program, output);
  addCompare(program, output);
  addResume(program, output);
  addPredict(program, output);
  addInspect(program, output);
  addStats(program, output);
  addLogits(program, output);
  addExport(program, output);
  addDoctor(program, output);
  addSetup(program);
  return program;
}

/** Creates the command `distill` in the form of the reference script. */
export function createReference(output: Output): Command {
  const program = tamed(new Command('distill'), output);
  referenceProgram(program, output);
  return program;
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

/** Makes commander write to our output, and throw instead of ending the process. */
function tamed(program: Command, output: Output): Command {
  return program.exitOverride().configureOutput({
    writeOut: (text) => output.printLines(text.trimEnd()),
    writeErr: (text) => {
      for (const line of text.trimEnd().split('\n')) output.alert(line);
    },
    outputError: () => {},
  });
}

/** Lists `setup` in the help; the command's script has handled it before this is reached. */
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
