import type { ChildProcess } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { filesIn } from './dataset.js';

/** Stops a process while `isDue` holds, which it looks at over and over. */
export async function stopWhile(child: ChildProcess, isDue: () => boolean): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error('The process has ended before it could be held.');
    if (isDue()) {
      child.kill('SIGSTOP');
      await stopped(child.pid as number);
      if (isDue()) return;
      child.kill('SIGCONT');
    }
    await wait(1);
  }
}

/** Waits until no thread is in a system call any more: a stop takes effect at its end. */
async function stopped(pid: number): Promise<void> {
  if (process.platform !== 'linux') return wait(200);
  const isStopped = () =>
    readdirSync(`/proc/${pid}/task`).every((thread) =>
      /\) T/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')),
    );
  while (!isStopped()) await wait(1);
}

/**
 * Returns the names of files and folders that are being made in a folder, or were left so. Empty ones do not count: they
 * may not be locked yet, and their maker makes others if they are taken for leftovers.
 */
export function halfMadeIn(folder: string): string[] {
  return filesIn(folder)
    .filter((name) => /^\.node-distill-[0-9A-Za-z]{6}\.part$/.test(name))
    .filter((name) => {
      const status = lstatSync(path.join(folder, name), { throwIfNoEntry: false });
      return status?.isDirectory() ? filesIn(path.join(folder, name)).length > 0 : status?.size;
    });
}
