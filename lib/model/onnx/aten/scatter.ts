import type { Call } from './call.js';
import { sizeAlong, vector } from './emit.js';
import { together } from './indexing.js';
import type { Operators } from './operators.js';
import { selected, sliced } from './shape.js';
import { contentOf, type Size } from './values.js';

/** Operators that return a tensor with a part of it replaced. */
export const SCATTERS: Operators = {
  slice_scatter: (call) => sliced(call).put(call.x, call.content('src')),
  select_scatter: (call) =>
    selected(call, call.int('dim'), call.size('index')).put(call.x, call.content('src')),
  index_put: (call) => indexPut(call),
};

/** Replaces x[i, j, …], of indices along the first dimensions. */
function indexPut(call: Call): string {
  const { first } = call;
  if (call.flag('accumulate')) throw call.refuse('adds to what is there');
  const indices = call.optionalTensors('indices').filter((index) => index !== null);
  const isFront = call.optionalTensors('indices').slice(0, indices.length).every(Boolean);
  const [one, ...others] = indices;
  const values = call.content('values');
  if (one?.kind === 'bool' && others.length === 0 && isFront) {
    const isWhole = one.shape.length === first.shape.length;
    if (!isWhole || call.tensor('values').shape.length > 0) {
      throw call.refuse('replaces what a mask picks by more than one number');
    }
    return call.node('Where', [contentOf(one), values, call.x]);
  }
  if (!isFront || indices.some(({ kind }) => kind !== 'int')) {
    throw call.refuse('has indices along other dimensions than the first');
  }
  const places = together(call, indices);
  const rest: Size[] = first.shape
    .map((_, axis) => axis)
    .slice(indices.length)
    .map((axis) => sizeAlong(call, first, axis));
  const picked = call.node('Shape', [places], { start: 0, end: -1 });
  const shape =
    rest.length > 0 ? call.node('Concat', [picked, vector(call, rest)], { axis: 0 }) : picked;
  return call.node('ScatterND', [call.x, places, call.node('Expand', [values, shape])]);
}
