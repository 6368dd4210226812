import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../lib/package.js';

/**
 * Compiles what lets a process have no more threads than the variable MOST_THREADS says: its environment, or null on
 * systems without LD_PRELOAD.
 */
export function withFewThreads(folder: string): NodeJS.ProcessEnv | null {
  if (process.platform !== 'linux') return null;
  const cache = path.join(packageRoot, process.env.DISTILL_BUILD || 'build', 'CMakeCache.txt');
  const compiler = /^CMAKE_CXX_COMPILER:\w+=(.+)$/m.exec(readFileSync(cache, 'utf8'))?.[1] ?? 'c++';
  const library = path.join(folder, 'few_threads.so');
  const source = path.join(packageRoot, 'test/native/few_threads.cpp');
  const { status, stderr } = spawnSync(
    compiler,
    ['-shared', '-fPIC', '-o', library, source, '-ldl'],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return { LD_PRELOAD: library };
}
