import type { Call } from './call.js';
import { knownSize } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf } from './values.js';

export const CONVOLUTIONS: Operators = {
  conv1d: (call) => convolution(call),
  conv2d: (call) => convolution(call),
  conv3d: (call) => convolution(call),
  conv_transpose2d: (call) => transposed(call),
  convolution: (call) => (call.flag('transposed') ? transposed(call) : convolution(call)),
  _convolution: (call) => (call.flag('transposed') ? transposed(call) : convolution(call)),
};

/** Returns the sizes of the kernel, which are the weight's after its channels. */
function kernelOf(call: Call): number[] {
  const weight = call.tensor('weight');
  return weight.shape.slice(2).map((_, i) => knownSize(call, weight, i + 2));
}

/** Repeats a single number for each dimension. */
function forEach(values: readonly number[], kernel: readonly number[]): number[] {
  return values.length === kernel.length ? [...values] : kernel.map(() => values[0] ?? 0);
}

function convolution(call: Call): string {
  const kernel = kernelOf(call);
  const dilations = forEach(call.ints('dilation', [1]), kernel);
  const attributes = {
    kernel_shape: kernel,
    strides: forEach(call.ints('stride', [1]), kernel),
    pads: paddingOf(call, kernel, dilations),
    dilations,
    group: call.int('groups', 1),
  };
  return call.node('Conv', inputsOf(call), attributes);
}

/** Returns the padding before each dimension, then after each. */
function paddingOf(call: Call, kernel: readonly number[], dilations: readonly number[]): number[] {
  const text = call.text('padding');
  if (text === 'valid') return [...kernel, ...kernel].map(() => 0);
  if (text === 'same') {
    const total = kernel.map((side, i) => (side - 1) * (dilations[i] ?? 1));
    const before = total.map((pixels) => Math.floor(pixels / 2));
    return [...before, ...total.map((pixels, i) => pixels - (before[i] ?? 0))];
  }
  const padding = forEach(call.ints('padding', [0]), kernel);
  return [...padding, ...padding];
}

function transposed(call: Call): string {
  const kernel = kernelOf(call);
  const padding = forEach(call.ints('padding', [0]), kernel);
  const attributes = {
    kernel_shape: kernel,
    strides: forEach(call.ints('stride', [1]), kernel),
    pads: [...padding, ...padding],
    output_padding: forEach(call.ints('output_padding', [0]), kernel),
    dilations: forEach(call.ints('dilation', [1]), kernel),
    group: call.int('groups', 1),
  };
  return call.node('ConvTranspose', inputsOf(call), attributes);
}

function inputsOf(call: Call): string[] {
  const bias = call.optionalTensor('bias');
  const inputs = [call.content('input'), call.content('weight')];
  return bias ? [...inputs, contentOf(bias)] : inputs;
}
