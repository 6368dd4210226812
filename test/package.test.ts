import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../lib/package.js';
import { smallRun, temporaryFolder } from './helpers/dataset.js';

const folder = temporaryFolder();

/** Runs a program in the user's project and returns what it prints. */
function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
}

// npm tells its scripts settings of this checkout, which are not those of the user's project.
for (const name of Object.keys(process.env)) {
  if (name.startsWith('npm_')) delete process.env[name];
}

const program = `
  import { distill, exportOnnx, inspect, predict } from 'node-distill';
  const options = JSON.parse(process.argv[2]);
  const result = await distill(options);
  const predictions = [];
  for await (const prediction of predict({ student: options.student, images: options.dataset + '/val' })) {
    predictions.push(prediction.label);
  }
  const { architecture } = await inspect(options.student);
  const { opset, check } = await exportOnnx(options.student, 'student.onnx', { onWarning() {} });
  console.log(JSON.stringify({ epochs: result.epochs, predictions, architecture, opset, check }));
`;

const typed = `
  import { convert, distill, type DistillOptions, type DistillResult, DistillError, type ErrorCode, exportOnnx, predict, teacherLogits } from 'node-distill';
  const options: DistillOptions = { teacher: 't', student: 's', dataset: 'd', mean: [0, 0, 0], std: [1, 1, 1] };
  const result: DistillResult = await distill(options).on('epoch', (epoch) => epoch.valAccuracy.toFixed(2));
  for await (const { label, probability } of predict({ student: result.student, images: 'd' })) {
    console.log(label.length + probability);
  }
  const { path } = await teacherLogits({ teacher: 't', output: 'l', dataset: 'd' });
  const { format } = await convert(result.student, 's.safetensors');
  const { input, check } = await exportOnnx(path, format, { input: 'float', softmax: false });
  console.log(input.shape, check?.maxDifference);
  // @ts-expect-error There is no such option.
  distill({ ...options, temprature: 2 });
  export const code: ErrorCode = new DistillError('ERR_OPTION', 'message').code;
  // @ts-expect-error There is no such code.
  new DistillError('ERR_OPTIONS', 'message');
`;

test('the packed package installs elsewhere, says what it lacks, builds, trains and predicts', async () => {
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
      cwd: packageRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).replace(/^[^[{]*/, ''),
  );
  const files: string[] = packed.files.map((file: { path: string }) => file.path);
  const rooms = new Set(files.map((file) => file.split('/')[0]));
  expect([...rooms].sort()).toEqual(
    [
      'CHANGELOG.md',
      'CMakeLists.txt',
      'LICENSE',
      'README.md',
      'dist',
      'docs',
      'native',
      'package.json',
      'scripts',
    ].sort(),
  );
  expect(
    files.filter(
      (file) => /^scripts\/(?!distill\.js|setup\/)|\.ts$/.test(file) && !file.endsWith('.d.ts'),
    ),
  ).toEqual([]);

  writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'user', type: 'module' }),
  );
  run('npm', 'install', '--ignore-scripts', path.join(folder, packed.filename));
  writeFileSync(path.join(folder, 'run.js'), program);
  const given = JSON.stringify(await smallRun(folder));

  // Without the addon: importing is no error, the first call is.
  const without = spawnSync(process.execPath, ['run.js', given], { cwd: folder, encoding: 'utf8' });
  expect(without.status).toBe(1);
  expect(without.stderr).toContain('ERR_ADDON_MISSING');
  expect(without.stderr).toContain('npx distill setup');
  const command = spawnSync('npx', ['distill', 'inspect', 'x.pth'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(command.status).toBe(1);
  expect(command.stderr).toContain('npx distill setup');
  expect(command.stderr).not.toMatch(/^\s+at /m);

  // The install script and the step by hand are the same; the second finds nothing left to do.
  run('npm', 'rebuild', 'node-distill');
  run('npx', 'distill', 'setup');
  const outcome = JSON.parse(run(process.execPath, 'run.js', given).trim());
  expect(outcome).toMatchObject({ epochs: 2, architecture: 'cnn', opset: 26, check: null });
  expect(outcome.predictions).toHaveLength(7);

  writeFileSync(path.join(folder, 'typed.ts'), typed);
  const tsc = path.join(packageRoot, 'node_modules/typescript/bin/tsc');
  const types = path.join(packageRoot, 'node_modules/@types');
  run(
    process.execPath,
    tsc,
    ...['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext'],
    ...['--moduleResolution', 'nodenext', '--typeRoots', types, '--types', 'node', 'typed.ts'],
  );
});

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

test.runIf(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19))(
  'require() takes it as well',
  () => {
    mkdirSync(path.join(folder, 'commonjs/node_modules'), { recursive: true });
    symlinkSync(packageRoot, path.join(folder, 'commonjs/node_modules/node-distill'));
    const script =
      "const { distill, predict } = require('node-distill'); console.log(typeof distill, typeof predict)";
    const { stdout } = spawnSync(process.execPath, ['--eval', script], {
      cwd: path.join(folder, 'commonjs'),
      encoding: 'utf8',
    });
    expect(stdout).toBe('function function\n');
  },
);
