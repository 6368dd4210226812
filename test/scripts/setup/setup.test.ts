// `distill setup` in processes of its own, on copies of the package whose LibTorch is a few small
// files. Nothing here touches the user's cache, Python or network.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ZipFile } from 'yazl';
import { cachedBuild, cacheFolder, needRoom } from '../../../scripts/setup/cache.js';
import {
  ARCHIVES,
  CUDA_ARCHIVE_COMPANIONS,
  VERSION,
  VERSIONS,
} from '../../../scripts/setup/pinned.js';
import { companionsOf } from '../../../scripts/setup/pip.js';

const CHECKOUT = path.resolve(import.meta.dirname, '../../..');
const LIBRARY = process.platform === 'darwin' ? 'dylib' : 'so';
const PUBLISHED = ARCHIVES[`${process.platform}-${process.arch}`];
const HAS_PIP = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
const HAS_TOOLS = ['cmake', 'c++'].every((name) => spawnSync(name, ['--version']).status === 0);

/** The names of this build's libraries and the contents of its files, by path. */
type Files = Record<string, string>;

function libtorchFiles(version: string, cuda = false): Files {
  const files: Files = { 'include/ATen/ATen.h': '', 'version.py': `__version__ = '${version}'\n` };
  for (const name of ['c10', 'torch', 'torch_cpu', ...(cuda ? ['torch_cuda'] : [])]) {
    files[`lib/lib${name}.${LIBRARY}`] = 'a library';
  }
  return files;
}

/** The official archive's tree: `libtorch/` and build-version instead of version.py. */
function archiveFiles(version: string, cuda = false): Files {
  const { 'version.py': _, ...files } = libtorchFiles(version, cuda);
  return under('libtorch', { ...files, 'build-version': `${version}\n`, 'share/unused': '' });
}

function under(folder: string, files: Files): Files {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]),
  );
}

function write(folder: string, files: Files): string {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

async function zip(files: Files, options: { mode?: number } = {}): Promise<Buffer> {
  const archive = new ZipFile();
  for (const [name, text] of Object.entries(files)) {
    archive.addBuffer(Buffer.from(text), name, { compress: false, ...options });
  }
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Replaces text inside an archive by text of the same length, as an attacker's tool would. */
function patch(archive: Buffer, from: string, to: string): Buffer {
  return Buffer.from(archive.toString('latin1').replaceAll(from, to), 'latin1');
}

let temporary: string;
let python: string;
const servers: Server[] = [];

beforeAll(() => {
  temporary = mkdtempSync(path.join(os.tmpdir(), 'distill-setup-'));
  // A Python without torch and without pip, whatever the machine's own one has.
  const created = spawnSync('python3', ['-m', 'venv', '--without-pip', `${temporary}/venv`]);
  python = created.status === 0 ? path.join(temporary, 'venv/bin') : '';
});

afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(temporary, { recursive: true, force: true });
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serveArchive = (archive: Buffer) => serve((_request, response) => response.end(archive));

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
function place(given: NodeJS.ProcessEnv = {}): Place {
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

function node(cwd: string, args: string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr });
    });
  });
}

/** One screen: few lines, each to the point, and no stack. */
function expectScreen({ stderr }: Outcome) {
  expect(stderr.split('\n').length).toBeLessThan(24);
  expect(stderr).not.toMatch(/^\s+at .*:\d+/m);
}

/** Whatever failed, no half of it stays in the cache. */
function expectNothingKept(cache: string) {
  expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
}

describe('LIBTORCH', () => {
  it('is taken as it is', async () => {
    const { root, setup } = place();
    const folder = write(`${root}/mine`, libtorchFiles(VERSION));
    expect(await setup(undefined, { LIBTORCH: folder })).toMatchObject({
      code: 0,
      stdout: `${folder}\n`,
    });
  });

  it('may be of any version that the addon is written for', async () => {
    const { root, setup } = place();
    for (const version of VERSIONS) {
      const folder = write(`${root}/${version}`, libtorchFiles(`${version}+cpu`));
      expect((await setup(undefined, { LIBTORCH: folder })).stdout).toBe(`${folder}\n`);
    }
  });

  it('may be a LibTorch of a distribution, whose headers alone say the version', async () => {
    const { root, setup } = place();
    const { 'version.py': _, ...files } = libtorchFiles('');
    const header = VERSION.split('.')
      .map((n, i) => `#define TORCH_VERSION_${['MAJOR', 'MINOR', 'PATCH'][i]} ${n}\n`)
      .join('');
    write(`${root}/mine`, { ...files, 'include/torch/headeronly/version.h': header });
    expect((await setup(undefined, { LIBTORCH: 'mine' })).stdout).toBe(`${root}/mine\n`);
  });

  it('is never passed over in silence', async () => {
    const { root, setup } = place();
    const cases: [string, Files, RegExp][] = [
      ['empty', {}, /holds no include\/ATen\/ATen\.h/],
      [
        'older',
        libtorchFiles('2.4.1+cpu'),
        /is LibTorch 2\.4\.1\+cpu, and 2\.13\.0 or 2\.14\.1 is needed/,
      ],
      ['mute', { ...libtorchFiles(''), 'version.py': '' }, /does not say its version/],
    ];
    const headers = libtorchFiles(VERSION);
    delete headers[`lib/libtorch_cpu.${LIBRARY}`];
    cases.push(['partial', headers, /holds no lib\/libtorch_cpu/]);
    for (const [name, files, problem] of cases) {
      const outcome = await setup(undefined, { LIBTORCH: write(`${root}/${name}`, files) });
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toContain(`${root}/${name}`);
      expect(outcome.stderr).toMatch(problem);
      expectScreen(outcome);
    }
  });

  it('is named without its control characters being obeyed', async () => {
    const { root, setup } = place();
    const folder = write(`${root}/\x1b[31mred`, {});
    const { code, stderr } = await setup(undefined, { LIBTORCH: folder });
    expect(code).toBe(1);
    expect(stderr).toContain(`${root}/\\x1b[31mred`);
    expect(stderr).not.toContain('\x1b');
  });

  it.runIf(process.platform === 'linux')('of another architecture is named', async () => {
    const { root, setup } = place();
    const other =
      process.arch === 'x64' ? { number: 183, name: 'arm64' } : { number: 62, name: 'x64' };
    const header = Buffer.alloc(64);
    header.write('\x7fELF', 'latin1');
    header.writeUInt16LE(other.number, 18);
    const files = libtorchFiles(VERSION);
    files['lib/libc10.so'] = header.toString('latin1');
    write(`${root}/mine`, files);
    writeFileSync(`${root}/mine/lib/libc10.so`, header);
    const outcome = await setup(undefined, { LIBTORCH: `${root}/mine` });
    expect(outcome.stderr).toContain(`is built for ${other.name}, and this Node runs on`);
  });

  it('must be a CUDA build where DISTILL_LIBTORCH asks for one', async () => {
    const { root, setup } = place({ DISTILL_LIBTORCH: 'cuda' });
    const cpu = write(`${root}/cpu`, libtorchFiles(VERSION));
    const cuda = write(`${root}/cuda`, libtorchFiles(VERSION, true));
    expect((await setup(undefined, { LIBTORCH: cpu })).stderr).toContain('is a CPU build');
    expect((await setup(undefined, { LIBTORCH: cuda })).stdout).toBe(`${cuda}\n`);
  });
});

describe('wrong usage ends with 2', () => {
  it('for an unknown option, and for a build that does not exist', async () => {
    const { setup } = place();
    const option = await setup(['--frobnicate']);
    expect(option).toMatchObject({ code: 2 });
    expect(option.stderr).toContain('--frobnicate');
    const build = await setup(undefined, { DISTILL_LIBTORCH: 'gpu' });
    expect(build).toMatchObject({ code: 2 });
    expect(build.stderr).toContain("DISTILL_LIBTORCH is 'gpu'");
  });
});

describe('the cache', () => {
  it('lies where the user says, or in the user’s cache folder', () => {
    expect(cacheFolder({ DISTILL_CACHE: '/a/b' })).toBe('/a/b');
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/node-distill');
    expect(cacheFolder({})).toMatch(/(\.cache|Caches)\/node-distill$/);
    expect(cachedBuild({ DISTILL_CACHE: '/a' }, true)).toBe(`/a/libtorch-${VERSION}-cuda`);
  });

  it('serves before anything is fetched, whichever build it holds', async () => {
    for (const kind of ['cpu', 'cuda']) {
      const { cache, setup } = place();
      const folder = `${cache}/libtorch-${VERSION}-${kind}/torch`;
      write(folder, libtorchFiles(VERSION, kind === 'cuda'));
      expect((await setup()).stdout).toBe(`${folder}\n`);
    }
  });

  it.runIf(PUBLISHED)(
    'is replaced when it holds another version, and when --force asks',
    async () => {
      const { cache, setup } = place({
        DISTILL_LIBTORCH_URL: await serveArchive(await zip(archiveFiles(`${VERSION}+cpu`))),
      });
      const folder = `${cache}/libtorch-${VERSION}-cpu/torch`;
      write(folder, { ...libtorchFiles('2.4.1'), 'old.txt': '' });
      expect((await setup()).stdout).toBe(`${folder}\n`);
      expect(existsSync(`${folder}/old.txt`)).toBe(false);

      write(folder, { 'old.txt': '' });
      expect((await setup()).code).toBe(0);
      expect(existsSync(`${folder}/old.txt`)).toBe(true);
      expect((await setup(['--no-build', '--force'])).code).toBe(0);
      expect(existsSync(`${folder}/old.txt`)).toBe(false);
      expect(readdirSync(cache)).toEqual([`libtorch-${VERSION}-cpu`]);
    },
  );

  it('is named when it holds another version and nothing can replace it', async () => {
    const { cache, setup } = place();
    write(`${cache}/libtorch-${VERSION}-cpu/torch`, libtorchFiles('2.4.1'));
    expect((await setup()).stderr).toMatch(/earlier install: .* is LibTorch 2\.4\.1/);
  });

  it.runIf(PUBLISHED)('survives two installs at once', async () => {
    const { cache, setup } = place({
      DISTILL_LIBTORCH_URL: await serveArchive(await zip(archiveFiles(VERSION))),
    });
    const outcomes = await Promise.all([setup(), setup(), setup()]);
    expect(outcomes.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      outcomes.map(({ stderr }) => ({ code: 0, stderr })),
    );
    expect(readdirSync(cache)).toEqual([`libtorch-${VERSION}-cpu`]);
  });

  it.runIf(PUBLISHED)('is named when it cannot be written', async () => {
    const { root, setup } = place({
      DISTILL_LIBTORCH_URL: await serveArchive(await zip(archiveFiles(VERSION))),
    });
    const outcome = await setup(undefined, { DISTILL_CACHE: `${root}/package.json/cache` });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/the cache cannot be written: .*package\.json/);
    expect(outcome.stderr).toContain('DISTILL_CACHE=<folder> npx distill setup');
  });

  it('says how much room is missing', async () => {
    await expect(needRoom(temporary, 1e18)).rejects.toThrow(/needs .* GB .*DISTILL_CACHE/);
    await expect(needRoom(temporary, 1)).resolves.toBeUndefined();
  });
});

describe('the active Python', () => {
  it.runIf(HAS_PIP)('gives its torch, which is not imported', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const { root, setup } = place({ PATH: python });
    write(`${root}/site/torch`, {
      ...libtorchFiles(VERSION),
      '__init__.py': 'raise Exception("imported")',
    });
    const outcome = await setup(undefined, { PYTHONPATH: `${root}/site` });
    expect(outcome).toMatchObject({ code: 0, stdout: `${root}/site/torch\n` });
    // An active virtual environment is asked before PATH.
    const virtual = { PATH: '', VIRTUAL_ENV: path.dirname(python), PYTHONPATH: `${root}/site` };
    expect((await setup(undefined, virtual)).code).toBe(0);
  });

  it.runIf(HAS_PIP)('is passed over when its torch is another version', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const { root, setup } = place({ PATH: python });
    write(`${root}/site/torch`, { ...libtorchFiles('2.4.1'), '__init__.py': '' });
    const outcome = await setup(undefined, { PYTHONPATH: `${root}/site` });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/active Python: the torch of .* is LibTorch 2\.4\.1/);
  });

  it.runIf(HAS_PIP)('does not take a folder torch/ where it is started for PyTorch', async () => {
    const { root, setup } = place({ PATH: python });
    write(`${root}/torch`, { ...libtorchFiles(VERSION), '__init__.py': '' });
    expect((await setup()).stderr).toMatch(/active Python: .* has no torch/);
  });
});

describe.runIf(PUBLISHED)('the official archive', () => {
  it('is downloaded, checked and kept, without what the addon does not need', async () => {
    let asked = '';
    const archive = await zip(archiveFiles(`${VERSION}+cpu`));
    const { cache, setup } = place({
      DISTILL_LIBTORCH_URL: await serve((request, response) => {
        asked = request.url ?? '';
        response.end(archive);
      }),
    });
    const folder = `${cache}/libtorch-${VERSION}-cpu/torch`;
    expect(await setup()).toMatchObject({ code: 0, stdout: `${folder}\n` });
    expect(asked).toBe(`/${PUBLISHED?.cpu}`);
    expect(readdirSync(folder).sort()).toEqual(['build-version', 'include', 'lib']);
  });

  it('is refused when it is broken, evil or another version, and nothing of it stays', async () => {
    const good = await zip(archiveFiles(VERSION));
    const evil = await zip({ ...archiveFiles(VERSION), 'XX/evil': 'x', 'Y/absolute': 'x' });
    const cases: [string, Buffer, RegExp][] = [
      ['damaged', patch(good, 'a library', 'a LIBRARY'), /libc10.* is damaged/],
      ['cut', good.subarray(0, good.length / 2), /cannot be unpacked/],
      ['no archive', Buffer.from('<html>Log in to the network</html>'), /cannot be unpacked/],
      ['climbing', patch(evil, 'XX/evil', '../evil'), /invalid relative path: \.\.\/evil/],
      ['absolute', patch(evil, 'Y/absolute', '//absolute'), /absolute path: \/\/absolute/],
      ['link', await zip(archiveFiles(VERSION), { mode: 0o120777 }), /is a link/],
      ['older', await zip(archiveFiles('2.4.1+cpu')), /is LibTorch 2\.4\.1\+cpu/],
      ['empty', await zip({ 'readme.txt': '' }), /holds no include\/ATen/],
    ];
    for (const [name, archive, problem] of cases) {
      const { root, cache, setup } = place({ DISTILL_LIBTORCH_URL: await serveArchive(archive) });
      const outcome = await setup();
      expect(outcome.code, name).toBe(1);
      expect(outcome.stderr, name).toMatch(problem);
      expectScreen(outcome);
      expectNothingKept(cache);
      expect(existsSync(path.join(root, 'evil')), name).toBe(false);
    }
  });

  it('may be answered with an error, or end before its announced length', async () => {
    const missing = place({
      DISTILL_LIBTORCH_URL: await serve((_request, response) => response.writeHead(404).end()),
    });
    expect((await missing.setup()).stderr).toMatch(/official archive: .*the server answered 404/);

    const cut = place({
      DISTILL_LIBTORCH_URL: await serve((_request, response) => {
        response.writeHead(200, { 'content-length': 1000 });
        response.write('PK', () => response.destroy());
      }),
    });
    expect((await cut.setup()).stderr).toMatch(/official archive: .*\.zip: /);
    expectNothingKept(cut.cache);
  });

  it('is given up in seconds where no server answers, or one falls silent', async () => {
    const silent = place({ DISTILL_LIBTORCH_URL: await serve(() => {}) });
    const stalling = place({
      DISTILL_LIBTORCH_URL: await serve((_request, response) => {
        response.writeHead(200, { 'content-length': 1000 }).write('PK');
      }),
    });
    const closed = place();
    const [one, two, three] = await Promise.all([silent.setup(), stalling.setup(), closed.setup()]);
    expect(one.stderr).toMatch(/official archive: .*no answer in 5 s/);
    expect(two.stderr).toMatch(/official archive: .*no byte came for 10 s/);
    expect(three.stderr).toMatch(/official archive: .*(ECONNREFUSED|bad port)/);
    for (const { cache } of [silent, stalling, closed]) expectNothingKept(cache);
  });

  it('leaves nothing when the user stops it', async () => {
    const { root, env, cache } = place({
      DISTILL_LIBTORCH_URL: await serve((_request, response) => {
        response.writeHead(200, { 'content-length': 1000 }).write('PK');
      }),
    });
    const child = spawn(process.execPath, ['scripts/distill.js', 'setup', '--no-build'], {
      cwd: root,
      env,
    });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await vi.waitUntil(() => existsSync(cache) && readdirSync(cache).length > 0, 30_000);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expectNothingKept(cache);
  });

  it.runIf(PUBLISHED?.cuda)('of CUDA is not even fetched without pip', async () => {
    const { setup } = place({ DISTILL_LIBTORCH: 'cuda' });
    expect((await setup()).stderr).toMatch(/official archive: .*NVIDIA libraries.*no pip/);
  });
});

/** A wheel, which is a zip with a folder of metadata. */
function wheel(name: string, version: string, files: Files, requires: string[] = []) {
  const info = `${name.replaceAll('-', '_')}-${version}.dist-info`;
  const metadata = [
    'Metadata-Version: 2.1',
    `Name: ${name}`,
    `Version: ${version}`,
    ...requires.map((requirement) => `Requires-Dist: ${requirement}`),
  ];
  const wheelFile = ['Wheel-Version: 1.0', 'Root-Is-Purelib: true', 'Tag: py3-none-any'];
  return zip({
    ...files,
    [`${info}/METADATA`]: `${metadata.join('\n')}\n`,
    [`${info}/WHEEL`]: `${wheelFile.join('\n')}\n`,
    [`${info}/RECORD`]: '',
  });
}

// The real pip, over a folder of small wheels.
describe.runIf(HAS_PIP)('pip', () => {
  let wheels: string;
  let site: string;

  beforeAll(async () => {
    wheels = path.join(temporary, 'wheels');
    // pip's own package alone, so that a torch beside it is not seen.
    site = path.join(temporary, 'pip-only');
    mkdirSync(site, { recursive: true });
    const pip = execFileSync('python3', [
      '-c',
      'import pip, os; print(os.path.dirname(pip.__file__))',
    ]);
    symlinkSync(pip.toString().trim(), path.join(site, 'pip'));
  });

  async function fill(name: string, contents: Record<string, Buffer>) {
    const folder = path.join(wheels, name);
    mkdirSync(folder, { recursive: true });
    for (const [file, content] of Object.entries(contents)) {
      writeFileSync(path.join(folder, file), content);
    }
    return { PATH: python, PYTHONPATH: site, PIP_FIND_LINKS: folder };
  }

  it('brings the wheel, of which the C++ part is kept', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const files = { ...libtorchFiles(`${VERSION}+cpu`), '__init__.py': '', 'nn/unused.py': '' };
    const { cache, setup } = place(
      await fill('cpu', {
        [`torch-${VERSION}-py3-none-any.whl`]: await wheel('torch', VERSION, under('torch', files)),
      }),
    );
    const folder = `${cache}/libtorch-${VERSION}-cpu/torch`;
    expect(await setup()).toMatchObject({ code: 0, stdout: `${folder}\n` });
    expect(readdirSync(folder).sort()).toEqual(['include', 'lib', 'version.py']);
    expect(readdirSync(cache)).toEqual([`libtorch-${VERSION}-cpu`]);
  });

  it('brings the NVIDIA packages of a CUDA wheel, and theirs, beside it', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const files = under('torch', libtorchFiles(`${VERSION}+cu130`, true));
    const { cache, setup } = place(
      await fill('cuda', {
        [`torch-${VERSION}-py3-none-any.whl`]: await wheel('torch', VERSION, files, [
          'filelock',
          'triton==3.7.1',
          'nvidia-fake-cu13==1.0; python_version >= "3"',
          'nvidia-absent==1.0; platform_system == "Plan9"',
        ]),
        'nvidia_fake_cu13-1.0-py3-none-any.whl': await wheel(
          'nvidia-fake-cu13',
          '1.0',
          { 'nvidia/fake/lib/libfake.so.1': 'x', 'nvidia/__init__.py': '' },
          ['nvidia-deeper'],
        ),
        'nvidia_deeper-2.0-py3-none-any.whl': await wheel('nvidia-deeper', '2.0', {
          'nvidia/deeper/lib/libdeeper.so.2': 'x',
        }),
      }),
    );
    const build = `${cache}/libtorch-${VERSION}-cuda`;
    const outcome = await setup();
    expect(outcome).toMatchObject({ code: 0, stdout: `${build}/torch\n` });
    expect(outcome.stderr).toContain('CUDA build');
    expect(readdirSync(build).sort()).toEqual(['nvidia', 'torch']);
    expect(existsSync(`${build}/nvidia/fake/lib/libfake.so.1`)).toBe(true);
    expect(existsSync(`${build}/nvidia/deeper/lib/libdeeper.so.2`)).toBe(true);
  });

  it('brings the CUDA wheel that is asked for, where one for the CPU is on offer', async ({
    skip,
  }) => {
    if (!python) skip('this Python makes no virtual environments');
    const offer: Record<string, Buffer> = {};
    for (const version of [VERSION, `${VERSION}+cpu`]) {
      const files = under('torch', libtorchFiles(version, version === VERSION));
      offer[`torch-${version}-py3-none-any.whl`] = await wheel('torch', version, files);
    }
    const { cache, setup } = place({ ...(await fill('both', offer)), DISTILL_LIBTORCH: 'cuda' });
    expect((await setup()).stdout).toBe(`${cache}/libtorch-${VERSION}-cuda/torch\n`);
  });

  it.runIf(PUBLISHED?.cuda)('completes the CUDA archive as well', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const companions: Record<string, Buffer> = {};
    for (const requirement of CUDA_ARCHIVE_COMPANIONS) {
      const [, name = '', version = ''] = /^([\w-]+).*==([\d.]+)/.exec(requirement) ?? [];
      const file = `${name.replaceAll('-', '_')}-${version}-py3-none-any.whl`;
      companions[file] = await wheel(name, version, { [`nvidia/${name}/lib/lib.so`]: 'x' });
    }
    const archive = await zip(archiveFiles(`${VERSION}+cu130`, true));
    const { cache, setup } = place({
      ...(await fill('companions', companions)),
      DISTILL_LIBTORCH: 'cuda',
      DISTILL_LIBTORCH_URL: await serveArchive(archive),
    });
    const build = `${cache}/libtorch-${VERSION}-cuda`;
    expect(await setup()).toMatchObject({ code: 0, stdout: `${build}/torch\n` });
    expect(readdirSync(`${build}/nvidia`).length).toBe(CUDA_ARCHIVE_COMPANIONS.length);
  });

  it('may bring a wheel that does not serve, which is then not kept', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const name = `torch-${VERSION}-py3-none-any.whl`;
    const cases: [string, Files, NodeJS.ProcessEnv, RegExp][] = [
      ['plain', libtorchFiles(VERSION), { DISTILL_LIBTORCH: 'cuda' }, /pip chose is a CPU build/],
      ['hollow', { '__init__.py': '' }, {}, /pip chose holds no include\/ATen/],
    ];
    for (const [folder, files, env, problem] of cases) {
      const content = await wheel('torch', VERSION, under('torch', files));
      const { cache, setup } = place({ ...(await fill(folder, { [name]: content })), ...env });
      const outcome = await setup();
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toMatch(problem);
      expectNothingKept(cache);
    }
  });

  it('fails in its own words when it finds nothing', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const { cache, setup } = place(await fill('nothing', {}));
    const outcome = await setup();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/pip: .*No matching distribution found for torch==2\.13\.0/);
    expectScreen(outcome);
    expectNothingKept(cache);
  });

  it('is named with the command that brings it where Python has none', async ({ skip }) => {
    if (!python) skip('this Python makes no virtual environments');
    const outcome = await place({ PATH: python }).setup();
    expect(outcome.stderr).toMatch(/pip: .*\/python3? has no pip/);
    expect(outcome.stderr).toMatch(/-m ensurepip --upgrade && npx distill setup/);
  });
});

it('selects from the real wheel’s metadata what LibTorch loads', () => {
  const metadata = `Metadata-Version: 2.4
Name: torch
Version: 2.13.0
Requires-Python: >=3.10
Requires-Dist: filelock
Requires-Dist: typing-extensions>=4.10.0
Requires-Dist: setuptools>=77.0.3
Requires-Dist: sympy>=1.13.3
Requires-Dist: networkx>=2.5.1
Requires-Dist: jinja2
Requires-Dist: fsspec>=0.8.5
Requires-Dist: cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.3; platform_system == "Linux"
Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == "Linux" and python_version < "3.15"
Requires-Dist: nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"
Requires-Dist: nvidia-cusparselt-cu13==0.8.1; platform_system == "Linux"
Requires-Dist: nvidia-nccl-cu13==2.29.7; platform_system == "Linux"
Requires-Dist: nvidia-nvshmem-cu13==3.4.5; platform_system == "Linux"
Requires-Dist: triton==3.7.1; platform_system == "Linux" and python_version < "3.15"
Provides-Extra: optree
Requires-Dist: optree>=0.13.0; extra == "optree"
`;
  expect(companionsOf(metadata)).toEqual(CUDA_ARCHIVE_COMPANIONS);
  expect(companionsOf('Requires-Dist: nvidia-a==1; extra == "x"\n')).toEqual([]);
});

describe('when no rung serves', () => {
  it('one screen names each of them, in order, and the commands that mend it', async () => {
    const outcome = await place().setup();
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    const rungs = ['LIBTORCH', 'earlier install', 'active Python', 'official archive', 'pip'];
    const places = rungs.map((name) => outcome.stderr.indexOf(`  ${name}: `));
    expect(places.every((index) => index > 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(outcome.stderr).toMatch(/active Python: there is no Python/);
    expect(outcome.stderr).toMatch(/LIBTORCH=<folder> npx distill setup/);
    expectScreen(outcome);
  });
});

describe('the toolchain', () => {
  function program(folder: string, name: string, script: string) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(path.join(folder, name), 0o755);
  }

  it('is checked before LibTorch is fetched, and all that is missing is named at once', async () => {
    const { cache, setup } = place();
    const outcome = await setup([]);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('no C++ compiler; no CMake (3.18 or later is needed)');
    expect(outcome.stderr).toContain('there is neither ninja nor make');
    expect(outcome.stderr).toMatch(/install .*cmake/);
    expectScreen(outcome);
    expectNothingKept(cache);
  });

  it.runIf(HAS_TOOLS)('may lack only the compiler, or have one that is too old', async () => {
    const tools = path.join(temporary, 'tools');
    mkdirSync(tools, { recursive: true });
    for (const name of ['cmake', 'make', 'ninja']) {
      const found = spawnSync('/bin/sh', ['-c', `command -v ${name}`])
        .stdout.toString()
        .trim();
      if (found) symlinkSync(found, path.join(tools, name));
    }
    const { setup } = place({ PATH: tools });
    expect((await setup([])).stderr).toMatch(/compiled here: no C\+\+ compiler\.\n/);
    expect((await setup([], { CXX: 'no-such-cxx' })).stderr).toContain('CXX names no-such-cxx');

    program(`${temporary}/old`, 'g++', "echo '#define __GNUC__ 9'");
    const old = await setup([], { CXX: `${temporary}/old/g++` });
    expect(old.stderr).toMatch(/old\/g\+\+ is GCC 9, and 10 or later is needed/);
    // The system's package would bring the same old one again.
    expect(old.stderr).not.toContain('install');
    expect(old.stderr).toContain('CXX=<compiler> npx distill setup');
    program(`${temporary}/old`, 'clang++', "echo '#define __GNUC__ 4\n#define __clang_major__ 10'");
    const clang = await setup([], { CXX: `${temporary}/old/clang++ -O2` });
    expect(clang.stderr).toMatch(/old\/clang\+\+ is Clang 10, and 11 or later is needed/);
    program(`${temporary}/old`, 'broken', 'exit 3');
    const broken = await setup([], { CXX: `${temporary}/old/broken` });
    expect(broken.stderr).toContain('old/broken does not work (it exited with 3)');
  });

  it.runIf(HAS_TOOLS)('may lack only CMake, or have one that is too old', async () => {
    const { setup } = place();
    const compiler = spawnSync('/bin/sh', ['-c', 'command -v c++']).stdout.toString().trim();
    program(`${temporary}/oldcmake`, 'make', '');
    const without = { PATH: `${temporary}/oldcmake`, CXX: compiler };
    // A compiler starts its parts by itself, so it works without PATH.
    expect((await setup([], without)).stderr).toMatch(/compiled here: no CMake/);
    program(`${temporary}/oldcmake`, 'cmake', "echo 'cmake version 3.16.3'");
    const outcome = await setup([], without);
    expect(outcome.stderr.match(/install/g)).toEqual(['install']);
    expect(outcome.stderr).toMatch(/cmake is CMake 3\.16\.3, and 3\.18 or later is needed/);
    expect(outcome.stderr).toContain('pip install cmake');
    expectScreen(outcome);
  });
});

// A small addon with the real cmake-js, CMake and compiler.
describe.runIf(HAS_TOOLS)('the build', () => {
  const CMAKE_LISTS = `cmake_minimum_required(VERSION 3.18)
project(distill LANGUAGES CXX)
add_library(distill MODULE addon.cpp)
set_target_properties(distill PROPERTIES PREFIX "" SUFFIX ".node"
  LIBRARY_OUTPUT_DIRECTORY "\${CMAKE_BINARY_DIR}/Release")
target_include_directories(distill PRIVATE \${CMAKE_JS_INC} "\${LIBTORCH}/include")
if(APPLE)
  target_link_options(distill PRIVATE -undefined dynamic_lookup)
endif()
`;
  const addon = (body: string) => `#include <ATen/ATen.h>
#include <node_api.h>
NAPI_MODULE_INIT() { ${body} return exports; }
`;

  function project(source: string) {
    const made = place({ PATH: process.env.PATH });
    write(made.root, { 'CMakeLists.txt': CMAKE_LISTS, 'addon.cpp': source });
    const libtorch = write(`${made.root}/libtorch`, libtorchFiles(VERSION));
    return { ...made, libtorch, file: `${made.root}/build/Release/distill.node` };
  }

  it('ends with one line, and is not repeated when nothing has changed', async () => {
    const { setup, libtorch, file, root } = project(addon(''));
    const first = await setup([], { LIBTORCH: libtorch });
    expect(first.stderr).toMatch(/\ndistill setup: done: LibTorch 2\.13\.0 \(CPU\), \d+ s\n/);
    const { mtimeMs } = statSync(file);

    // LIBTORCH need not be set again: the build remembers.
    const second = await setup([]);
    expect(second.stderr).toContain('up to date: LibTorch 2.13.0 (CPU)');
    expect(statSync(file).mtimeMs).toBe(mtimeMs);

    writeFileSync(`${root}/addon.cpp`, `${addon('')}// changed\n`);
    expect((await setup([])).stderr).toContain('done: ');
    expect(statSync(file).mtimeMs).toBeGreaterThan(mtimeMs);
  });

  it('has a folder of its own for debugging', async () => {
    const { setup, libtorch, file, root } = project(addon(''));
    expect((await setup(['--debug'], { LIBTORCH: libtorch })).code).toBe(0);
    expect(existsSync(`${root}/build-debug/Release/distill.node`)).toBe(true);
    expect(readFileSync(`${root}/build-debug/CMakeCache.txt`, 'utf8')).toMatch(
      /^CMAKE_BUILD_TYPE:\w+=Debug$/m,
    );
    expect(existsSync(file)).toBe(false);
  });

  it('happens once where two are asked for at once, also from scratch', async () => {
    const { setup, libtorch, file } = project(addon(''));
    for (const args of [[], ['--force']]) {
      const both = await Promise.all([
        setup(args, { LIBTORCH: libtorch }),
        setup([], { LIBTORCH: libtorch }),
        setup([], { LIBTORCH: libtorch }),
      ]);
      expect(both.map(({ code, stderr }) => ({ code, failed: stderr.includes('failed') }))).toEqual(
        both.map(() => ({ code: 0, failed: false })),
      );
      expect(both.some(({ stderr }) => stderr.includes('waiting for another setup'))).toBe(true);
      expect(existsSync(file)).toBe(true);
    }
  });

  it('says what would make JPEGs faster, until it is there', async () => {
    const { setup, libtorch, root } = project(addon(''));
    const tip = 'JPEGs would be read faster with libjpeg-turbo';
    expect((await setup([], { LIBTORCH: libtorch })).stderr).toMatch(
      new RegExp(`${tip}.*&& npx distill setup\\n`),
    );

    const jpeg = CMAKE_LISTS.replaceAll('(distill ', '(jpeg ').replace(
      /^(cmake|project).*\n/gm,
      '',
    );
    writeFileSync(`${root}/CMakeLists.txt`, CMAKE_LISTS + jpeg);
    const second = await setup([]);
    expect(second.stderr).toContain('done: ');
    expect(second.stderr).not.toContain(tip);
  });

  it('starts anew when LibTorch has moved, and when the package was copied', async () => {
    const { setup, libtorch, root, env } = project(addon(''));
    expect((await setup([], { LIBTORCH: libtorch })).code).toBe(0);
    renameSync(libtorch, `${root}/moved`);
    expect((await setup([], { LIBTORCH: `${root}/moved` })).stderr).toContain('done: ');

    const copy = `${root}-copy`;
    cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
    const copied = await node(copy, ['scripts/distill.js', 'setup'], env);
    expect(copied.stderr).toContain('done: ');
    expect(readFileSync(`${copy}/build/CMakeCache.txt`, 'utf8')).toContain(
      `CMAKE_HOME_DIRECTORY:INTERNAL=${copy}`,
    );
  });

  it('shows the compiler’s error on one screen, with the path of the log', async () => {
    const { setup, libtorch, root } = project(addon('no_such_function();'));
    const outcome = await setup([], { LIBTORCH: libtorch });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/addon\.cpp:\d+:\d+: error: .*no_such_function/);
    expect(outcome.stderr).toContain(`${root}/build/setup.log`);
    expect(readFileSync(`${root}/build/setup.log`, 'utf8')).toContain('no_such_function');
    expectScreen(outcome);
  });

  it('says so when the addon does not load', async () => {
    const source = addon('napi_throw_error(env, nullptr, "libfoo.so.1: cannot open"); ');
    const { setup, libtorch } = project(source);
    const outcome = await setup([], { LIBTORCH: libtorch });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('does not load: libfoo.so.1: cannot open');
    expectScreen(outcome);
  });

  it('is what the install script does, and DISTILL_SKIP_SETUP leaves out', async () => {
    const { root, libtorch, env, file } = project(addon(''));
    const install = ['scripts/setup/install.js'];
    const skipped = await node(root, install, { ...env, DISTILL_SKIP_SETUP: '1' });
    expect(skipped).toMatchObject({ code: 0, stderr: '' });
    expect(skipped.stdout).toContain('npx distill setup');
    expect(existsSync(file)).toBe(false);

    const failed = await node(root, install, { ...env, LIBTORCH: '/nowhere' });
    expect(failed.code).toBe(1);
    expectScreen(failed);

    expect(await node(root, install, { ...env, LIBTORCH: libtorch })).toMatchObject({ code: 0 });
    expect(existsSync(file)).toBe(true);
  });
});

it('the command can be run in a clone, where npm has not made it executable', () => {
  expect(statSync(`${CHECKOUT}/scripts/distill.js`).mode & 0o111).toBe(0o111);
});

it('the command says how to make dist/ when that is missing', async () => {
  const { root, env } = place();
  const outcome = await node(root, ['scripts/distill.js', 'train'], env);
  expect(outcome).toMatchObject({ code: 1, stdout: '' });
  expect(outcome.stderr).toMatch(/npm run build\n$/);
});

// In a folder without a link to this checkout's node_modules: `npm ci` empties what it finds.
it.runIf(spawnSync('npm', ['--version']).status === 0)(
  'before tests and quickstart, a clone is installed and compiled, but only when it is not',
  async () => {
    const root = mkdtempSync(path.join(temporary, 'clone-'));
    const dependency = (version: string) => JSON.stringify({ name: 'dependency', version });
    write(root, {
      'scripts/ready.js': readFileSync(`${CHECKOUT}/scripts/ready.js`, 'utf8'),
      'scripts/setup/lock.js': readFileSync(`${CHECKOUT}/scripts/setup/lock.js`, 'utf8'),
      'dependency/package.json': dependency('1.0.0'),
      'make.js': 'require("node:fs").appendFileSync("made", "x")',
      'package.json': JSON.stringify({
        scripts: { build: 'node make.js' },
        dependencies: { dependency: 'file:dependency' },
      }),
    });
    const env = { PATH: process.env.PATH, HOME: root, DISTILL_SKIP_SETUP: '1' };
    const lock = () =>
      execFileSync('npm', ['install', '--package-lock-only'], { cwd: root, env, stdio: 'ignore' });
    const ready = () => node(root, ['scripts/ready.js'], env);

    lock();
    // Two at once: one installs, the other waits for it.
    const both = await Promise.all([ready(), ready()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    const installs = both.filter(({ stdout }) => /added \d+ package/.test(stdout));
    expect(installs).toHaveLength(1);
    expect(existsSync(`${root}/node_modules/dependency`)).toBe(true);
    expect(readFileSync(`${root}/made`, 'utf8')).toBe('xx');

    const installed = `${root}/node_modules/.package-lock.json`;
    const { mtimeMs } = statSync(installed);
    expect((await ready()).code).toBe(0);
    expect(statSync(installed).mtimeMs).toBe(mtimeMs);

    writeFileSync(`${root}/dependency/package.json`, dependency('2.0.0'));
    lock();
    expect((await ready()).code).toBe(0);
    expect(readFileSync(installed, 'utf8')).toContain('2.0.0');
    expect(readFileSync(`${root}/made`, 'utf8')).toBe('xxxx');
  },
);

const BUILD = path.join(CHECKOUT, process.env.DISTILL_BUILD || 'build');

describe.runIf(existsSync(path.join(BUILD, 'CMakeCache.txt')))('this checkout', () => {
  it('is set up a second time without building again', { timeout: 600_000 }, async () => {
    const setup = () => node(CHECKOUT, ['scripts/distill.js', 'setup'], process.env);
    expect((await setup()).code).toBe(0);
    const { mtimeMs } = statSync(path.join(BUILD, 'Release/distill.node'));
    const second = await setup();
    expect(VERSIONS).toContain(/up to date: LibTorch (\S+)/.exec(second.stderr)?.[1]);
    expect(statSync(path.join(BUILD, 'Release/distill.node')).mtimeMs).toBe(mtimeMs);
  });
});
