import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { packageRoot } from '../../lib/package.js';
import { built, runChild } from '../helpers/child.js';
import {
  mean,
  smallRun,
  std,
  temporaryFolder,
  writePicture,
  writeStudent,
} from '../helpers/dataset.js';
import { withFewThreads } from '../helpers/threads.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
let picture: string;
/** The options of predict(). */
let asking: object;
beforeAll(async () => {
  base = await smallRun(folder);
  picture = path.join(base.dataset, 'val/ants/1.png');
  asking = {
    student: await writeStudent(path.join(folder, 'student.pth')),
    images: picture,
    labels: ['ants', 'bees'],
    mean,
    std,
    imageSize: 32,
    device: 'cpu',
    threads: 1,
  };
});

const measuring = pathToFileURL(path.join(packageRoot, 'scripts/soak/measure.js')).href;
/** For the child: what a process holds, and the addon itself. */
const imports = `
  import { descriptors, threads, threadsAtMost } from '${measuring}';
  import { loadAddon } from '${new URL('addon.js', built).href}';
`;

const execution = () => ({
  imageSize: 32,
  mean,
  std,
  device: 'cpu',
  precision: 'fp32' as const,
  threads: 1,
});

type Held = { threads: number; descriptors: number };
function expectFlat({ before, after }: { before: Held; after: Held }): void {
  expect(after.threads).toBeLessThanOrEqual(before.threads);
  expect(after.descriptors).toBe(before.descriptors);
}

describe.runIf(process.platform === 'linux')('threads and descriptors', () => {
  test('are as before after 300 predictions, without the garbage collector', async () => {
    const text = `${imports}
      const times = async (n) => { for (let i = 0; i < n; i++) await predict(input); };
      await times(3);
      const before = { threads: threads(), descriptors: descriptors() };
      await times(300);
      const after = { threads: await threadsAtMost(before.threads), descriptors: descriptors() };
      console.log(JSON.stringify({ before, after }));`;
    const { code, stdout, stderr } = await runChild(text, { input: asking });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expectFlat(JSON.parse(stdout));
  });

  test('are as before after trainings, also those that fail or are aborted', async () => {
    const text = `${imports}
      const round = async () => {
        await distill(input);
        await distill({ ...input, initialStudent: input.teacher }).catch(() => {});
        const controller = new AbortController();
        await distill({ ...input, epochs: 1e9, signal: controller.signal })
          .on('epoch', () => controller.abort())
          .catch(() => {});
      };
      await round();
      const before = { threads: threads(), descriptors: descriptors() };
      for (let i = 0; i < 4; i++) await round();
      const after = { threads: await threadsAtMost(before.threads), descriptors: descriptors() };
      console.log(JSON.stringify({ before, after }));`;
    const { code, stdout, stderr } = await runChild(text, { input: { ...base, epochs: 1 } });
    expect(code, stderr).toBe(0);
    expectFlat(JSON.parse(stdout));
  });
});

describe('a closed model', () => {
  const make = () => {
    const { student } = asking as { student: string };
    return new (loadAddon().Classifier)({ averaged: false, ...execution(), model: student });
  };
  const pixels = new Uint8Array(32 * 32 * 3);
  const closed = { code: 'ERR_CLOSED', message: expect.stringContaining('has been closed') };

  test('has done what was asked before, and refuses what comes after', async () => {
    const model = make();
    const before = [model.load(), model.logits(pixels)];
    const closing = model.close();
    await expect(model.logits(pixels)).rejects.toMatchObject(closed);
    expect(await Promise.all(before)).toEqual([{ warning: null }, expect.any(Float32Array)]);
    await closing;
    await expect(model.load()).rejects.toMatchObject(closed);
  });

  test('may be closed again, at once or later', async () => {
    const model = make();
    const loading = model.load();
    expect(await Promise.all([model.close(), model.close()])).toEqual([undefined, undefined]);
    await loading;
    expect(await model.close()).toBeUndefined();
  });

  test('may never have been used', async () => {
    const model = make();
    await model.close();
    await expect(model.load()).rejects.toMatchObject(closed);
  });

  test('is the same for a session', async () => {
    const session = new (loadAddon().Session)(execution());
    const opened = session.open();
    await session.close();
    expect((await opened).device).toBe('cpu');
    await expect(session.open()).rejects.toMatchObject(closed);
    session.stop();
    expect(session.progress()).toEqual({ epoch: 0, step: 0, steps: 0 });
  });
});

describe('where the system makes no more threads', () => {
  let env: NodeJS.ProcessEnv | null;
  beforeAll(() => {
    env = withFewThreads(folder);
  });

  /** Runs a child that prints what each call came to, as the first of it or the code of an error. */
  async function outcomes(calls: string): Promise<unknown[]> {
    const text = `${imports}
      const told = [];
      const say = async (call) =>
        told.push(await call().then(() => 'done', ({ code, message }) => [code, message]));
      const few = (most) => { process.env.MOST_THREADS = String(most); };
      ${calls}
      console.log(JSON.stringify(told));`;
    // libvips decodes small ones on the thread that asks for them.
    const large = await writePicture(path.join(folder, 'large.png'), 1, { size: 600 });
    const input = { asking, options: { ...base, epochs: 1 }, large };
    const { code, signal, stdout, stderr } = await runChild(text, { input, env: env ?? {} });
    expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
    return JSON.parse(stdout);
  }
  const refused = [
    'ERR_THREADS',
    expect.stringMatching(/no more threads.*\(ulimit -u.*\).*\(pids\.max/),
  ];

  test('every call says so, and the process lives on', async (context) => {
    if (!env) return context.skip();
    const told = await outcomes(`
      const addon = loadAddon();
      await import('node:fs/promises').then(({ stat }) => stat('.')); // libuv's threads are there
      few(threads());
      const { student } = input.asking;
      await say(() => addon.inspect(student, false));
      await say(() => predict(input.asking));
      await say(() => distill(input.options));
      few(threads() + 1); // for files alone
      await say(() => addon.inspect(student, false));
      await say(() => predict(input.asking));
      await say(() => distill(input.options));
      few(1000);
      await say(() => predict(input.asking));
      await say(() => distill(input.options));
    `);
    expect(told).toEqual([refused, refused, refused, 'done', refused, refused, 'done', 'done']);
  });

  test('at any limit a call does its work or says so', async (context) => {
    if (!env) return context.skip();
    const told = await outcomes(`
      await import('node:fs/promises').then(({ stat }) => stat('.'));
      for (let more = 0; more < 8; more++) {
        few(threads() + more);
        await say(() => predict({ ...input.asking, threads: 3 }));
        await say(() => distill({ ...input.options, threads: 3 }));
        few(1000);
      }
      await say(() => predict({ ...input.asking, threads: 3 }));
      await say(() => distill({ ...input.options, threads: 3 }));
    `);
    const allowed = (outcome: unknown) =>
      outcome === 'done' || (Array.isArray(outcome) && outcome[0] === 'ERR_THREADS');
    expect(told.filter((outcome) => !allowed(outcome))).toEqual([]);
    expect(told.slice(0, 2)).toEqual([refused, refused]);
    expect(told.slice(-2)).toEqual(['done', 'done']);
  });

  test('many pictures that fail at once are never called damaged', async (context) => {
    if (!env) return context.skip();
    const decode = new URL('data/decode.js', built).href;
    const text = `${imports}
      import { decodeCrop } from '${decode}';
      import { CENTER_CROP } from '${new URL('model/preprocessing.js', built).href}';
      import { stat } from 'node:fs/promises';
      await stat('.');
      const codes = new Set();
      const sources = Array(40).fill(input.picture);
      for (let round = 0; round < 200; round++) {
        process.env.MOST_THREADS = String(threads() + (round % 5));
        const decoded = sources.map((source) => decodeCrop(source, { ...CENTER_CROP, imageSize: 32 }));
        for (const { status, reason } of await Promise.allSettled(decoded)) {
          codes.add(status === 'fulfilled' ? 'done' : reason.code);
        }
      }
      console.log(JSON.stringify([...codes].sort()));`;
    const { stdout, stderr } = await runChild(text, { input: { picture }, env: env ?? {} });
    expect(stdout, stderr).toBe('["ERR_THREADS","done"]\n');
  });

  test('a picture that cannot be decoded for that is not passed over', async (context) => {
    if (!env) return context.skip();
    const told = await outcomes(`
      await say(() => loadAddon().inspect(input.asking.student, false));
      await import('node:fs/promises').then(({ stat }) => stat('.'));
      few(threads() + 1); // for the model, and none for libvips
      await say(() => predict({ ...input.asking, images: input.large, onBadImage: 'skip' }));
    `);
    expect(told).toEqual(['done', refused]);
  });
});
