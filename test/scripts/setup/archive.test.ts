import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { VERSION } from '../../../scripts/setup/pinned.js';
import {
  archiveFiles,
  expectNothingKept,
  expectScreen,
  PUBLISHED,
  place,
  serve,
  serveArchive,
  zip,
} from '../../helpers/setup.js';

/** Replaces text inside an archive by text of the same length, as an attacker's tool would. */
function patch(archive: Buffer, from: string, to: string): Buffer {
  return Buffer.from(archive.toString('latin1').replaceAll(from, to), 'latin1');
}

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
