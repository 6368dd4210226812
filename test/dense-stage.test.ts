import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../lib/native.js';

// native/dense_stage.cpp compares a DenseNet's stage in training with plain ATen operators, on one thread and on
// several; here its lines are read.

const folder = path.join(packageRoot, 'build');

function run(command: string, args: string[]): string {
  const { status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  expect({ status, signal, stderr }, stdout).toMatchObject({ status: 0, signal: null });
  return stdout;
}

describe('training computes what plain ATen operators do', () => {
  run('cmake', ['--build', folder, '--target', 'dense_stage_test']);
  const lines = run(path.join(folder, 'dense_stage_test'), []).trimEnd().split('\n');

  test.each(['stage average2', 'stage average ', 'norm_relu_train'])('%s', (part) => {
    const compared = lines.filter((line) => line.replace(/^\w+ /, '').startsWith(part));
    expect(compared.length).toBeGreaterThan(100);
    expect(compared.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
