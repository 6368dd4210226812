// For the tests of the command line: it runs in processes of its own, in a temporary folder with small pictures, models and
// labels.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, expect } from 'vitest';
import { loadAddon } from '../../lib/addon.js';

export const script = fileURLToPath(new URL('../../scripts/distill.js', import.meta.url));
export const temporary = mkdtempSync(path.join(tmpdir(), 'distill-cli-'));
export const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(temporary, { recursive: true });
});

// Other test files run at the same time: threads that wait for each other would wait long.
export const env = { ...process.env, OMP_NUM_THREADS: '1' };

/** Paths are relative to the temporary folder, which every command runs in. */
export const at = (name: string) => path.join(temporary, name);

export const PREPROCESSING = ['--mean', '0.485,0.456,0.406', '--std', '(0.229, 0.224, 0.225)'];
/** A training of milliseconds an epoch. Its validation pictures are the same in both classes: it never ends early. */
export const train = (student: string, ...more: string[]) => [
  ...['train', 'hard', '--teacher', 'teacher.pth', '--student', student, '--image-size', '32'],
  ...PREPROCESSING,
  ...more,
];

beforeAll(async () => {
  for (const split of ['train', 'val']) {
    // An apostrophe, for Python's repr.
    for (const [label, name] of ['ants', "bee's"].entries()) {
      for (let i = 0; i < 4; i++) {
        const shade = 40 * i + (split === 'train' ? label * 20 : 0);
        await picture(`hard/${split}/${name}/${i}.png`, [shade, 90, 255 - shade]);
        if (i < 2) {
          await picture(`easy/${split}/${name}/${i}.png`, label ? [250, 90, i] : [i, 90, 250]);
        }
      }
    }
  }
  await loadAddon().createModel({
    path: at('teacher.pth'),
    architecture: 'densenet121',
    classes: 2,
    seed: 1,
  });
  await loadAddon().createModel({
    path: at('bare.pth'),
    architecture: 'cnn',
    classes: 2,
    seed: 1,
  });
  writeFileSync(at('labels.txt'), "0 ants\n1 bee's\n");
  const { code, stderr } = await run(train('student.pth', '--epochs', '2'));
  expect({ code, stderr }).toMatchObject({ code: 0 });
});

export async function picture(name: string, [r, g, b]: [number, number, number] | number[]) {
  mkdirSync(path.dirname(at(name)), { recursive: true });
  const background = { r: r ?? 0, g: g ?? 0, b: b ?? 0 };
  await sharp({ create: { width: 40, height: 36, channels: 3, background } })
    .png()
    .toFile(at(name));
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a command in the temporary folder.
 *
 * @param watch Sees everything written so far whenever there is more.
 */
export function run(
  args: string[],
  watch: (child: ChildProcess, written: string) => void = () => {},
): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...args], { cwd: temporary, env, stdio: 'pipe' });
  running.add(child);
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      watch(child, written.stdout + written.stderr);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      running.delete(child);
      // A LibTorch that is built for a GPU warns if there is none (test/native/device.test.ts).
      const [stdout, stderr] = [written.stdout, written.stderr].map((text) =>
        text.replace(/^.*WARN_NO_GPU.*\n/gm, ''),
      ) as [string, string];
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/** Runs a command, and sends it a signal at each of the patterns, in turn. */
export function runAndSignal(args: string[], signal: NodeJS.Signals, ...patterns: RegExp[]) {
  return run(args, (child, written) => {
    if (patterns[0]?.test(written)) {
      patterns.shift();
      child.kill(signal);
    }
  });
}

/** The lines of a text that are not empty. */
export const lines = (text: string) => text.split('\n').filter((line) => line !== '');
/** The events that `--json` prints. */
export const events = (text: string) =>
  lines(text).map((line) => JSON.parse(line) as Record<string, unknown> & { event: string });
