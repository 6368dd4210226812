import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERSION, VERSIONS } from '../../../scripts/setup/pinned.js';
import {
  expectScreen,
  type Files,
  LIBRARY,
  libtorchFiles,
  place,
  write,
} from '../../helpers/setup.js';

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
