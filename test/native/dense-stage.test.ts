import { describe, expect, test } from 'vitest';
import { linesOf } from '../helpers/native.js';

// native/dense_stage.cpp compares a DenseNet's stage in training with plain ATen operators, on one thread and on
// several; here its lines are read.

describe('training computes what plain ATen operators do', () => {
  const lines = linesOf('dense_stage_test');

  test.each(['stage average2', 'stage average ', 'norm_relu_train'])('%s', (part) => {
    const compared = lines.filter((line) => line.replace(/^\w+ /, '').startsWith(part));
    expect(compared.length).toBeGreaterThan(100);
    expect(compared.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
