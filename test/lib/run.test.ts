import { getEventListeners, once } from 'node:events';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, test } from 'vitest';
import { type DistillOptions, distill, type EpochReport, inspect } from '../../lib/index.js';
import { built, runChild } from '../helpers/child.js';
import { filesIn, smallRun, temporaryFolder } from '../helpers/dataset.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

/** More epochs than any test waits for. */
const ENDLESS = 1_000_000;

let count = 0;
/** Options for a run with a student's file in a folder of its own, so that nothing hides there. */
function options<More extends Partial<DistillOptions>>(more: More = {} as More) {
  const out = path.join(folder, `out-${count++}`);
  mkdirSync(out);
  return { ...base, student: path.join(out, 'student.pth'), ...more };
}

/** The names in the folder of the student's file, which a run must not litter. */
const written = ({ student }: { student: string }) => filesIn(path.dirname(student));

const epochs = (reports: EpochReport[]) => reports.map(({ epoch }) => epoch);

describe('a run is', () => {
  test('awaitable, an emitter and iterable at once', async () => {
    const heard: EpochReport[] = [];
    const iterated: EpochReport[] = [];
    const run = distill(options({ epochs: 3 })).on('epoch', (epoch) => heard.push(epoch));
    for await (const epoch of run) iterated.push(epoch);
    const result = await run;
    expect(epochs(heard)).toEqual([1, 2, 3]);
    expect(iterated).toEqual(heard);
    expect(result.last).toEqual(heard[2]);
    // Awaiting again gives the same.
    expect(await run).toBe(result);
    expect(await run.finally(() => {})).toBe(result);
  });

  test('returned before anything has begun', async () => {
    const given = options();
    const run = distill(given);
    expect(run.progress).toEqual({ epoch: 0, step: 0, steps: 0 });
    let heard = 0;
    run.on('dataset', () => heard++);
    await run;
    expect(heard).toBe(1);
  });

  test('iterated from the first epoch on, however late one begins', async () => {
    const run = distill(options({ epochs: 3 }));
    await run;
    const late: EpochReport[] = [];
    for await (const epoch of run) late.push(epoch);
    expect(epochs(late)).toEqual([1, 2, 3]);
  });

  test('iterated by several at their own pace', async () => {
    const run = distill(options({ epochs: 4 }));
    const collect = async (each: () => PromiseLike<unknown> | undefined) => {
      const seen: EpochReport[] = [];
      for await (const epoch of run) {
        seen.push(epoch);
        await each();
      }
      return epochs(seen);
    };
    const [quick, slow] = await Promise.all([
      collect(() => undefined),
      // Takes up its second report when all have been made.
      collect(() => run),
    ]);
    expect(quick).toEqual([1, 2, 3, 4]);
    expect(slow).toEqual([1, 2, 3, 4]);
  });

  test('not ended by those who stop watching it', async () => {
    const run = distill(options({ epochs: 4 }));
    for await (const _ of run) break;
    await expect(
      (async () => {
        for await (const _ of run) throw new Error('enough');
      })(),
    ).rejects.toThrow('enough');
    expect(await run).toMatchObject({ epochs: 4, stopReason: 'completed' });
  });

  test('a failure to everyone who watches', async () => {
    const run = distill(options({ teacher: path.join(folder, 'none.pth') }));
    const failure = { code: expect.stringMatching(/^ERR_CHECKPOINT_/) };
    const iterate = async () => {
      for await (const _ of run);
    };
    await expect(iterate()).rejects.toMatchObject(failure);
    await expect(run).rejects.toMatchObject(failure);
    await expect(run.catch((error) => error)).resolves.toMatchObject(failure);
    await expect(iterate()).rejects.toMatchObject(failure);
  });
});

test.each(['dataset', 'prepare', 'epoch', 'best'] as const)(
  'an exception in a listener of `%s` stops the run, which rejects with it',
  async (event) => {
    const given = options({ epochs: ENDLESS });
    const thrown = new Error('of the listener');
    let calls = 0;
    const run = distill(given).on(event, () => {
      calls += 1;
      throw thrown;
    });
    await expect(run).rejects.toBe(thrown);
    expect(calls).toBeGreaterThan(0);
    // The saved student stays, whole.
    const saved = event === 'epoch' || event === 'best';
    expect(written(given)).toEqual(saved ? ['student.pth'] : []);
    if (saved) expect((await inspect(given.student)).architecture).toBe('cnn');
  },
);

describe('stop()', () => {
  const beforeTraining = { stopReason: 'stopped', epochs: 0, best: null, last: null };

  test.each(['at once', 'dataset', 'prepare'] as const)(
    'before the training (%s) leaves nothing',
    async (when) => {
      const given = options({ epochs: ENDLESS });
      const run = distill(given);
      if (when === 'at once') run.stop();
      else run.once(when, () => run.stop());
      expect(await run).toMatchObject(beforeTraining);
      expect(written(given)).toEqual([]);
    },
  );

  test.each(['at once', 'dataset', 'prepare'] as const)(
    'before the training (%s) on pictures that an earlier run prepared',
    async (when) => {
      const cacheDir = path.join(folder, 'stores');
      await distill(options({ cacheDir, epochs: 1 }));
      const given = options({ cacheDir, epochs: ENDLESS });
      const run = distill(given);
      if (when === 'at once') run.stop();
      else run.once(when, () => run.stop());
      expect(await run).toMatchObject(beforeTraining);
      expect(written(given)).toEqual([]);
    },
  );

  test('in the training keeps the best student', async () => {
    const given = options({ epochs: ENDLESS });
    const run = distill(given);
    run.on('epoch', ({ epoch }) => epoch === 3 && run.stop());
    const result = await run;
    expect(result.stopReason).toBe('stopped');
    expect(result.epochs).toBeGreaterThanOrEqual(3);
    expect(result.last?.epoch).toBe(result.epochs);
    expect(written(given)).toEqual(['student.pth']);
    expect((await inspect(given.student)).metadata?.epoch).toBe(result.best?.epoch);
  });

  test('after the end changes nothing', async () => {
    const run = distill(options());
    const result = await run;
    run.stop();
    run.stop();
    expect((await run).stopReason).toBe('completed');
    expect(run.progress.epoch).toBe(result.epochs);
  });
});

describe('a signal', () => {
  const aborted = { code: 'ERR_ABORTED', name: 'AbortError' };

  test('that is aborted already: nothing is begun', async () => {
    const reason = new Error('changed my mind');
    const given = options({ epochs: ENDLESS, signal: AbortSignal.abort(reason) });
    await expect(distill(given)).rejects.toMatchObject({ ...aborted, cause: reason });
    expect(written(given)).toEqual([]);
  });

  test.each(['dataset', 'prepare'] as const)(
    'aborted at `%s`: nothing is written',
    async (when) => {
      const controller = new AbortController();
      const given = options({ epochs: ENDLESS, signal: controller.signal });
      const run = distill(given).once(when, () => controller.abort());
      await expect(run).rejects.toMatchObject(aborted);
      expect(written(given)).toEqual([]);
    },
  );

  test('aborted in the training: what was saved stays', async () => {
    const controller = new AbortController();
    const given = options({ epochs: ENDLESS, signal: controller.signal });
    const seen: number[] = [];
    const iterate = async () => {
      for await (const { epoch } of distill(given)) {
        seen.push(epoch);
        if (epoch === 2) controller.abort();
      }
    };
    await expect(iterate()).rejects.toMatchObject(aborted);
    expect(seen.slice(0, 2)).toEqual([1, 2]);
    expect(written(given)).toEqual(['student.pth']);
    expect((await inspect(given.student)).architecture).toBe('cnn');
  });

  test('is let go when the run is over', async () => {
    const { signal } = new AbortController();
    await distill(options({ signal }));
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

test('the event loop turns while a run prepares and trains', async () => {
  let turns = 0;
  let ended = false;
  const turn = () => {
    turns += 1;
    if (!ended) setImmediate(turn);
  };
  setImmediate(turn);

  const turnsAt: number[] = [];
  const progress = new Set<string>();
  const run = distill(options({ epochs: 4, batchSize: 1 }))
    .on('prepare', () => turnsAt.push(turns))
    .on('epoch', () => turnsAt.push(turns));
  const watch = () => {
    const { epoch, step, steps } = run.progress;
    progress.add(`${epoch}: ${step} of ${steps}`);
    if (!ended) setImmediate(watch);
  };
  watch();
  await run.finally(() => {
    ended = true;
  });

  // An epoch is 11 and 7 batches; a loop that was held up would turn once or not at all in it.
  const between = turnsAt.slice(1).map((at, i) => at - (turnsAt[i] as number));
  expect(between).toHaveLength(5);
  expect(Math.min(...between)).toBeGreaterThan(18);
  // And the training was seen from outside in the middle of epochs.
  const middle = [...progress].filter((text) => /: ([1-9]|1[0-7]) of 18$/.test(text));
  expect(middle.length).toBeGreaterThan(4);
});

describe('a process', () => {
  const long = () => options({ epochs: ENDLESS });
  /** Says of each epoch so that the test can follow. */
  const train = "const run = distill(input).on('epoch', ({ epoch }) => console.log(epoch));";

  test('stays alive for a run that nobody waits for', async () => {
    const given = options();
    const ended = await runChild('distill(input);', { input: given });
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    expect(written(given)).toEqual(['student.pth']);
  });

  test('ends by process.exit() in the training', async () => {
    const given = long();
    const text = `${train} run.on('epoch', ({ epoch }) => epoch === 3 && process.exit(3));`;
    expect(await runChild(text, { input: given })).toEqual({
      code: 3,
      signal: null,
      stdout: '1\n2\n3\n',
      stderr: '',
    });
    expect(written(given)).toEqual(['student.pth']);
    expect((await inspect(given.student)).architecture).toBe('cnn');
  });

  test.each(['dataset', 'prepare'])('ends by process.exit() at `%s`', async (event) => {
    const given = long();
    const text = `distill(input).on('${event}', () => process.exit(4));`;
    expect(await runChild(text, { input: given })).toMatchObject({
      code: 4,
      signal: null,
      stderr: '',
    });
    expect(written(given)).toEqual([]);
  });

  test('ends by process.exit() between a batch and the next, with several runs', async () => {
    const runs = [long(), long(), long()];
    const text = `
      let waiting = input.length;
      const ready = () => --waiting === 0 && setImmediate(() => process.exit(5));
      for (const options of input) distill(options).once('epoch', ready);`;
    expect(await runChild(text, { input: runs })).toMatchObject({
      code: 5,
      signal: null,
      stderr: '',
    });
    expect(runs.flatMap(written)).toEqual(['student.pth', 'student.pth', 'student.pth']);
  });

  test('ends by process.exit() while a worker of it trains', async () => {
    const given = long();
    const text = `
      import { Worker } from 'node:worker_threads';
      const code = \`const { parentPort, workerData } = require('node:worker_threads');
        import('${built}').then(({ distill }) =>
          distill(workerData).on('epoch', ({ epoch }) => parentPort.postMessage(epoch)));\`;
      new Worker(code, { eval: true, execArgv: [], workerData: input })
        .on('message', (epoch) => epoch === 3 && process.exit(6));`;
    expect(await runChild(text, { input: given })).toMatchObject({
      code: 6,
      signal: null,
      stderr: '',
    });
    expect(written(given)).toEqual(['student.pth']);
  });

  test('ends by SIGTERM', async () => {
    const given = long();
    const ended = await runChild(train, {
      input: given,
      // By then the student has been saved as often as it ever will: no write is cut short.
      onLine: (line, child) => line === '30' && child.kill('SIGTERM'),
    });
    expect(ended).toMatchObject({ code: null, signal: 'SIGTERM', stderr: '' });
    expect(written(given)).toEqual(['student.pth']);
  });

  test('ends by an exception elsewhere', async () => {
    const given = long();
    const text = `${train} run.once('epoch', () => setImmediate(() => { throw new Error('elsewhere'); }));`;
    const { code, signal, stderr } = await runChild(text, { input: given });
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toContain('Error: elsewhere');
    expect(written(given)).toEqual(['student.pth']);
  });

  test('ends by a failure that nobody looks at', async () => {
    const given = { ...options(), teacher: path.join(folder, 'none.pth') };
    const { code, stderr } = await runChild(train, { input: given });
    expect(code).toBe(1);
    expect(stderr).toMatch(/DistillError: .*none\.pth/);
  });

  test.each([
    ['awaited', 'await run;'],
    ['iterated', 'for await (const epoch of run);'],
    ['given to catch()', 'await run.catch((error) => { throw error; });'],
  ])('goes on after a failure that is %s', async (_, watch) => {
    const given = { ...options(), teacher: path.join(folder, 'none.pth') };
    const text = `${train} try { ${watch} } catch ({ name }) { console.log(name); }`;
    expect(await runChild(text, { input: given })).toEqual({
      code: 0,
      signal: null,
      stdout: 'DistillError\n',
      stderr: '',
    });
  });
});

describe('a worker', () => {
  /** Runs distill() in a worker_threads worker, which posts each epoch's numbers. */
  const startWorker = (given: DistillOptions, then = '') =>
    new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
      import('${built}')
        .then(({ distill }) =>
          distill(workerData)
            .on('prepare', () => parentPort.postMessage('prepare'))
            .on('epoch', ({ trainLoss, valLoss }) => parentPort.postMessage([trainLoss, valLoss]))${then});`,
      // The flags of the tests' own loader are not the worker's.
      { eval: true, execArgv: [], workerData: given },
    );

  test('trains as the main thread does, at the same time', async () => {
    const here: unknown[] = [];
    const there: unknown[] = [];
    const worker = startWorker(options({ epochs: 3 }));
    worker.on('message', (message) => Array.isArray(message) && there.push(message));
    const exited = once(worker, 'exit');
    await distill(options({ epochs: 3 })).on('epoch', ({ trainLoss, valLoss }) =>
      here.push([trainLoss, valLoss]),
    );
    expect(await exited).toEqual([0]);
    expect(there).toHaveLength(3);
    expect(there).toEqual(here);
  });

  test('may end itself by process.exit() in the training', async () => {
    const given = options({ epochs: ENDLESS });
    const worker = startWorker(
      given,
      ".on('epoch', ({ epoch }) => epoch === 3 && process.exit(7))",
    );
    expect(await once(worker, 'exit')).toEqual([7]);
    expect(written(given)).toEqual(['student.pth']);
    expect(await distill(options())).toMatchObject({ epochs: 2, stopReason: 'completed' });
  });

  test.each(['prepare', 'epoch'])('can be terminated at `%s`, and others train on', async (at) => {
    const given = options({ epochs: ENDLESS });
    const worker = startWorker(given);
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('message', (message) => {
        if ((at === 'prepare') === (message === 'prepare')) resolve();
      });
    });
    await worker.terminate();
    expect(written(given)).toEqual(at === 'prepare' ? [] : ['student.pth']);
    expect(await distill(options())).toMatchObject({ epochs: 2, stopReason: 'completed' });
  });
});
