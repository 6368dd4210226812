import { describe, expect, test } from 'vitest';
import { linesOf } from '../helpers/native.js';

// native/kernels.cpp compares each kernel with plain ATen operators, on one thread and on several; here its
// lines are read.

describe('kernels compute what plain ATen operators do', () => {
  const lines = linesOf('kernel_test');

  test.each([
    'norm_relu_pool max training',
    'norm_relu_pool max evaluation',
    'norm_relu_pool average training',
    'norm_relu_pool average evaluation',
    'norm_relu ',
    'norm_relu_average2',
    'stem',
    'convolution',
    'normalize',
  ])('%s', (kernel) => {
    const compared = lines.filter((line) => line.replace(/^\w+ /, '').startsWith(kernel));
    expect(compared.length).toBeGreaterThan(5);
    expect(compared.filter((line) => !line.startsWith('ok '))).toEqual([]);
  });
});
