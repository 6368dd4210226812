import type { Call } from './call.js';
import { axisOf, unsqueeze } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Value } from './values.js';

export const INDEXINGS: Operators = {
  index: indexed,
  index_select: (call) => {
    const axis = axisOf(call.int('dim'), call.first.shape.length);
    return call.node('Gather', [call.x, call.content('index')], { axis });
  },
  embedding: (call) =>
    call.node('Gather', [call.content('weight'), call.content('indices')], { axis: 0 }),
  gather: (call) =>
    call.node('GatherElements', [call.x, call.content('index')], { axis: call.int('dim') }),
  take_along_dim: (call) => {
    if (!call.has('dim')) throw call.refuse('flattens its input');
    const inputs = [call.x, call.content('indices')];
    return call.node('GatherElements', inputs, { axis: call.int('dim') });
  },
};

/** x[:, i, j]: the elements that one index or several, broadcast to each other, name. */
function indexed(call: Call): string {
  const { first } = call;
  const given = call
    .optionalTensors('indices')
    .flatMap((index, axis) => (index ? [{ index, axis }] : []));
  if (given.some(({ index }) => index.kind !== 'int')) {
    throw call.refuse('picks by a mask, so that its size depends on the picture');
  }
  const [one, ...others] = given;
  if (!one) return call.x;
  if (others.length === 0) {
    return call.node('Gather', [call.x, contentOf(one.index)], { axis: one.axis });
  }
  const rank = first.shape.length;
  const axes = given.map(({ axis }) => axis);
  const rest = [...Array(rank).keys()].filter((axis) => !axes.includes(axis));
  const isFront = axes.every((axis, i) => axis === i);
  const perm = [...axes, ...rest];
  const moved = isFront ? call.x : call.node('Transpose', [call.x], { perm });
  const found = call.node('GatherND', [
    moved,
    together(
      call,
      given.map(({ index }) => index),
    ),
  ]);
  // The indices' dimensions come first, or take the place of adjacent ones that were indexed.
  const isAdjacent = axes.every((axis, i) => axis === (axes[0] ?? 0) + i);
  const before = axes[0] ?? 0;
  if (!isAdjacent || before === 0) return found;
  const total = call.output().shape.length;
  const ofIndices = total - rest.length;
  const dims = [...Array(total).keys()];
  const order = [
    ...dims.slice(ofIndices, ofIndices + before),
    ...dims.slice(0, ofIndices),
    ...dims.slice(ofIndices + before),
  ];
  return call.node('Transpose', [found], { perm: order });
}

/** Broadcasts indices to each other and lays them side by side in a last dimension. */
export function together(call: Call, indices: readonly Value[]): string {
  const zero = call.graph.integer(0);
  const contents = indices.map(contentOf);
  const zeros = contents.map((content) => call.node('Mul', [content, zero]));
  const common = zeros.reduce((a, b) => call.node('Add', [a, b]));
  const parts = contents.map((content) => unsqueeze(call, call.node('Add', [content, common]), -1));
  return call.node('Concat', parts, { axis: -1 });
}
