import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SHAPES } from '../../../../lib/model/onnx/aten/shape.js';
import { SIZES } from '../../../../lib/model/onnx/aten/symbols.js';
import { CHECKS, OPERATORS } from '../../../../lib/model/onnx/aten/table.js';

test('every operator that the addon runs has a counterpart in ONNX, but for two', () => {
  const source = readFileSync('native/core/graph/operators.cpp', 'utf8');
  const table = source.slice(source.indexOf('allowed[] = {'), source.indexOf('scalar_functions[]'));
  const code = table.replace(/\/\/.*/g, '');
  const names = [...code.matchAll(/"([^"]*)"/g)].flatMap(([, text = '']) => text.trim().split(' '));
  const operators = new Set(names.map((name) => name.split('.')[0] ?? '').filter(Boolean));
  expect(operators.size).toBeGreaterThan(250);
  const missing = [...operators].filter((name) => {
    const base = name.endsWith('__') ? name : name.replace(/_$/, '');
    return !(
      Object.hasOwn(OPERATORS, base) ||
      Object.hasOwn(SHAPES, base.replace(/_copy$/, '')) ||
      Object.keys(SIZES).some((target) => target.startsWith(`aten.${base}.`)) ||
      CHECKS.has(base)
    );
  });
  expect(missing).toEqual(['erfinv', 'atan2']);
});
