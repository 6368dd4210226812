import { expect, test } from 'vitest';
import { evaluate, solve } from '../../../../lib/model/onnx/expressions.js';

const symbols = new Map([
  ['s53', 224],
  ['s77', 7],
]);

test.each<[string, number | null]>([
  ['12', 12],
  ['s53', 224],
  ['((s53 - 1)//2) + 1', 112],
  ['2*s77*(s53 + 1)', 3150],
  ['-s77 + 10', 3],
  ["Symbol('s53', positive=True, integer=True)", 224],
  [
    "Add(FloorDiv(Add(Symbol('s53', positive=True, integer=True), Integer(-1)), Integer(2)), Integer(1))",
    112,
  ],
  ["Mul(Integer(3), Symbol('s77', integer=True), Pow(Symbol('s77'), Integer(2)))", 1029],
  ["Mul(Rational(1, 2), Symbol('s53'))", 112],
  ["Symbol('s3', positive=True)", null],
  ["Symbol('s53', positive=True", null],
  ['Symbol(', null],
  ['s77**2', 49],
  ['-s77//2', -4],
  ['Max(1, s77)', 7],
  ['Mod(s53, 9) + FloorDiv(s53, 10)', 30],
  ['(s53)/2', 112],
  ['s3*4', null],
  ['Unheard(s77)', null],
  ['constructor(s77)', null],
  ['s77 +', null],
  ['(s77', null],
  ['s77 s53', null],
  ['1//0', null],
  ['', null],
  ['('.repeat(100_000), null],
  ['-'.repeat(100_000), null],
])('the size %s', (formula, size) => {
  expect(evaluate(formula, symbols)).toBe(size);
});

test.each<[string, number, ReturnType<typeof solve>]>([
  ['s53', 224, { symbol: 's53', value: 224 }],
  ["Symbol('s53', positive=True, integer=True)", 224, { symbol: 's53', value: 224 }],
  ["Mul(Integer(32), Symbol('_h', positive=True, integer=True))", 224, { symbol: '_h', value: 7 }],
  ['32*_h', 224, { symbol: '_h', value: 7 }],
  ['32*_h', 225, null],
  ['2*s1 + 1', 9, { symbol: 's1', value: 4 }],
  ['s1*s2', 9, undefined],
  ['12', 12, undefined],
])('the symbol in %s that makes it %i', (formula, target, found) => {
  expect(solve(formula, target)).toEqual(found);
});
