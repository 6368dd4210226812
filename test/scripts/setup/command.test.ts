import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSIONS } from '../../../scripts/setup/pinned.js';
import { CHECKOUT, node, place, temporary, write } from '../../helpers/setup.js';

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
