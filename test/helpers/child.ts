import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../../lib/package.js';

/** The built package, for processes and workers that run without the tests' TypeScript loader. */
export const built = new URL('dist/index.js', pathToFileURL(packageRoot)).href;

if (!existsSync(new URL(built))) throw new Error('There is no dist/; run `npm run build` first.');

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a module's text in a process of its own, with the package's exports and `input` in scope.
 *
 * @param onLine Told each line that the child prints, with the child.
 */
export function runChild(
  text: string,
  {
    input,
    command = [],
    env = {},
    onLine = () => {},
  }: {
    input?: unknown;
    /** The command that starts Node, such as `unshare -rm`. */
    command?: string[];
    env?: NodeJS.ProcessEnv;
    onLine?: (line: string, child: ChildProcess) => void;
  } = {},
): Promise<Ended> {
  const module = [
    `import { distill, doctor, predict } from '${built}';`,
    'const input = JSON.parse(process.argv[1]);',
    text,
  ].join('\n');
  const [program = process.execPath, ...args] = [
    ...command,
    process.execPath,
    ...['--input-type=module', '--eval', module, '--', JSON.stringify(input ?? null)],
  ];
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return end(child, onLine);
}

/** Runs the command `distill`, on one thread, as other test files run at the same time. */
export function runCommand(args: string[]): Promise<Ended> {
  const script = new URL('scripts/distill.js', pathToFileURL(packageRoot));
  const child = spawn(process.execPath, [fileURLToPath(script), ...args], {
    env: { ...process.env, OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return end(child);
}

function end(
  child: ChildProcessByStdio<null, Readable, Readable>,
  onLine: (line: string, child: ChildProcess) => void = () => {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const seen = stdout.split('\n').length - 1;
      stdout += chunk;
      for (const line of stdout.split('\n').slice(seen, -1)) onLine(line, child);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** True if this system lets the tests mount small disks; otherwise, tests that fill one are skipped. */
export const canMount = findMount();

function findMount(): boolean {
  const { status } = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]);
  if (status !== 0)
    console.warn('Skipping the tests of full disks: unshare and mount do not work.');
  return status === 0;
}

/** The command that starts Node with a disk of its own mounted on `folder`, seen by nobody else. */
export function withDisk(folder: string, options: string): string[] {
  const script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"';
  return ['unshare', '-rm', 'sh', '-c', script, 'sh', options, folder];
}
