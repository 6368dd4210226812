import type { Call } from './call.js';
import { axisOf, sizeAlong } from './emit.js';
import type { Size } from './values.js';

/** Integers that a program computes of sizes: those that depend on the batch, and on the pictures' size where it is any. */
export const SIZES: Readonly<Record<string, (call: Call) => Size>> = {
  'aten.sym_size.int': (call) => {
    const { first } = call;
    return sizeAlong(call, first, axisOf(call.int('dim'), first.shape.length));
  },
  'aten.sym_numel.default': (call) =>
    call.node('Reshape', [call.node('Size', [call.x]), call.graph.integers(1)]),
  '_operator.add': pair('Add'),
  '_operator.sub': pair('Sub'),
  '_operator.mul': pair('Mul'),
  // Rounds down, as sizes are not negative.
  '_operator.floordiv': pair('Div'),
  '_operator.mod': pair('Mod'),
  '_operator.neg': (call) => call.node('Neg', [asVector(call, 'a')]),
  'torch.sym_max': pair('Max'),
  'torch.sym_min': pair('Min'),
};

function asVector(call: Call, name: string): string {
  const size = call.size(name);
  return typeof size === 'string' ? size : call.graph.integers(size);
}

function pair(type: string) {
  return (call: Call) => call.node(type, [asVector(call, 'a'), asVector(call, 'b')]);
}
