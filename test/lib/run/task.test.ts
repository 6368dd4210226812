import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import type { NativeSession } from '../../../lib/native.js';
import type { CommonEvents } from '../../../lib/run/events.js';
import { Run } from '../../../lib/run/run.js';
import { sessionTask } from '../../../lib/run/task.js';
import { mean, std } from '../../helpers/dataset.js';

// The part of a run's work that has nothing to do with what it trains: stopping, aborting, closing its session.

const session = {
  imageSize: 32,
  mean,
  std,
  device: 'cpu',
  precision: 'fp32',
  threads: 1,
} as const;

const closed = (session: NativeSession | undefined) =>
  expect(session?.open()).rejects.toMatchObject({ code: 'ERR_CLOSED' });

test('closes its session after the work, also where that fails', async () => {
  let opened: NativeSession | undefined;
  const failure = new Error('the work failed');
  for (const fails of [false, true]) {
    const task = sessionTask<object, string, CommonEvents>(
      () => ({}),
      async (_, { createSession }) => {
        opened = createSession(session);
        await opened.open();
        if (fails) throw failure;
        return 'done';
      },
    );
    const run = new Run(task, 'prepare');
    if (fails) await expect(run).rejects.toBe(failure);
    else expect(await run).toBe('done');
    await closed(opened);
  }
});

test('sees a stop that comes before its session', async () => {
  const task = sessionTask<object, boolean, CommonEvents>(
    () => ({}),
    async (_, { createSession, stopping }) => {
      await new Promise((resolve) => stopping.addEventListener('abort', resolve));
      await createSession(session).open();
      return stopping.aborted;
    },
  );
  const run = new Run(task, 'prepare');
  expect(run.progress).toEqual({ epoch: 0, step: 0, steps: 0 });
  await Promise.resolve();
  await new Promise(setImmediate);
  run.stop();
  expect(await run).toBe(true);
});

test('rejects once its signal is aborted, whatever the work returns, and lets the signal go', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error('enough');
  const task = sessionTask<{ signal: AbortSignal }, string, CommonEvents>(
    () => ({ signal }),
    async (_, { stopping }) => {
      controller.abort(reason);
      return stopping.aborted ? 'stopped' : 'went on';
    },
  );
  await expect(new Run(task, 'prepare')).rejects.toMatchObject({
    code: 'ERR_ABORTED',
    cause: reason,
  });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('rejects with what is wrong with its options, and does nothing', async () => {
  const failure = new Error('wrong');
  let begun = false;
  const task = sessionTask<object, void, CommonEvents>(
    () => {
      throw failure;
    },
    async () => {
      begun = true;
    },
  );
  await expect(new Run(task, 'prepare')).rejects.toBe(failure);
  expect(begun).toBe(false);
});
