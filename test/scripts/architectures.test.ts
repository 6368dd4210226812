import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { python, runPython } from '../helpers/python.js';

const folder = path.join(packageRoot, 'native/core/models/architectures');
const names = readdirSync(folder).map((file) => path.basename(file, '.json'));

/** Returns true with the versions of PyTorch and torchvision that the committed files come from. */
const hasVersions = (): boolean =>
  python !== null &&
  (
    runPython([
      '-c',
      'import json, torch; from importlib.metadata import version as v; print(json.dumps(torch.__version__ + v("torchvision")))',
    ]) as string
  ).match(/^2\.13\.\d+(\+\w+)?0\.28\./) !== null;

test('every file of an architecture becomes part of the addon', () => {
  const list = readFileSync(path.join(packageRoot, 'CMakeLists.txt'), 'utf8').match(
    /foreach\(name\n([^)]+)\)\n {2}set\(file .*architectures\//,
  )?.[1];
  expect(list?.trim().split(/\s+/).sort()).toEqual(names.sort());
});

test('a file of an architecture is JSON with a record a line', () => {
  for (const name of names) {
    const text = readFileSync(path.join(folder, `${name}.json`), 'utf8');
    const { tensors, initialize } = JSON.parse(text);
    expect(tensors.at(-2)[1][0], name).toBe('classes');
    expect(text.split('\n').length, name).toBeGreaterThan(tensors.length + initialize.length);
  }
});

test('no two have the same weights, by which they are told apart', () => {
  const weights = names.map((name) => {
    const { tensors } = JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8'));
    return JSON.stringify(
      tensors.filter(([, shape]: [string, unknown[]]) => shape.length >= 2).sort(),
    );
  });
  expect(new Set(weights).size).toBe(names.length);
});

test.runIf(hasVersions())('the script writes the committed files', () => {
  const script = path.join(packageRoot, 'scripts/architectures.py');
  const { status, stdout, stderr } = spawnSync(python as string, [script, '--check', 'resnet20'], {
    encoding: 'utf8',
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  expect(stderr + stdout).toBe('');
  expect(status).toBe(0);
});
