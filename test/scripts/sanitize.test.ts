import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { builtWith } from '../../scripts/setup/build.js';
import { temporaryFolder } from '../helpers/dataset.js';

// Most builds take minutes: here, that a sanitizer reaches the compiler, the shortest of them, and what is refused.

const folder = temporaryFolder();

function configure(sanitizer: string): { status: number | null; stderr: string } {
  return spawnSync(
    'cmake',
    [
      '-S',
      packageRoot,
      '-B',
      folder,
      `-DLIBTORCH=${builtWith(packageRoot)}`,
      `-DDISTILL_SANITIZE=${sanitizer}`,
    ],
    { encoding: 'utf8' },
  );
}

/** The commands that compile a file, as editors read them. */
function commandsFor(file: string): string[] {
  const text = readFileSync(path.join(folder, 'compile_commands.json'), 'utf8');
  const commands = JSON.parse(text) as { file: string; command: string }[];
  return commands.filter((one) => one.file.endsWith(file)).map(({ command }) => command);
}

describe('DISTILL_SANITIZE', () => {
  test.each([
    ['address', '-fsanitize=address,undefined'],
    ['thread', '-fsanitize=thread'],
  ])('%s instruments core and its test programs', (sanitizer, flag) => {
    expect(configure(sanitizer)).toMatchObject({ status: 0 });
    for (const file of ['native/core/training/train.cpp', 'test/native/teams.cpp']) {
      expect(commandsFor(file)).toEqual([expect.stringContaining(` ${flag} `)]);
    }
  });

  test('refuses another one', () => {
    const { status, stderr } = configure('memory');
    expect(status).not.toBe(0);
    expect(stderr).toMatch(
      /DISTILL_SANITIZE='memory' is none of\s+'address', 'thread'\s+and 'fuzzer'/,
    );
  });
});

const check = (...args: string[]) =>
  spawnSync(process.execPath, [path.join(packageRoot, 'scripts/sanitize/index.js'), ...args], {
    encoding: 'utf8',
  });

// The short form of `npm run check:sanitize`: the addons for pictures, which compile in seconds.
test.runIf(process.platform === 'linux')(
  'Node reads pictures with instrumented addons, and nothing is reported',
  () => {
    const { status, stdout, stderr } = check('address', 'pictures');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [, checks] =
      /^pictures with the address sanitizer: nothing reported in (\d+) checks$/m.exec(stdout) ?? [];
    expect(Number(checks), stdout).toBeGreaterThan(100);
  },
);

test('npm run check:sanitize says what it can do', () => {
  const { status, stderr } = check('thread', 'no_test');
  expect(status).toBe(2);
  expect(stderr).toContain("'no_test' is none of address, thread, pictures, training, team_test");
});
