import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A native addon loads once per process, so every file gets a process of its own.
    pool: 'forks',
    // The addon uses all cores itself; two files at once would wait for each other's threads.
    maxWorkers: 1,
    // Training and PyTorch take what they take: a limit is there for what hangs.
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
});
