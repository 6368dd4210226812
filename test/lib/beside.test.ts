import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { smallRun, temporaryFolder } from '../helpers/dataset.js';
import { halfMadeIn, stopWhile } from '../helpers/stopping.js';

const folder = temporaryFolder();
const at = (...names: string[]) => path.join(folder, ...names);
const script = fileURLToPath(new URL('scripts/distill.js', pathToFileURL(packageRoot)));
/** The folders that something is written to. */
const places = [at('out'), at('stores'), at('scratch')];
const halfMade = () => places.flatMap(halfMadeIn);

beforeAll(async () => {
  await smallRun(folder);
  for (const place of places) mkdirSync(place, { recursive: true });
});

/** Starts a command on the small pictures. */
function start(command: string, more: string[]): ChildProcess {
  const args = [
    ...[script, command, at('dataset'), '--image-size', '32', '--threads', '1', '--device', 'cpu'],
    ...['--mean', '0.5,0.5,0.5', '--std', '0.2,0.2,0.2', ...more],
  ];
  return spawn(process.execPath, args, {
    env: { ...process.env, TMPDIR: at('scratch'), DISTILL_CACHE: at('cache') },
    stdio: 'ignore',
  });
}

async function end(child: ChildProcess): Promise<void> {
  const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
  expect(code).toBe(0);
}

const [epochs, seeds] = [
  ['--epochs', '1'],
  ['--seeds', '1'],
];
const student = ['--teacher', at('teacher.pth'), '--student', at('out/student.pth')];

test.each<[string, string, string[], string[]]>([
  ['train', 'a store', ['--cache-dir', at('stores'), ...student], epochs],
  ['teach', 'a network', ['--teacher', at('out/taught.pth')], epochs],
  ['sweep', "the trainings' folder", student, [...epochs, ...seeds]],
  ['compare', "the trainings' folder", student, [...epochs, ...seeds]],
])('%s over %s loses nothing of it to a run beside it', async (command, _, options, short) => {
  const held = start(command, options);
  try {
    await stopWhile(held, () => halfMade().length > 0);
    const making = halfMade();
    await end(start(command, [...options, ...short]));
    expect(halfMade()).toEqual(making);
  } finally {
    held.kill('SIGKILL');
    await once(held, 'exit');
  }
});
