import { defineConfig } from 'vitest/config';

/** Files that measure, count what the whole process or machine holds, or build: nothing runs beside them. */
const ALONE = [
  'test/package.test.ts',
  'test/native/{accelerator,dense-stage,device,gpu,kernels,teams,threads}.test.ts',
  'test/native/graph/mutations.test.ts',
  'test/scripts/{bench,fuzz,sanitize}.test.ts',
  'test/scripts/setup/build.test.ts',
];

export default defineConfig({
  test: {
    // A native addon loads once per process, so every file gets a process of its own.
    pool: 'forks',
    // Training and PyTorch take what they take: a limit is there for what hangs.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'two',
          include: ['test/**/*.test.ts'],
          exclude: ALONE,
          // Each of them waits for others at times: for a child process to start, for files, for one thread.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
