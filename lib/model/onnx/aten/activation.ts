import type { Attribute } from '../graph.js';
import type { Call } from './call.js';
import { axisOf, cast } from './emit.js';
import type { Operators } from './operators.js';

export const ACTIVATIONS: Operators = {
  relu: unary('Relu'),
  relu6: (call) => clip(call, 0, 6),
  hardtanh: (call) => clip(call, call.number('min_val', -1), call.number('max_val', 1)),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  softsign: unary('Softsign'),
  silu: (call) => call.node('Mul', [call.x, call.node('Sigmoid', [call.x])]),
  mish: (call) => call.node('Mul', [call.x, call.node('Tanh', [call.node('Softplus', [call.x])])]),
  gelu: (call) => (call.text('approximate', 'none') === 'tanh' ? geluByTanh(call) : gelu(call)),
  hardsigmoid: hardsigmoid,
  hardswish: (call) => call.node('Mul', [call.x, hardsigmoid(call)]),
  leaky_relu: unary('LeakyRelu', (call) => ({
    alpha: { float: call.number('negative_slope', 0.01) },
  })),
  elu: elu,
  celu: unary('Celu', (call) => ({ alpha: { float: call.number('alpha', 1) } })),
  selu: unary('Selu', () => ({
    alpha: { float: 1.6732632423543772 },
    gamma: { float: 1.0507009873554805 },
  })),
  softplus: softplus,
  prelu: prelu,
  _prelu_kernel: prelu,
  hardshrink: unary('Shrink', (call) => ({ lambd: { float: call.number('lambd', 0.5) } })),
  softshrink: unary('Shrink', (call) => ({
    lambd: { float: call.number('lambd', 0.5) },
    bias: { float: call.number('lambd', 0.5) },
  })),
  tanhshrink: (call) => call.node('Sub', [call.x, call.node('Tanh', [call.x])]),
  threshold: (call) => {
    const isAbove = call.node('Greater', [call.x, call.graph.float(call.number('threshold'))]);
    return call.node('Where', [isAbove, call.x, call.graph.float(call.number('value'))]);
  },
  log_sigmoid: logSigmoid,
  log_sigmoid_forward: (call) => [logSigmoid(call)],
  glu: glu,
  softmax: softmax('Softmax'),
  _softmax: softmax('Softmax'),
  log_softmax: softmax('LogSoftmax'),
  _log_softmax: softmax('LogSoftmax'),
};

/** Converts an operator of one tensor to a node of its own. */
export function unary(
  type: string,
  attributes: (call: Call) => Record<string, Attribute> = () => ({}),
) {
  return (call: Call) => call.node(type, [call.x], attributes(call));
}

function clip(call: Call, low: number, high: number): string {
  return call.node('Clip', [call.x, call.graph.float(low), call.graph.float(high)]);
}

/** x/2 (1 + erf(x / sqrt 2)), which onnxruntime recognises. ONNX's own came with opset 20. */
function gelu(call: Call): string {
  const { graph } = call;
  const erf = call.node('Erf', [call.node('Div', [call.x, graph.float(Math.SQRT2)])]);
  const doubled = call.node('Mul', [call.x, call.node('Add', [erf, graph.float(1)])]);
  return call.node('Mul', [doubled, graph.float(0.5)]);
}

/** x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
function geluByTanh(call: Call): string {
  const { graph } = call;
  const cube = call.node('Pow', [call.x, graph.float(3)]);
  const bent = call.node('Add', [call.x, call.node('Mul', [cube, graph.float(0.044715)])]);
  const tanh = call.node('Tanh', [call.node('Mul', [bent, graph.float(Math.sqrt(2 / Math.PI))])]);
  const doubled = call.node('Mul', [call.x, call.node('Add', [tanh, graph.float(1)])]);
  return call.node('Mul', [doubled, graph.float(0.5)]);
}

function hardsigmoid(call: Call): string {
  return call.node('HardSigmoid', [call.x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
}

function elu(call: Call): string {
  if (call.number('scale', 1) !== 1 || call.number('input_scale', 1) !== 1) {
    throw call.refuse('scales its input or its output');
  }
  return call.node('Elu', [call.x], { alpha: { float: call.number('alpha', 1) } });
}

function softplus(call: Call): string {
  const beta = call.graph.float(call.number('beta', 1));
  if (call.number('beta', 1) === 1) return call.node('Softplus', [call.x]);
  return call.node('Div', [call.node('Softplus', [call.node('Mul', [call.x, beta])]), beta]);
}

function prelu(call: Call): string {
  const { shape } = call.first;
  const weight = call.content('weight');
  const slopes =
    call.tensor('weight').shape.length === 1 && shape.length > 2
      ? call.node('Reshape', [weight, call.graph.integers(-1, ...shape.slice(2).map(() => 1))])
      : weight;
  return call.node('PRelu', [call.x, slopes]);
}

/** log(1 / (1 + exp(-x))), without loss where that is near 0. */
function logSigmoid(call: Call): string {
  return call.node('Neg', [call.node('Softplus', [call.node('Neg', [call.x])])]);
}

function glu(call: Call): string {
  const axis = axisOf(call.int('dim', -1), call.first.shape.length);
  const size = call.first.shape[axis];
  if (typeof size !== 'number') throw call.refuse('halves an unknown size');
  const halves = call.graph.integers(size / 2, size / 2);
  const [x = '', gate = ''] = call.graph.outputs('Split', [call.x, halves], { axis }, 2);
  return call.node('Mul', [x, call.node('Sigmoid', [gate])]);
}

function softmax(type: 'Softmax' | 'LogSoftmax') {
  return (call: Call) =>
    call.node(type, [cast(call, call.x, call.first.kind, 'float')], { axis: call.int('dim') });
}
