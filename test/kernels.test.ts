import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../lib/native.js';

// native/kernels.cpp compares each kernel with plain ATen operators, on one thread and on several; here its
// lines are read.

const folder = path.join(packageRoot, 'build');

function run(command: string, args: string[]): string {
  const { status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  expect({ status, signal, stderr }, stdout).toMatchObject({ status: 0, signal: null });
  return stdout;
}

describe('kernels compute what plain ATen operators do', () => {
  run('cmake', ['--build', folder, '--target', 'kernel_test']);
  const lines = run(path.join(folder, 'kernel_test'), []).trimEnd().split('\n');

  test.each([
    'norm_relu_pool max training',
    'norm_relu_pool max evaluation',
    'norm_relu_pool average training',
    'norm_relu_pool average evaluation',
    'norm_relu ',
    'norm_relu_average2',
    'stem',
    'convolution',
    'normalize',
  ])('%s', (kernel) => {
    const compared = lines.filter((line) => line.replace(/^\w+ /, '').startsWith(kernel));
    expect(compared.length).toBeGreaterThan(5);
    expect(compared.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
