import type { Command } from 'commander';
import type { DoctorResult } from '../doctor/examination.js';
import { doctor } from '../doctor.js';
import type { Finding } from '../options/doctor.js';
import { type DoctorOptions, doctorOptions } from '../options/doctor.js';
import { count } from '../words.js';
import { type Flags, flagsOf, namesInFlags } from './flags.js';
import { addCall, jsonOption, quietOption } from './options.js';
import type { Output } from './output.js';
import { Ended, interruptible } from './signals.js';

export function addDoctor(program: Command, output: Output): void {
  const command = addCall(program, doctorOptions, {
    name: 'doctor',
    description:
      'check installation, pictures and teacher before a long run; takes the options of train',
    argument: '[dataset]',
  });
  command.addOption(jsonOption()).addOption(quietOption());
  command.action(async (dataset: string | undefined, { json, quiet, ...given }) => {
    // Parsed, but checked only by the API.
    const options = { dataset, ...given } as DoctorOptions;
    const flags = flagsOf(program);
    const result = await interruptible(output, 'Stopping.', (signal) =>
      doctor({
        ...options,
        signal,
        onFinding: (finding) => print(inFlags(finding, flags), output),
        onProgress: ({ check, done, total }) =>
          output.showBar({
            label: check === 'pictures' ? 'decoding ' : 'answering',
            fraction: done / total,
            text: `${done}/${total} pictures`,
          }),
      }),
    );
    conclude(result, flags, output);
  });
}

/** Returns a finding with the command line's names. */
function inFlags(finding: Finding, flags: Flags): Finding {
  const { message, remedy } = finding;
  return {
    ...finding,
    message: namesInFlags(message, flags),
    remedy: remedy && namesInFlags(remedy, flags),
  };
}

const COLOURS = { ok: 'green', warning: 'yellow', problem: 'red' } as const;
/** The room before messages. */
const INDENT = ' '.repeat(9);

function print(finding: Finding, output: Output): void {
  if (output.json) {
    output.event('finding', finding);
    return;
  }
  const { status, code, message, remedy, details } = finding;
  if (status === 'ok' && output.quiet) return;
  const line = `${message}${code === null ? '' : ` (${code})`}`;
  output.printMarked(COLOURS[status], status.padEnd(INDENT.length), line);
  for (const line of details) output.print(`${INDENT}  ${line}`);
  if (remedy !== null) output.print(`${INDENT}-> ${remedy}`);
}

/** Prints the totals; problems make the exit code 1. */
function conclude(result: DoctorResult, flags: Flags, output: Output): void {
  const { problems, warnings } = result;
  if (output.json) {
    const findings = result.findings.map((finding) => inFlags(finding, flags));
    output.event('result', { ...result, findings });
  } else {
    output.print(
      problems + warnings === 0
        ? 'All is well.'
        : `${count(problems, 'problem')}, ${count(warnings, 'warning')}.`,
    );
  }
  if (problems > 0) throw new Ended(1);
}
