import { describe, expect, test } from 'vitest';
import { linesOf } from './helpers/native.js';

// native/accelerator.cpp trains on a stand-in for a GPU, whose kernels are the CPU's: it counts what a GPU's host
// would wait for, refuses what may not be captured in a graph, and replays what was captured. Here its lines are read.

describe('a training on another device than the CPU', () => {
  const lines = linesOf('accelerator_test');

  test.each([
    'trains as on the CPU',
    'trains as step by step',
    'does nothing that a capture refuses',
    'does the same work in each epoch',
    'takes no memory in a step',
    'replays all full batches',
    'times in epoch',
    'says what it says on the CPU',
    'waits once a batch',
    'replays all warm, full batches',
  ])('%s', (claim) => {
    const checked = lines.filter((line) => line.includes(claim));
    expect(checked.length).toBeGreaterThanOrEqual(4);
    expect(checked.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
