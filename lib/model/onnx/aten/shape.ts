import type { Call } from './call.js';
import {
  axisOf,
  concat,
  constant,
  knownSize,
  reduce,
  reshape,
  sizesOf,
  slice,
  squeeze,
  unsqueeze,
  vector,
} from './emit.js';
import type { Views } from './operators.js';
import { makeValue, type Size, type Value, type View } from './values.js';

// Operators that look at the same memory in another shape. Each knows the way back, for writes in place.

export const SHAPES: Views = {
  view: (call) => reshaped(call, () => call.sizes('size')),
  _unsafe_view: (call) => reshaped(call, () => call.sizes('size')),
  reshape: (call) => reshaped(call, () => call.sizes('shape')),
  view_as: (call) => reshaped(call, () => sizesOf(call, call.tensor('other'))),
  reshape_as: (call) => reshaped(call, () => sizesOf(call, call.tensor('other'))),
  flatten: (call) => reshaped(call, () => flattened(call)),
  unflatten: (call) => reshaped(call, () => unflattened(call)),
  squeeze: (call) => reshaped(call, () => squeezed(call)),
  unsqueeze: (call) => reshaped(call, () => unsqueezed(call)),
  permute: (call) => permuted(call, call.ints('dims')),
  transpose: (call) => swapped(call, call.int('dim0'), call.int('dim1')),
  swapaxes: (call) => swapped(call, call.int('axis0'), call.int('axis1')),
  t: (call) => (call.first.shape.length < 2 ? call.first : swapped(call, 0, 1)),
  mT: (call) => swapped(call, -1, -2),
  numpy_T: (call) => permuted(call, [...call.first.shape.keys()].reverse()),
  movedim: (call) => moved(call),
  slice: (call) => (isWhole(call) ? call.first : sliced(call)),
  diagonal: diagonal,
  atleast_1d: (call) => (call.first.shape.length >= 1 ? call.first : reshaped(call, () => [1])),
  atleast_2d: (call) =>
    call.first.shape.length >= 2
      ? call.first
      : reshaped(call, () => [1, ...sizesOf(call, call.first)]),
  narrow: (call) => {
    const [start, length] = [call.int('start'), call.int('length')];
    return part(call, call.int('dim'), start, start + length);
  },
  select: (call) => selected(call, call.int('dim'), call.size('index')),
  unbind: (call) => {
    const dim = call.int('dim', 0);
    return call.outputNames().map((_, index) => selected(call, dim, index));
  },
  chunk: pieces,
  split: pieces,
  unsafe_chunk: pieces,
  unsafe_split: pieces,
  split_with_sizes: pieces,
  tensor_split: pieces,
  expand: (call) => expanded(call, call.sizes('size')),
  expand_as: (call) => expanded(call, sizesOf(call, call.tensor('other'))),
  broadcast_to: (call) => expanded(call, call.sizes('size')),
  // Names for the same tensor; dropout does nothing in evaluation mode.
  alias: (call) => call.first,
  detach: (call) => call.first,
  dropout: (call) => call.first,
  feature_dropout: (call) => call.first,
  alpha_dropout: (call) => call.first,
  contiguous: (call) => (isContiguous(call) ? call.first : copied(call, call.x)),
};

/** Tells whether the elements of the first argument lay in order at export, so that nothing is copied to reshape it. */
function isContiguous(call: Call): boolean {
  const { shape, strides } = call.describeFirst();
  let expected: number | null = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? null;
    if (size !== 1 && expected !== null && strides[axis] !== expected) return false;
    expected = size === null || expected === null ? null : expected * size;
  }
  return true;
}

/** A tensor of its own. */
function copied(call: Call, content: string): Value {
  const { kind, shape } = call.output();
  return makeValue(content, kind, shape);
}

function reshaped(call: Call, sizes: () => readonly Size[]): View | Value {
  const { first } = call;
  const isCopy = /reshape|flatten/.test(call.operator) && !isContiguous(call);
  if (isCopy) return copied(call, reshape(call, call.x, call.output().shape, sizes));
  return {
    take: (base) => reshape(call, base, call.output().shape, sizes),
    put: (_, part) => reshape(call, part, first.shape, () => sizesOf(call, first)),
  };
}

function flattened(call: Call): Size[] {
  const { shape } = call.first;
  const start = axisOf(call.int('start_dim', 0), shape.length);
  const end = axisOf(call.int('end_dim', -1), shape.length);
  const sizes = sizesOf(call, call.first);
  return [...sizes.slice(0, start), -1, ...sizes.slice(end + 1)];
}

function unflattened(call: Call): Size[] {
  const sizes = sizesOf(call, call.first);
  sizes.splice(axisOf(call.int('dim'), sizes.length), 1, ...call.sizes('sizes'));
  return sizes;
}

function squeezed(call: Call): Size[] {
  const { shape } = call.first;
  const dims = call.has('dim') ? call.ints('dim') : [...shape.keys()];
  const axes = dims.map((dim) => axisOf(dim, shape.length));
  return sizesOf(call, call.first).filter((_, i) => !(axes.includes(i) && shape[i] === 1));
}

function unsqueezed(call: Call): Size[] {
  const sizes = sizesOf(call, call.first);
  sizes.splice(axisOf(call.int('dim'), sizes.length + 1), 0, 1);
  return sizes;
}

function permuted(call: Call, dims: readonly number[]): View {
  const perm = dims.map((dim) => axisOf(dim, dims.length));
  const back = perm.map((_, axis) => perm.indexOf(axis));
  return {
    take: (base) => call.node('Transpose', [base], { perm }),
    put: (_, part) => call.node('Transpose', [part], { perm: back }),
  };
}

function swapped(call: Call, first: number, second: number): View {
  const dims = [...call.first.shape.keys()];
  const [a, b] = [axisOf(first, dims.length), axisOf(second, dims.length)];
  dims[a] = b;
  dims[b] = a;
  return permuted(call, dims);
}

function moved(call: Call): View {
  const { length } = call.first.shape;
  const sources = call.ints('source').map((dim) => axisOf(dim, length));
  const targets = call.ints('destination').map((dim) => axisOf(dim, length));
  const rest = [...call.first.shape.keys()].filter((dim) => !sources.includes(dim));
  const dims = Array.from({ length }, (_, axis) => {
    const at = targets.indexOf(axis);
    return at < 0 ? rest.shift() : sources[at];
  });
  return permuted(call, dims as number[]);
}

/** The part from `start` to `end` along a dimension. */
function part(call: Call, dim: number, start: Size, end: Size): View {
  const { first } = call;
  const axis = axisOf(dim, first.shape.length);
  return {
    take: (base) => slice(call, base, axis, start, end),
    put: (base, content) => {
      const before = start === 0 ? [] : [slice(call, base, axis, 0, start)];
      const after = end === first.shape[axis] ? [] : [slice(call, base, axis, end)];
      return concat(call, [...before, content, ...after], axis);
    },
  };
}

interface Slice {
  dim: number;
  start: Size;
  end: Size;
  step: number;
}

function sliceOf(call: Call): Slice {
  const { shape } = call.first;
  const dim = axisOf(call.int('dim', 0), shape.length);
  const size = shape[dim] ?? null;
  const start = bounded(call.has('start') ? call.size('start') : 0, size);
  const end = bounded(call.has('end') ? call.size('end') : Number.MAX_SAFE_INTEGER, size);
  return { dim, start, end, step: call.int('step', 1) };
}

/** Tells whether a slice takes all that there is. */
function isWhole(call: Call): boolean {
  const { dim, start, end, step } = sliceOf(call);
  const isToEnd =
    typeof end === 'number' && (end === call.first.shape[dim] || end >= Number.MAX_SAFE_INTEGER);
  return start === 0 && isToEnd && step === 1;
}

export function sliced(call: Call): View {
  const { dim, start, end, step } = sliceOf(call);
  if (step === 1) return part(call, dim, start, end);
  return {
    take: (base) => slice(call, base, dim, start, end, step),
    put: () => {
      throw call.refuse('is written to in place');
    },
  };
}

/** The diagonal of a square, as a last dimension: the sum of each row where all else is 0. */
function diagonal(call: Call): View {
  const { length } = call.first.shape;
  const [row, column] = [call.int('dim1', 0), call.int('dim2', 1)].map((dim) =>
    axisOf(dim, length),
  );
  const size = knownSize(call, call.first, row as number);
  if (size !== knownSize(call, call.first, column as number) || call.int('offset', 0) !== 0) {
    throw call.refuse('takes another diagonal than that of a square');
  }
  const rest = [...call.first.shape.keys()].filter((dim) => dim !== row && dim !== column);
  const data = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
  return {
    take: (base) => {
      const squares = call.node('Transpose', [base], {
        perm: [...rest, row as number, column as number],
      });
      const eye = constant(call, `eye_${size}x${size}`, [size, size], data);
      return reduce(call, 'ReduceSum', call.node('Mul', [squares, eye]), [-1], false);
    },
    put: () => {
      throw call.refuse('is written to in place');
    },
  };
}

/** Counts a bound of a slice from the beginning, where the size is known. */
function bounded(bound: Size, size: number | null): Size {
  if (typeof bound === 'string' || size === null) return bound;
  return Math.max(0, Math.min(size, bound < 0 ? bound + size : bound));
}

export function selected(call: Call, dim: number, index: Size): View {
  const { first } = call;
  const axis = axisOf(dim, first.shape.length);
  const size = first.shape[axis] ?? null;
  const at = bounded(index, size);
  return {
    take: (base) =>
      typeof at === 'number'
        ? call.node('Gather', [base, call.graph.integer(at)], { axis })
        : squeeze(call, call.node('Gather', [base, at], { axis }), axis),
    put: (base, content) => {
      if (typeof at === 'string' || at < 0) throw call.refuse('is written to in place');
      return part(call, dim, at, at + 1).put(base, unsqueeze(call, content, axis));
    },
  };
}

/** Cuts a tensor along a dimension into as many pieces as there are outputs. */
function pieces(call: Call): View[] {
  const { first } = call;
  const dim = call.has('dim') ? call.int('dim') : 0;
  const axis = axisOf(dim, first.shape.length);
  let start = 0;
  return call.outputNames().map((_, index) => {
    const size = call.output(index).shape[axis];
    if (typeof size !== 'number') throw call.refuse('gives pieces of unknown size');
    const view = part(call, axis, start, start + size);
    start += size;
    return view;
  });
}

/** Repeats dimensions of size 1. */
function expanded(call: Call, sizes: readonly Size[]): View {
  const target = sizes.map((size) => (size === -1 ? 1 : size));
  return {
    take: (base) => call.node('Expand', [base, vector(call, target)]),
    put: () => {
      throw call.refuse('is written to in place');
    },
  };
}
