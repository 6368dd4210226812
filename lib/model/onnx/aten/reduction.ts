import type { Call } from './call.js';
import { axisOf, cast, knownSize, reduce } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf } from './values.js';

export const REDUCTIONS: Operators = {
  mean: (call) => reduced(call, 'ReduceMean'),
  sum: (call) => reduced(call, 'ReduceSum'),
  prod: (call) => reduced(call, 'ReduceProd'),
  amax: (call) => reduced(call, 'ReduceMax'),
  amin: (call) => reduced(call, 'ReduceMin'),
  max: (call) => extreme(call, 'ReduceMax', 'Max'),
  min: (call) => extreme(call, 'ReduceMin', 'Min'),
  any: (call) => truth(call, 'ReduceMax'),
  all: (call) => truth(call, 'ReduceMin'),
  argmax: (call) => position(call, 'ArgMax'),
  argmin: (call) => position(call, 'ArgMin'),
  var: (call) => variance(call).variance,
  var_mean: (call) => {
    const { variance: spread, mean } = variance(call);
    return [spread, mean];
  },
  std: (call) => call.node('Sqrt', [variance(call).variance]),
  std_mean: (call) => {
    const { variance: spread, mean } = variance(call);
    return [call.node('Sqrt', [spread]), mean];
  },
  logsumexp: (call) => {
    const keepdims = call.flag('keepdim');
    const highest = reduce(call, 'ReduceMax', call.x, call.ints('dim'), true);
    const powers = call.node('Exp', [call.node('Sub', [call.x, highest])]);
    const log = call.node('Log', [reduce(call, 'ReduceSum', powers, call.ints('dim'), true)]);
    const x = call.node('Add', [log, highest]);
    return keepdims ? x : call.node('Squeeze', [x, call.graph.integers(...call.ints('dim'))]);
  },
  topk: (call) => sorted(call, call.int('k'), call.flag('largest', true)),
  sort: (call) => {
    const size = knownSize(call, call.first, call.int('dim', -1));
    return sorted(call, size, call.flag('descending'));
  },
  cumsum: (call) => call.node('CumSum', [content(call), call.graph.integer(call.int('dim'))]),
};

/** Returns the first argument in the type of the outcome. */
function content(call: Call): string {
  return cast(call, call.x, call.first.kind, call.output().kind);
}

/** Returns the dimensions to reduce; none stand for all. */
function axesOf(call: Call): number[] {
  return call.has('dim') ? call.ints('dim') : [];
}

function reduced(call: Call, type: Parameters<typeof reduce>[1]): string {
  return reduce(call, type, content(call), axesOf(call), call.flag('keepdim'));
}

/** The extreme along a dimension, whose indices are not computed, of all elements, or of two tensors. */
function extreme(call: Call, type: 'ReduceMax' | 'ReduceMin', ofTwo: 'Max' | 'Min'): string[] {
  if (call.has('other')) return [call.node(ofTwo, [call.x, contentOf(call.tensor('other'))])];
  return [reduced(call, type)];
}

/** Tells whether any element is true, or all are: the extreme of zeros and ones. */
function truth(call: Call, type: 'ReduceMax' | 'ReduceMin'): string {
  const flags = cast(call, cast(call, call.x, call.first.kind, 'bool'), 'bool', 'int');
  return cast(call, reduce(call, type, flags, axesOf(call), call.flag('keepdim')), 'int', 'bool');
}

function position(call: Call, type: 'ArgMax' | 'ArgMin'): string {
  if (!call.has('dim')) throw call.refuse('searches all dimensions at once');
  return call.node(type, [call.x], {
    axis: call.int('dim'),
    keepdims: call.flag('keepdim') ? 1 : 0,
  });
}

/** The mean of the squared distances from the mean, over n - correction. */
function variance(call: Call): { variance: string; mean: string } {
  const { shape } = call.first;
  const given = axesOf(call);
  const axes = given.length > 0 ? given : [...shape.keys()];
  const correction = call.has('correction')
    ? call.number('correction')
    : Number(call.flag('unbiased', true));
  const keep = call.flag('keepdim');
  const mean = reduce(call, 'ReduceMean', call.x, axes, true);
  const centred = call.node('Sub', [call.x, mean]);
  const squared = call.node('Mul', [centred, centred]);
  let spread = reduce(call, 'ReduceMean', squared, axes, keep);
  if (correction !== 0) {
    const sizes = axes.map((dim) => knownSize(call, call.first, axisOf(dim, shape.length)));
    const n = sizes.reduce((product, size) => product * size, 1);
    spread = call.node('Mul', [spread, call.graph.float(n / (n - correction))]);
  }
  return { variance: spread, mean: keep ? mean : reduce(call, 'ReduceMean', call.x, axes, false) };
}

/** The largest or smallest elements along a dimension, in order, and their indices. */
function sorted(call: Call, count: number, largest: boolean): string[] {
  const attributes = { axis: call.int('dim', -1), largest: largest ? 1 : 0, sorted: 1 };
  return call.graph.outputs('TopK', [call.x, call.graph.integers(count)], attributes, 2);
}
