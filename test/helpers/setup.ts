// For the tests of `distill setup`: copies of the package whose LibTorch is a few small files. Nothing here touches the
// user's cache, Python or network.
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, expect } from 'vitest';
import { ZipFile } from 'yazl';
import { ARCHIVES } from '../../scripts/setup/pinned.js';
import { temporaryFolder } from './dataset.js';

export const CHECKOUT = path.resolve(import.meta.dirname, '../..');
export const LIBRARY = process.platform === 'darwin' ? 'dylib' : 'so';
export const PUBLISHED = ARCHIVES[`${process.platform}-${process.arch}`];

/** The names of this build's libraries and the contents of its files, by path. */
export type Files = Record<string, string>;

export function libtorchFiles(version: string, cuda = false): Files {
  const files: Files = { 'include/ATen/ATen.h': '', 'version.py': `__version__ = '${version}'\n` };
  for (const name of ['c10', 'torch', 'torch_cpu', ...(cuda ? ['torch_cuda'] : [])]) {
    files[`lib/lib${name}.${LIBRARY}`] = 'a library';
  }
  return files;
}

/** The official archive's tree: `libtorch/` and build-version instead of version.py. */
export function archiveFiles(version: string, cuda = false): Files {
  const { 'version.py': _, ...files } = libtorchFiles(version, cuda);
  return under('libtorch', { ...files, 'build-version': `${version}\n`, 'share/unused': '' });
}

export function under(folder: string, files: Files): Files {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]),
  );
}

export function write(folder: string, files: Files): string {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

export async function zip(files: Files, options: { mode?: number } = {}): Promise<Buffer> {
  const archive = new ZipFile();
  for (const [name, text] of Object.entries(files)) {
    archive.addBuffer(Buffer.from(text), name, { compress: false, ...options });
  }
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export const temporary = temporaryFolder();

const servers: Server[] = [];

afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export const serveArchive = (archive: Buffer) =>
  serve((_request, response) => response.end(archive));

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

interface Place {
  root: string;
  env: NodeJS.ProcessEnv;
  cache: string;
  setup(args?: string[], more?: NodeJS.ProcessEnv): Promise<Outcome>;
}

/** A fresh copy of the package with a cache of its own and no way to anything but what is given. */
export function place(given: NodeJS.ProcessEnv = {}): Place {
  const root = mkdtempSync(path.join(temporary, 'package-'));
  cpSync(path.join(CHECKOUT, 'scripts'), path.join(root, 'scripts'), { recursive: true });
  cpSync(path.join(CHECKOUT, 'package.json'), path.join(root, 'package.json'));
  symlinkSync(path.join(CHECKOUT, 'node_modules'), path.join(root, 'node_modules'));
  const cache = path.join(root, 'cache');
  mkdirSync(path.join(root, 'empty'));
  const env: NodeJS.ProcessEnv = {
    PATH: path.join(root, 'empty'),
    HOME: root,
    DISTILL_CACHE: cache,
    // Port 9 is "discard": nothing listens there.
    DISTILL_LIBTORCH_URL: 'http://127.0.0.1:9',
    PIP_NO_INDEX: '1',
    PIP_CONFIG_FILE: '/dev/null',
    ...given,
  };
  return {
    root,
    env,
    cache,
    setup: (args = ['--no-build'], more = {}) =>
      node(root, ['scripts/distill.js', 'setup', ...args], { ...env, ...more }),
  };
}

export function node(cwd: string, args: string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

/** Expects a message of one screen: few lines, each to the point, and no stack. */
export function expectScreen({ stderr }: Outcome) {
  expect(stderr.split('\n').length).toBeLessThan(24);
  expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
}

/** Expects nothing half made in the cache after a failure. */
export function expectNothingKept(cache: string) {
  expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
}
