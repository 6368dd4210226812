import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'vitest';
import { packageRoot } from '../../lib/package.js';

const folder = path.join(packageRoot, process.env.DISTILL_BUILD || 'build');

function run(command: string, args: string[]): string {
  const { status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  expect({ status, signal, stderr }, stdout).toMatchObject({ status: 0, signal: null });
  return stdout;
}

/** Builds a program of test/native/ and runs it: the lines that it prints, "ok …" or "FAILED …" each. */
export function linesOf(target: string): string[] {
  run('cmake', ['--build', folder, '--target', target]);
  return run(path.join(folder, target), []).trimEnd().split('\n');
}
