import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { runChild } from '../helpers/child.js';
import { smallRun, temporaryFolder } from '../helpers/dataset.js';
import { linesOf } from '../helpers/native.js';

// native/teams.cpp runs OpenMP's constructs and LibTorch's operators on a team, alone and while other
// programs take the processors; here its lines are read.

describe('a team does what OpenMP does', () => {
  const lines = linesOf('team_test');

  test.each([
    'OpenMP is replaced',
    'each share once',
    'shares know their number',
    'regions inside of regions',
    'barriers',
    'shares that wait for each other',
    'dynamic loops',
    'ordered loops',
    'sections',
    'single',
    'critical',
    "LibTorch's numbers",
    'a thread that cannot be made',
    'regions have the shares',
    "OpenMP's own threads elsewhere",
    'fewer threads are allowed',
    'all are allowed again',
    'version 1',
    'version 2',
    'no limit',
    'nonsense',
  ])('%s', (property) => {
    const checked = lines.filter((line) => line.replace(/^\w+ /, '').startsWith(property));
    expect(checked).not.toEqual([]);
    expect(checked.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});

describe('a training on a team', () => {
  const folder = temporaryFolder();
  let base: Awaited<ReturnType<typeof smallRun>>;
  beforeAll(async () => {
    base = await smallRun(folder);
  });

  /** Losses of a training on two threads, and the names of the process's threads in its last epoch. */
  async function train(env: NodeJS.ProcessEnv, before = '') {
    const { code, stdout, stderr } = await runChild(
      `import { readFileSync, readdirSync } from 'node:fs';
       ${before}
       const losses = [];
       let threads;
       await distill(input).on('epoch', ({ trainLoss, valLoss }) => {
         losses.push(trainLoss, valLoss);
         threads = readdirSync('/proc/self/task').map((task) =>
           readFileSync('/proc/self/task/' + task + '/comm', 'utf8').trim());
       });
       console.log(JSON.stringify({ losses, threads }));`,
      { input: { ...base, threads: 2 }, env },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { losses, threads } = JSON.parse(stdout) as { losses: number[]; threads: string[] };
    return { losses, isTeam: threads.includes('distill-team') };
  }

  test("has OpenMP's numbers, also where LibTorch was loaded before", async () => {
    const { libtorch } = await loadAddon().machine();
    const team = await train({});
    expect(team).toEqual({ losses: expect.arrayContaining([expect.any(Number)]), isTeam: true });
    const library = path.join(libtorch, 'lib/libtorch_cpu.so');
    // As another addon would: this one is none, but stays loaded.
    const load = `try { process.dlopen({ exports: {} }, ${JSON.stringify(library)}); } catch {}`;
    expect(await train({}, load)).toEqual(team);
    expect(await train({ DISTILL_OPENMP: '1' })).toEqual({ ...team, isTeam: false });
  });
});
