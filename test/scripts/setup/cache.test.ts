import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cachedBuild, cacheFolder, needRoom } from '../../../scripts/setup/cache.js';
import { VERSION } from '../../../scripts/setup/pinned.js';
import {
  archiveFiles,
  libtorchFiles,
  PUBLISHED,
  place,
  serveArchive,
  temporary,
  write,
  zip,
} from '../../helpers/setup.js';

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
