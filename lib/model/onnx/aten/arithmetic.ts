import { unary } from './activation.js';
import type { Call } from './call.js';
import { cast, scalar } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Kind, type Value } from './values.js';

export const ARITHMETIC: Operators = {
  add: (call) => sum(call, 'Add'),
  sub: (call) => sum(call, 'Sub'),
  subtract: (call) => sum(call, 'Sub'),
  rsub: (call) => sum(call, 'Sub', 'other', 'self'),
  mul: (call) => pair(call, 'Mul'),
  multiply: (call) => pair(call, 'Mul'),
  div: divide,
  divide: divide,
  true_divide: divide,
  floor_divide: (call) => floorDivide(call),
  remainder: (call) => remainder(call),
  fmod: (call) => pair(call, 'Mod', { fmod: 1 }),
  pow: power,
  maximum: (call) => pair(call, 'Max'),
  minimum: (call) => pair(call, 'Min'),
  addcmul: (call) => addProduct(call, 'Mul'),
  addcdiv: (call) => addProduct(call, 'Div'),
  lerp: lerp,
  clamp: clamp,
  clip: clamp,
  clamp_min: clamp,
  clamp_max: clamp,
  abs: unary('Abs'),
  neg: unary('Neg'),
  exp: unary('Exp'),
  log: unary('Log'),
  sqrt: unary('Sqrt'),
  rsqrt: (call) => call.node('Reciprocal', [call.node('Sqrt', [call.x])]),
  reciprocal: (call) => call.node('Reciprocal', [cast(call, call.x, call.first.kind, 'float')]),
  square: (call) => call.node('Mul', [call.x, call.x]),
  expm1: (call) => call.node('Sub', [call.node('Exp', [call.x]), call.graph.float(1)]),
  log1p: (call) => call.node('Log', [call.node('Add', [call.x, call.graph.float(1)])]),
  exp2: (call) => call.node('Pow', [call.graph.float(2), call.x]),
  log2: (call) => call.node('Div', [call.node('Log', [call.x]), call.graph.float(Math.LN2)]),
  log10: (call) => call.node('Div', [call.node('Log', [call.x]), call.graph.float(Math.LN10)]),
  sin: unary('Sin'),
  cos: unary('Cos'),
  tan: unary('Tan'),
  asin: unary('Asin'),
  acos: unary('Acos'),
  atan: unary('Atan'),
  sinh: unary('Sinh'),
  cosh: unary('Cosh'),
  isnan: unary('IsNaN'),
  isinf: unary('IsInf'),
  nan_to_num: finite,
  erf: unary('Erf'),
  floor: unary('Floor'),
  ceil: unary('Ceil'),
  round: unary('Round'),
  sign: unary('Sign'),
  trunc: (call) => cast(call, cast(call, call.x, 'float', 'int'), 'int', 'float'),
  eq: (call) => pair(call, 'Equal'),
  ne: (call) => call.node('Not', [pair(call, 'Equal')]),
  lt: (call) => pair(call, 'Less'),
  le: (call) => pair(call, 'LessOrEqual'),
  gt: (call) => pair(call, 'Greater'),
  ge: (call) => pair(call, 'GreaterOrEqual'),
  logical_not: (call) => call.node('Not', [cast(call, call.x, call.first.kind, 'bool')]),
  bitwise_not: (call) => call.node('Not', [boolean(call, 'self')]),
  logical_and: logic('And'),
  bitwise_and: logic('And'),
  __and__: logic('And'),
  logical_or: logic('Or'),
  bitwise_or: logic('Or'),
  __or__: logic('Or'),
  logical_xor: logic('Xor'),
  bitwise_xor: logic('Xor'),
  where: choose,
  masked_fill: maskedFill,
};

const RANK: Readonly<Record<Kind, number>> = { bool: 0, int: 1, float: 2 };

/** An operand before it is known what type the operation is in. */
type Operand = Value | number;

function operand(call: Call, name: string): Operand {
  const value = call.operand(name);
  if (value === null) throw call.refuse(`lacks the operand \`${name}\``);
  return value;
}

/** Returns the type that PyTorch computes in: a number is of the tensor's, unless it is a fraction. */
export function commonKind(operands: readonly Operand[]): Kind {
  const kinds = operands.map((value): Kind => {
    if (typeof value !== 'number') return value.kind;
    return Number.isInteger(value) ? 'bool' : 'float';
  });
  return kinds.reduce((a, b) => (RANK[a] >= RANK[b] ? a : b));
}

/** Returns an operand's content in a type. */
export function inKind(call: Call, value: Operand, kind: Kind): string {
  return typeof value === 'number'
    ? scalar(call, value, kind)
    : cast(call, contentOf(value), value.kind, kind);
}

/** Adds a node of two operands in their common type. */
function pair(call: Call, type: string, attributes: Readonly<Record<string, number>> = {}): string {
  const operands = [operand(call, 'self'), operand(call, 'other')];
  const kind = commonKind(operands);
  // Booleans have no order and no arithmetic in ONNX.
  const computed = kind === 'bool' ? 'int' : kind;
  const inputs = operands.map((value) => inKind(call, value, computed));
  const result = call.node(type, inputs, attributes);
  const isArithmetic = ['Mul', 'Max', 'Min', 'Mod'].includes(type);
  return isArithmetic ? cast(call, result, computed, call.output().kind) : result;
}

/** left ± alpha right. */
function sum(call: Call, type: 'Add' | 'Sub', left = 'self', right = 'other'): string {
  const alpha = call.number('alpha', 1);
  const { kind } = call.output();
  const [a, b] = [left, right].map((name) => inKind(call, operand(call, name), kind));
  const scaled = alpha === 1 ? b : call.node('Mul', [b as string, scalar(call, alpha, kind)]);
  return call.node(type, [a as string, scaled as string]);
}

function divide(call: Call): string {
  const mode = call.text('rounding_mode');
  if (mode === 'floor') return floorDivide(call);
  const operands = [operand(call, 'self'), operand(call, 'other')];
  const isWhole = mode === 'trunc' && commonKind(operands) === 'int';
  const kind = isWhole ? 'int' : 'float';
  const quotient = call.node(
    'Div',
    operands.map((value) => inKind(call, value, kind)),
  );
  if (mode !== 'trunc' || isWhole) return quotient;
  return cast(call, cast(call, quotient, 'float', 'int'), 'int', 'float');
}

function floorDivide(call: Call): string {
  const operands = [operand(call, 'self'), operand(call, 'other')];
  const { kind } = call.output();
  const [a, b] = operands.map((value) => inKind(call, value, kind)) as [string, string];
  if (kind === 'float') return call.node('Floor', [call.node('Div', [a, b])]);
  // ONNX rounds towards zero; Mod has the divisor's sign.
  const whole = call.node('Sub', [a, call.node('Mod', [a, b])]);
  return call.node('Div', [whole, b]);
}

/** a - b floor(a / b). */
function remainder(call: Call): string {
  const { kind } = call.output();
  if (kind === 'int') return pair(call, 'Mod');
  const operands = [operand(call, 'self'), operand(call, 'other')];
  const [a, b] = operands.map((value) => inKind(call, value, kind)) as [string, string];
  const whole = call.node('Floor', [call.node('Div', [a, b])]);
  return call.node('Sub', [a, call.node('Mul', [whole, b])]);
}

function power(call: Call): string {
  const base = operand(call, 'self');
  const exponent = operand(call, 'exponent');
  const { kind } = call.output();
  if (exponent === 2) {
    const x = inKind(call, base, kind);
    return call.node('Mul', [x, x]);
  }
  return call.node('Pow', [inKind(call, base, kind), inKind(call, exponent, kind)]);
}

/** self + value (tensor1 * tensor2), or tensor1 / tensor2. */
function addProduct(call: Call, type: 'Mul' | 'Div'): string {
  const product = call.node(type, [call.content('tensor1'), call.content('tensor2')]);
  const factor = call.number('value', 1);
  const scaled = factor === 1 ? product : call.node('Mul', [product, call.graph.float(factor)]);
  return call.node('Add', [call.x, scaled]);
}

/** self + weight (end - self). */
function lerp(call: Call): string {
  const weight = inKind(call, operand(call, 'weight'), 'float');
  const way = call.node('Sub', [call.content('end'), call.x]);
  return call.node('Add', [call.x, call.node('Mul', [way, weight])]);
}

function clamp(call: Call): string {
  const { kind } = call.output();
  const low = call.operand('min');
  const high = call.operand('max');
  let x = cast(call, call.x, call.first.kind, kind);
  if (low !== null) x = call.node('Max', [x, inKind(call, low, kind)]);
  if (high !== null) x = call.node('Min', [x, inKind(call, high, kind)]);
  return x;
}

function logic(type: 'And' | 'Or' | 'Xor') {
  return (call: Call) => call.node(type, [boolean(call, 'self'), boolean(call, 'other')]);
}

function boolean(call: Call, name: string): string {
  const value = operand(call, name);
  if (!call.operator.includes('logical') && (typeof value === 'number' || value.kind !== 'bool')) {
    throw call.refuse('works on the bits of integers');
  }
  return inKind(call, value, 'bool');
}

function choose(call: Call): string {
  const { kind } = call.output();
  const choices = ['self', 'other'].map((name) => inKind(call, operand(call, name), kind));
  return call.node('Where', [inKind(call, call.tensor('condition'), 'bool'), ...choices]);
}

function maskedFill(call: Call): string {
  const { first } = call;
  const value = inKind(call, operand(call, 'value'), first.kind);
  return call.node('Where', [inKind(call, call.tensor('mask'), 'bool'), value, call.x]);
}

/** The largest number of float32. */
const LARGEST = 3.4028234663852886e38;

/** Replaces NaN and infinities by numbers. */
function finite(call: Call): string {
  const { graph } = call;
  const isNone = call.node('IsNaN', [call.x]);
  const x = call.node('Where', [isNone, graph.float(call.number('nan', 0)), call.x]);
  const replaced = (from: string, sign: 'positive' | 'negative', value: number) => {
    const isInfinite = call.node('IsInf', [from], {
      detect_positive: sign === 'positive' ? 1 : 0,
      detect_negative: sign === 'negative' ? 1 : 0,
    });
    return call.node('Where', [isInfinite, graph.float(value), from]);
  };
  const positive = call.has('posinf') ? call.number('posinf') : LARGEST;
  const negative = call.has('neginf') ? call.number('neginf') : -LARGEST;
  return replaced(replaced(x, 'positive', positive), 'negative', negative);
}
