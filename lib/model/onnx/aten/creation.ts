import { inKind } from './arithmetic.js';
import type { Call } from './call.js';
import { cast, constant, scalar, sizesOf, vector } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Size } from './values.js';

// Tensors that are made of numbers, copies, and changes of type.

export const CREATIONS: Operators = {
  zeros: (call) => full(call, call.sizes('size'), 0),
  ones: (call) => full(call, call.sizes('size'), 1),
  full: (call) => full(call, call.sizes('size'), call.number('fill_value')),
  empty: (call) => full(call, call.sizes('size'), 0),
  new_zeros: (call) => full(call, call.sizes('size'), 0),
  new_ones: (call) => full(call, call.sizes('size'), 1),
  new_empty: (call) => full(call, call.sizes('size'), 0),
  new_full: (call) => full(call, call.sizes('size'), call.number('fill_value')),
  zeros_like: (call) => full(call, sizesOf(call, call.first), 0),
  ones_like: (call) => full(call, sizesOf(call, call.first), 1),
  empty_like: (call) => full(call, sizesOf(call, call.first), 0),
  full_like: (call) => full(call, sizesOf(call, call.first), call.number('fill_value')),
  scalar_tensor: (call) => scalar(call, call.number('s'), call.output().kind),
  eye: identityMatrix,
  arange: arange,
  linspace: linspace,
  meshgrid: meshgrid,
  one_hot: oneHot,
  clone: (call) => call.x,
  lift_fresh_copy: (call) => call.x,
  lift_fresh: (call) => call.x,
  // Written to in place, so that the shape is the tensor's own.
  fill: (call) => filled(call, call.operand('value') ?? 0),
  zero: (call) => filled(call, 0),
  copy: (call) => filled(call, call.tensor('src')),
  to: converted,
  _to_copy: converted,
  type_as: converted,
  float: converted,
  native_dropout: (call) => [call.x],
};

function full(call: Call, sizes: readonly Size[], value: number): string {
  const content = scalar(call, value, call.output().kind);
  return sizes.length === 0 ? content : call.node('Expand', [content, vector(call, sizes)]);
}

function filled(call: Call, value: Exclude<ReturnType<Call['operand']>, null>): string {
  const { first } = call;
  const content = inKind(call, value, first.kind);
  if (first.shape.length === 0) return content;
  return call.node('Expand', [content, vector(call, sizesOf(call, first))]);
}

function identityMatrix(call: Call): string {
  const [rows, columns] = call.output().shape;
  if (typeof rows !== 'number' || typeof columns !== 'number')
    throw call.refuse('has no known size');
  const data = Float32Array.from({ length: rows * columns }, (_, i) =>
    Math.floor(i / columns) === i % columns ? 1 : 0,
  );
  const matrix = constant(call, `eye_${rows}x${columns}`, [rows, columns], data);
  return cast(call, matrix, 'float', call.output().kind);
}

/** start, start + step, … below end. */
function arange(call: Call): string {
  const { kind } = call.output();
  const bound = (name: string, preset: number) =>
    call.has(name) ? inKind(call, call.operand(name) ?? preset, kind) : scalar(call, preset, kind);
  return call.node('Range', [bound('start', 0), bound('end', 0), bound('step', 1)]);
}

function linspace(call: Call): string {
  const [start, end, steps] = [call.number('start'), call.number('end'), call.int('steps')];
  const step = (end - start) / Math.max(1, steps - 1);
  const { graph } = call;
  const indices = call.node('Range', [graph.float(0), graph.float(steps), graph.float(1)]);
  const scaled = call.node('Mul', [indices, graph.float(step)]);
  return call.node('Add', [scaled, graph.float(start)]);
}

/** The coordinates of a grid: each of the vectors along a dimension of its own, 'ij', or the first two swapped, 'xy'. */
function meshgrid(call: Call): string[] {
  const vectors = call.tensors('tensors');
  const isSwapped = call.text('indexing', 'ij') === 'xy' && vectors.length > 1;
  const axisOf = (i: number) => (isSwapped && i < 2 ? 1 - i : i);
  const sizes: Size[] = vectors.map(() => 1);
  for (const [i, value] of vectors.entries()) sizes[axisOf(i)] = sizesOf(call, value)[0] ?? 1;
  return vectors.map((value, i) => {
    const shape = vectors.map((_, axis) => (axis === axisOf(i) ? -1 : 1));
    const along = call.node('Reshape', [contentOf(value), call.graph.integers(...shape)]);
    return call.node('Expand', [along, vector(call, sizes)]);
  });
}

function converted(call: Call): string {
  return cast(call, call.x, call.first.kind, call.output().kind);
}

function oneHot(call: Call): string {
  const classes = call.output().shape.at(-1);
  if (typeof classes !== 'number') throw call.refuse('has no known number of classes');
  const inputs = [call.x, call.graph.integer(classes), call.graph.integers(0, 1)];
  return call.node('OneHot', inputs);
}
