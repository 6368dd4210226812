import type { Call } from './call.js';
import { reduce } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf } from './values.js';

export const MATRICES: Operators = {
  linear: linear,
  addmm: addmm,
  baddbmm: addmm,
  mm: product('self', 'mat2'),
  bmm: product('self', 'mat2'),
  matmul: product('self', 'other'),
  mv: product('self', 'vec'),
  dot: product('self', 'tensor'),
  einsum: (call) =>
    call.node('Einsum', call.tensors('tensors').map(contentOf), {
      equation: call.text('equation').replace(/\s/g, ''),
    }),
  linalg_vector_norm: norm,
  norm: norm,
};

function product(left: string, right: string) {
  return (call: Call) => call.node('MatMul', [call.content(left), call.content(right)]);
}

/** x W^T + b. */
function linear(call: Call): string {
  const weight = call.content('weight');
  const bias = call.optionalTensor('bias');
  if (bias && call.first.shape.length === 2) {
    return call.node('Gemm', [call.x, weight, contentOf(bias)], { transB: 1 });
  }
  const { length } = call.tensor('weight').shape;
  const transposed = length === 2 ? call.node('Transpose', [weight], { perm: [1, 0] }) : weight;
  const x = call.node('MatMul', [call.x, transposed]);
  return bias ? call.node('Add', [x, contentOf(bias)]) : x;
}

/** beta self + alpha (a b). */
function addmm(call: Call): string {
  const [a, b] = call.has('mat1') ? ['mat1', 'mat2'] : ['batch1', 'batch2'];
  const scaled = (x: string, name: string) => {
    const factor = call.number(name, 1);
    return factor === 1 ? x : call.node('Mul', [x, call.graph.float(factor)]);
  };
  const x = call.node('MatMul', [call.content(a as string), call.content(b as string)]);
  return call.node('Add', [scaled(x, 'alpha'), scaled(call.content('self'), 'beta')]);
}

function norm(call: Call): string {
  const order = call.number(call.has('ord') ? 'ord' : 'p', 2);
  const axes = call.has('dim') ? call.ints('dim') : [];
  if (order === Number.POSITIVE_INFINITY) {
    return reduce(call, 'ReduceMax', call.node('Abs', [call.x]), axes, call.flag('keepdim'));
  }
  if (order !== 1 && order !== 2) throw call.refuse(`computes a norm of order ${order}`);
  return reduce(call, order === 2 ? 'ReduceL2' : 'ReduceL1', call.x, axes, call.flag('keepdim'));
}
