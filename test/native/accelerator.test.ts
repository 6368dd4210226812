import { describe, expect, test } from 'vitest';
import { linesOf } from '../helpers/native.js';

// native/accelerator.cpp trains and predicts on a stand-in for a GPU, whose kernels are the CPU's: it counts what a GPU's host
// would wait for, refuses what may not be captured in a graph, and replays what was captured. Here its lines are read.

describe('another device than the CPU', () => {
  const lines = linesOf('accelerator_test');

  test.each([
    ['trains as on the CPU', 18],
    ['trains as step by step', 12],
    ['does nothing that a capture refuses', 18],
    ['does the same work in each epoch', 18],
    ['takes no memory in a step', 36],
    ['replays all full batches', 18],
    ['times in epoch', 15],
    ['says what it says on the CPU', 4],
    ['waits once a batch', 4],
    ['replays all warm, full batches', 4],
    ['a step that cannot be captured is tried once', 1],
  ])('%s', (claim, checks) => {
    const checked = lines.filter((line) => line.includes(claim));
    expect(checked.length).toBeGreaterThanOrEqual(checks);
    expect(checked.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
