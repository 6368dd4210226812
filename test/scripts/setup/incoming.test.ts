import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../lib/package.js';
import { withIncoming } from '../../../scripts/setup/cache.js';
import { filesIn, temporaryFolder } from '../../helpers/dataset.js';

const cache = path.join(temporaryFolder(), 'cache');
const env = { DISTILL_CACHE: cache };

test('what a killed install has left goes with the next one; nothing of those that still run', async () => {
  const module = `
    import { withIncoming } from '${pathToFileURL(path.join(packageRoot, 'scripts/setup/cache.js'))}';
    await withIncoming(process.env, () => new Promise((resolve) => {
      console.log('at work');
      setTimeout(resolve, 1e6);
    }));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', module], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const [own = ''] = filesIn(cache);
  try {
    writeFileSync(path.join(cache, own, 'half'), 'half a LibTorch');
    await withIncoming(env, async () => expect(filesIn(cache)).toHaveLength(2));
    expect(filesIn(cache)).toEqual([own]);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  expect(filesIn(cache)).toEqual([own]);
  await withIncoming(env, async () => expect(filesIn(cache)).toHaveLength(1));
  expect(filesIn(cache)).toEqual([]);
});

test("what another machine's install makes stays for a day", async () => {
  mkdirSync(path.join(cache, '.incoming-00000000-1-1-AbCdEf'));
  mkdirSync(path.join(cache, '.incoming-AbCdEf'));
  mkdirSync(path.join(cache, 'libtorch'));
  const before = filesIn(cache);
  await withIncoming(env, async () => {});
  expect(filesIn(cache)).toEqual(before);
  for (const name of before) utimesSync(path.join(cache, name), 1e9, 1e9);
  await withIncoming(env, async () => {});
  expect(filesIn(cache)).toEqual(['libtorch']);
});

test.runIf(process.platform === 'linux')(
  'a number that another process has since is no sign of life',
  async () => {
    await withIncoming(env, async (folder) => {
      const [, where, pid] = path.basename(folder).split('-');
      mkdirSync(path.join(cache, `.incoming-${where}-${pid}-1-AbCdEf`));
      await withIncoming(env, async () => {});
      expect(filesIn(cache)).toEqual([path.basename(folder), 'libtorch']);
    });
  },
);
