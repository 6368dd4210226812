import { TensorProto_DataType } from '../onnx_pb.js';
import { type Call, DATA_TYPES } from './call.js';
import { contentOf, type Kind, type Size, type Value } from './values.js';

// Steps that many operators are made of. They take and return names of ONNX's values.

/** Stands for "to the end" in slices. */
const END = Number.MAX_SAFE_INTEGER;

export function cast(call: Call, x: string, from: Kind, to: Kind): string {
  return from === to ? x : call.node('Cast', [x], { to: DATA_TYPES[to] });
}

/** Adds a number as a scalar of a type. */
export function scalar(call: Call, value: number, kind: Kind): string {
  if (kind === 'float') return call.graph.float(value);
  if (kind === 'int') return call.graph.integer(Math.trunc(value));
  return call.node('Cast', [call.graph.integer(value)], { to: DATA_TYPES.bool });
}

/** Makes sizes an int64 vector. */
export function vector(call: Call, sizes: readonly Size[]): string {
  const known = sizes.filter((size) => typeof size === 'number');
  if (known.length === sizes.length) return call.graph.integers(...known);
  const parts = sizes.map((size) => (typeof size === 'number' ? call.graph.integers(size) : size));
  return parts.length === 1 ? (parts[0] as string) : call.node('Concat', parts, { axis: 0 });
}

/** Returns a dimension counted from 0 of one that may be counted from the end. */
export function axisOf(dim: number, rank: number): number {
  return dim < 0 ? dim + rank : dim;
}

/** Returns the size of a tensor along a dimension. */
export function sizeAlong(call: Call, value: Value, axis: number): Size {
  const known = value.shape[axis];
  return typeof known === 'number'
    ? known
    : call.node('Shape', [contentOf(value)], { start: axis, end: axis + 1 });
}

export function sizesOf(call: Call, value: Value): Size[] {
  return value.shape.map((_, axis) => sizeAlong(call, value, axis));
}

/** Returns the size of a tensor along a dimension where it must be known. */
export function knownSize(call: Call, value: Value, dim: number): number {
  const size = value.shape[axisOf(dim, value.shape.length)];
  if (typeof size === 'number') return size;
  throw call.refuse('needs an input of known size; export it without `dynamicSize`');
}

/**
 * Reshapes.
 *
 * @param shape What is known of the outcome; where two sizes are not, `sizes` computes them.
 */
export function reshape(
  call: Call,
  x: string,
  shape: readonly (number | null)[],
  sizes: () => readonly Size[],
): string {
  const unknown = shape.filter((size) => size === null).length;
  const isPlain = unknown === 0 || (unknown === 1 && !shape.includes(0));
  const target = isPlain
    ? call.graph.integers(...shape.map((size) => size ?? -1))
    : vector(call, sizes());
  return call.node('Reshape', [x, target], shape.includes(0) ? { allowzero: 1 } : {});
}

/** Takes a part along a dimension. */
export function slice(
  call: Call,
  x: string,
  axis: number,
  start: Size,
  end: Size = END,
  step = 1,
): string {
  const bounded = (size: Size) =>
    typeof size === 'number' ? Math.max(-END, Math.min(END, size)) : size;
  const inputs = [[bounded(start)], [bounded(end)], [axis]].map((sizes) => vector(call, sizes));
  if (step !== 1) inputs.push(call.graph.integers(step));
  return call.node('Slice', [x, ...inputs]);
}

export function concat(call: Call, parts: readonly string[], axis: number): string {
  return parts.length === 1 ? (parts[0] as string) : call.node('Concat', parts, { axis });
}

export function unsqueeze(call: Call, x: string, ...axes: number[]): string {
  return call.node('Unsqueeze', [x, call.graph.integers(...axes)]);
}

export function squeeze(call: Call, x: string, ...axes: number[]): string {
  return call.node('Squeeze', [x, call.graph.integers(...axes)]);
}

/** Reduces dimensions: all where `axes` is empty. Axes are an input from opset 18 on, of a sum from 13 on. */
export function reduce(
  call: Call,
  type:
    | 'ReduceMean'
    | 'ReduceSum'
    | 'ReduceMax'
    | 'ReduceMin'
    | 'ReduceProd'
    | 'ReduceL2'
    | 'ReduceL1',
  x: string,
  axes: readonly number[],
  keep: boolean,
): string {
  const keepdims = { keepdims: keep ? 1 : 0 };
  if (axes.length === 0) return call.node(type, [x], keepdims);
  return type === 'ReduceSum' || call.opset >= 18
    ? call.node(type, [x, call.graph.integers(...axes)], keepdims)
    : call.node(type, [x], { axes, ...keepdims });
}

/** Adds a constant of float32 that a conversion needs, once for each name. */
export function constant(
  call: Call,
  name: string,
  shape: readonly number[],
  data: Float32Array,
): string {
  return call.graph.constant(`constant_${name}`, TensorProto_DataType.FLOAT, shape, data);
}

/** Adds a vector of one number. */
export function filled(call: Call, length: number, value: number): string {
  const data = new Float32Array(length).fill(value);
  return constant(call, `${value}_${length}`, [length], data);
}
