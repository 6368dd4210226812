import { spawn } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import type { DoctorResult } from '../../../lib/index.js';
import { packageRoot } from '../../../lib/package.js';
import { addonFile } from '../../../scripts/setup/build.js';
import type { Ended } from '../../helpers/child.js';
import { at, folder, found, good, named } from '../../helpers/doctor.js';

describe('an installation', () => {
  let libraries: string;
  beforeAll(async () => {
    libraries = (await loadAddon().machine()).libtorch;
  });

  /** The package somewhere else, with an addon that is to look for LibTorch in `folder` (none: no addon). */
  function installed(name: string, libtorch?: string): string {
    const root = at(name);
    for (const part of ['scripts', 'dist', 'package.json']) {
      cpSync(path.join(packageRoot, part), path.join(root, part), { recursive: true });
    }
    symlinkSync(path.join(packageRoot, 'node_modules'), path.join(root, 'node_modules'));
    if (libtorch === undefined) return root;
    const file = addonFile(root);
    mkdirSync(path.dirname(file), { recursive: true });
    const addon = readFileSync(addonFile(packageRoot));
    const known = Buffer.from(path.join(libraries, 'lib'));
    const other = Buffer.alloc(known.length);
    if (other.write(path.join(libtorch, 'lib')) < libtorch.length) throw new Error('too long');
    const place = addon.indexOf(known);
    if (place < 0) throw new Error('the addon does not name its LibTorch');
    other.copy(addon, place);
    writeFileSync(file, addon);
    copyFileSync(addonFile(packageRoot, 'pixels'), addonFile(root, 'pixels'));
    const cache = path.join(path.dirname(file), '../CMakeCache.txt');
    writeFileSync(cache, `LIBTORCH:PATH=${libtorch}\n`);
    return root;
  }

  /** The command of that package. */
  function command(root: string, args: string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [path.join(root, 'scripts/distill.js'), ...args]);
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
  }

  /** Runs the doctor on an installation, and returns its findings, also those about the pictures. */
  async function diagnose(root: string): Promise<DoctorResult> {
    const { code, stdout, stderr } = await command(root, [
      ...['doctor', good.dataset, '--teacher', at('none.pth'), '--student', at('none/s.pth')],
      ...['--image-size', '32', '--json'],
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const result: DoctorResult = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    // Checks that need no addon are made all the same.
    expect(result.machine).toMatchObject({ libtorch: null, chosen: null });
    expect(result.machine.cpu.cores).toBeGreaterThan(0);
    expect(result.dataset?.classes).toHaveLength(2);
    expect(named(result, 'pictures')[0]?.message).toBe('All 64 pictures decode.');
    expect(found(result, 'teacher').code).toBe('ERR_CHECKPOINT_NOT_FOUND');
    expect(found(result, 'output').code).toBe('ERR_WRITE');
    return result;
  }

  test('without the addon', async () => {
    const { code, message, remedy } = found(await diagnose(installed('without')), 'addon');
    expect(code).toBe('ERR_ADDON_MISSING');
    expect(message).toContain('has not been built');
    expect(remedy).toContain('`npx distill setup`');
  });

  test('without the addon that resizes', async () => {
    const root = installed('unresized', libraries);
    rmSync(addonFile(root, 'pixels'));
    const { code, stdout } = await command(root, ['doctor', '--json']);
    expect(code).toBe(1);
    const result: DoctorResult = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    expect(found(result, 'addon')).toMatchObject({ code: 'ERR_ADDON_MISSING' });
  });

  test.runIf(process.platform === 'linux')('whose LibTorch has gone', async () => {
    const gone = path.join(folder, 'gone');
    const { code, message, remedy } = found(await diagnose(installed('orphan', gone)), 'addon');
    expect(code).toBe('ERR_ADDON_MISSING');
    expect(message).toMatch(/does not load \(.*libtorch/);
    expect(remedy).toContain(`built with the LibTorch in ${gone}, which holds no`);
  });

  test.runIf(process.platform === 'linux')('whose LibTorch is of another version', async () => {
    const other = at('2.12');
    mkdirSync(other);
    symlinkSync(path.join(libraries, 'lib'), path.join(other, 'lib'));
    writeFileSync(path.join(other, 'version.py'), "__version__ = '2.12.0+cpu'\n");
    const { code, stdout } = await command(installed('newer', other), ['doctor', '--json']);
    expect(code).toBe(1);
    const {
      code: told,
      message,
      remedy,
    } = found(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), 'libtorch');
    expect(told).toBe('ERR_ADDON_MISSING');
    expect(message).toContain(`loads LibTorch 2.12.0+cpu from ${other}`);
    expect(remedy).toContain('`npx distill setup --force`');
  });

  test.runIf(process.platform === 'linux')(
    'whose LibTorch was replaced by one without its symbols',
    async () => {
      const other = at('2.4');
      mkdirSync(path.join(other, 'lib'), { recursive: true });
      mkdirSync(path.join(other, 'include/ATen'), { recursive: true });
      writeFileSync(path.join(other, 'include/ATen/ATen.h'), '');
      writeFileSync(path.join(other, 'version.py'), "__version__ = '2.4.1+cpu'\n");
      for (const name of ['c10', 'torch', 'torch_cpu']) {
        // Libraries without the symbols that the addon looks for.
        const real = path.join(libraries, 'lib/libc10.so');
        copyFileSync(real, path.join(other, `lib/lib${name}.so`));
      }
      const { message, remedy } = found(await diagnose(installed('other', other)), 'addon');
      expect(message).toContain('undefined symbol');
      expect(remedy).toMatch(
        /which is LibTorch 2\.4\.1\+cpu, and \d+\.\d+\.\d+( or \d+\.\d+\.\d+)? is needed/,
      );
    },
  );
});
