import type { Call } from './call.js';
import { constant, knownSize } from './emit.js';
import type { Operators } from './operators.js';

export const POOLINGS: Operators = {
  max_pool1d: (call) => maxPool(call),
  max_pool2d: (call) => maxPool(call),
  max_pool2d_with_indices: (call) => [maxPool(call)],
  avg_pool1d: averagePool,
  avg_pool2d: averagePool,
  avg_pool3d: averagePool,
  adaptive_avg_pool1d: adaptiveAveragePool,
  adaptive_avg_pool2d: adaptiveAveragePool,
  _adaptive_avg_pool2d: adaptiveAveragePool,
  adaptive_max_pool1d: (call) => [adaptiveMaxPool(call)],
  adaptive_max_pool2d: (call) => [adaptiveMaxPool(call)],
};

interface Windows {
  kernel: number[];
  stride: number[];
  padding: number[];
  dilation: number[];
}

function windowsOf(call: Call): Windows {
  const dims = call.first.shape.length - 2;
  const forEach = (values: readonly number[]) =>
    values.length === dims ? [...values] : Array<number>(dims).fill(values[0] ?? 0);
  const kernel = forEach(call.ints('kernel_size'));
  const stride = call.has('stride') ? call.ints('stride') : [];
  return {
    kernel,
    stride: stride.length > 0 ? forEach(stride) : kernel,
    padding: forEach(call.ints('padding', [0])),
    dilation: forEach(call.ints('dilation', [1])),
  };
}

/**
 * Returns `ceil_mode` as padding after each dimension, so that the number of windows is PyTorch's, which drops a window
 * that begins in the padding; `null` where the sizes are not known.
 */
function endPadding(call: Call, { kernel, stride, padding, dilation }: Windows): number[] | null {
  if (!call.flag('ceil_mode')) return padding;
  const after = padding.map((pad, i) => {
    const [size, windows] = [call.first.shape[i + 2], call.output().shape[i + 2]];
    if (typeof size !== 'number' || typeof windows !== 'number') return null;
    const reach =
      (windows - 1) * (stride[i] ?? 1) + (dilation[i] ?? 1) * ((kernel[i] ?? 1) - 1) + 1;
    return Math.max(pad, reach - size - pad);
  });
  return after.every((pixels) => pixels !== null) ? after : null;
}

/** Padding as attributes; ONNX rounds up where sizes are not known. */
function paddingOf(padding: readonly number[], after: readonly number[] | null) {
  return { pads: [...padding, ...(after ?? padding)], ...(after ? {} : { ceil_mode: 1 }) };
}

function maxPool(call: Call): string {
  const windows = windowsOf(call);
  return call.node('MaxPool', [call.x], {
    kernel_shape: windows.kernel,
    strides: windows.stride,
    ...paddingOf(windows.padding, endPadding(call, windows)),
    dilations: windows.dilation,
  });
}

function averagePool(call: Call): string {
  const windows = windowsOf(call);
  if (call.has('divisor_override')) throw call.refuse('has a `divisor_override`');
  const { kernel, stride, padding } = windows;
  const after = endPadding(call, windows);
  const attributes = { kernel_shape: kernel, strides: stride };
  const isPadded = padding.some((pixels) => pixels > 0);
  if (!isPadded || !call.flag('count_include_pad', true)) {
    return call.node('AveragePool', [call.x], { ...attributes, ...paddingOf(padding, after) });
  }
  if (!after) throw call.refuse('rounds up for an input of unknown size');
  if (after.every((pixels, i) => pixels === padding[i])) {
    const pads = [...padding, ...padding];
    return call.node('AveragePool', [call.x], { ...attributes, pads, count_include_pad: 1 });
  }
  // Zeros of the padding count, but those that `ceil_mode` adds do not.
  const pads = call.graph.integers(0, 0, ...padding, 0, 0, ...padding);
  const padded = call.node('Pad', [call.x, pads]);
  const surplus = after.map((pixels, i) => pixels - (padding[i] ?? 0));
  return call.node('AveragePool', [padded], {
    ...attributes,
    pads: [...padding.map(() => 0), ...surplus],
  });
}

/** Returns the sizes that an adaptive pooling gives. */
function targetOf(call: Call): number[] {
  const { shape } = call.output();
  return shape.slice(2).map((size) => {
    if (typeof size === 'number') return size;
    throw call.refuse('has an output of unknown size; export it without `dynamicSize`');
  });
}

function adaptiveAveragePool(call: Call): string {
  const target = targetOf(call);
  if (target.every((size) => size === 1)) return call.node('GlobalAveragePool', [call.x]);
  const sizes = target.map((_, i) => knownSize(call, call.first, i + 2));
  if (target.every((size, i) => size === sizes[i])) return call.x;
  if (target.every((size, i) => (sizes[i] ?? 0) % size === 0)) {
    const kernel = target.map((size, i) => (sizes[i] ?? 0) / size);
    return call.node('AveragePool', [call.x], { kernel_shape: kernel, strides: kernel });
  }
  // As products with the means' weights: each row of a matrix averages one window.
  const [rows = 1, columns = 1] = target;
  const [height = 1, width = 1] = sizes;
  if (target.length === 1) return call.node('MatMul', [call.x, means(call, height, rows, true)]);
  const across = call.node('MatMul', [call.x, means(call, width, columns, true)]);
  return call.node('MatMul', [means(call, height, rows, false), across]);
}

/** The weights of adaptive pooling's windows: (target, size), or transposed. */
function means(call: Call, size: number, target: number, isTransposed: boolean): string {
  const data = new Float32Array(size * target);
  for (let row = 0; row < target; row++) {
    const start = Math.floor((row * size) / target);
    const end = Math.ceil(((row + 1) * size) / target);
    for (let i = start; i < end; i++) {
      data[isTransposed ? i * target + row : row * size + i] = 1 / (end - start);
    }
  }
  const shape = isTransposed ? [size, target] : [target, size];
  return constant(call, `means_${shape.join('x')}${isTransposed ? '_t' : ''}`, shape, data);
}

function adaptiveMaxPool(call: Call): string {
  const target = targetOf(call);
  if (target.every((size) => size === 1)) return call.node('GlobalMaxPool', [call.x]);
  const sizes = target.map((_, i) => knownSize(call, call.first, i + 2));
  if (target.some((size, i) => (sizes[i] ?? 0) % size !== 0)) {
    throw call.refuse('has windows of different sizes');
  }
  const kernel = target.map((size, i) => (sizes[i] ?? 0) / size);
  return call.node('MaxPool', [call.x], { kernel_shape: kernel, strides: kernel });
}
