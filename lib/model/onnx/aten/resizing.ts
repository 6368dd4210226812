import type { Attribute } from '../graph.js';
import type { Call } from './call.js';
import { sizeAlong, vector } from './emit.js';
import type { Operators } from './operators.js';
import type { Size } from './values.js';

export const RESIZINGS: Operators = {
  upsample_nearest2d: (call) =>
    resized(call, {
      mode: 'nearest',
      coordinate_transformation_mode: 'asymmetric',
      nearest_mode: 'floor',
    }),
  _upsample_nearest_exact2d: (call) =>
    resized(call, {
      mode: 'nearest',
      coordinate_transformation_mode: 'half_pixel',
      nearest_mode: 'round_prefer_ceil',
    }),
  upsample_bilinear2d: (call) => resized(call, { mode: 'linear', ...coordinates(call) }),
  upsample_bicubic2d: (call) =>
    resized(call, { mode: 'cubic', cubic_coeff_a: -0.75, ...coordinates(call) }),
  _upsample_bilinear2d_aa: (call) =>
    resized(call, { mode: 'linear', ...antialias(call), ...coordinates(call) }),
  _upsample_bicubic2d_aa: (call) =>
    resized(call, { mode: 'cubic', cubic_coeff_a: -0.5, ...antialias(call), ...coordinates(call) }),
};

function coordinates(call: Call): Record<string, string> {
  const mode = call.flag('align_corners') ? 'align_corners' : 'half_pixel';
  return { coordinate_transformation_mode: mode };
}

function antialias(call: Call): Record<string, number> {
  if (call.opset < 18)
    throw call.refuse('resizes with antialiasing, which needs `opset` 18 or later');
  return { antialias: 1, exclude_outside: 1 };
}

function resized(call: Call, attributes: Readonly<Record<string, Attribute>>): string {
  const { first } = call;
  const sizes: Size[] = [sizeAlong(call, first, 0), sizeAlong(call, first, 1)];
  for (const [i, size] of call.output().shape.slice(2).entries()) {
    sizes.push(size ?? (call.sizes('output_size')[i] as Size));
  }
  return call.node('Resize', [call.x, '', '', vector(call, sizes)], attributes);
}
