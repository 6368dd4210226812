import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { CUDA_ARCHIVE_COMPANIONS, VERSION } from '../../../scripts/setup/pinned.js';
import { companionsOf } from '../../../scripts/setup/pip.js';
import {
  archiveFiles,
  expectNothingKept,
  expectScreen,
  type Files,
  libtorchFiles,
  PUBLISHED,
  place,
  serveArchive,
  temporary,
  under,
  write,
  zip,
} from '../../helpers/setup.js';

// A Python without torch and without pip, whatever the machine's own one has.
const made = spawnSync('python3', ['-m', 'venv', '--without-pip', `${temporary}/venv`]);
const python = made.status === 0 ? path.join(temporary, 'venv/bin') : '';
const HAS_PIP = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;

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
