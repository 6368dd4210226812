import type { Preprocessing } from '../preprocessing.js';

// Pixels as an ONNX model is fed them.

/** The order of a model's input: (N, 3, H, W) or (N, H, W, 3). */
export type Layout = 'NCHW' | 'NHWC';

/**
 * Returns the number that each value of a pixel becomes, `(value / 255 - mean) / std` in float32, as the addon computes it.
 *
 * @returns (256, 3).
 */
export function normalizedValues({ mean, std }: Pick<Preprocessing, 'mean' | 'std'>): Float32Array {
  return Float32Array.from({ length: 256 * 3 }, (_, i) => {
    const value = Math.fround(Math.floor(i / 3) / 255);
    const shifted = Math.fround(value - Math.fround(mean[i % 3] ?? 0));
    return shifted / Math.fround(std[i % 3] ?? 1);
  });
}

/**
 * Looks pixels up in a table, and lays them out.
 *
 * @param pixels uint8 RGB (count, size, size, 3).
 * @param values (256, 3), of the type that the model takes.
 */
export function layOut<T extends Float32Array | Uint16Array | Uint8Array>(
  pixels: Uint8Array,
  size: number,
  layout: Layout,
  values: T,
): T {
  const data = new (values.constructor as new (length: number) => T)(pixels.length);
  const area = size * size;
  for (let first = 0; first < pixels.length; first += 3 * area) {
    for (let i = 0; i < area; i++) {
      for (let channel = 0; channel < 3; channel++) {
        const from = first + 3 * i + channel;
        const to = layout === 'NCHW' ? first + channel * area + i : from;
        data[to] = values[3 * (pixels[from] ?? 0) + channel] ?? 0;
      }
    }
  }
  return data;
}

/** Returns the shape of so many pictures. */
export function shapeOf(count: number, size: number, layout: Layout): number[] {
  return layout === 'NCHW' ? [count, 3, size, size] : [count, size, size, 3];
}

/** Returns the values of 16-bit floats, which JavaScript has no type for before Node 24. */
export function fromHalves(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

/** Returns the nearest 16-bit floats, of two that are as near the even one. */
export function toHalves(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const size = Math.abs(value);
    if (!(size < 65520)) return sign | (Number.isNaN(size) ? 0x7e00 : 0x7c00);
    const exponent = Math.max(-14, Math.floor(Math.log2(Math.max(size, 2 ** -24))));
    const steps = size / 2 ** (exponent - 10);
    const below = Math.floor(steps);
    const rest = steps - below;
    const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
    // The first bit of a normal number, which is not written, and a fraction that is rounded up carry into the exponent.
    return sign | ((exponent + 14) * 1024 + rounded);
  });
}
