import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import type { NativeAugmentation } from '../../lib/native.js';
import { mean, std } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';

// The addon's augmentations, compared with PyTorch's operators.

const judge = fileURLToPath(new URL('judge/augment.py', import.meta.url));

interface Request {
  augment: Partial<NativeAugmentation>;
  from?: number;
  imageSize?: number;
  count?: number;
  seed?: number;
  epoch?: number;
  threads?: number;
}
interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
  flip: number;
}

/** Pictures of noise (count, from, from, 3). */
function noise(count: number, from: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count * from * from * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

async function ask({ augment, from = 40, imageSize = 32, count = 8, ...more }: Request) {
  const pixels = noise(count, from);
  const found = await loadAddon().augment({
    mean,
    std,
    imageSize,
    from,
    pixels,
    augment: { crop: 'center', minScale: 0.08, flip: false, ...augment },
    seed: 1,
    epoch: 1,
    threads: 2,
    ...more,
  });
  const windows = Array.from({ length: count }, (_, i): Window => {
    const [left, top, width, height, flip] = found.windows.subarray(5 * i, 5 * i + 5);
    return { left, top, width, height, flip } as Window;
  });
  return { ...found, windows, given: pixels };
}

/** A picture's pixel, black beyond it. */
function at(pixels: Uint8Array, from: number, picture: number, x: number, y: number): number[] {
  if (x < 0 || y < 0 || x >= from || y >= from) return [0, 0, 0];
  const first = 3 * ((picture * from + y) * from + x);
  return [...pixels.subarray(first, first + 3)];
}

const kinds: [string, Partial<NativeAugmentation>][] = [
  ['a crop', { crop: 'random' }],
  ['a resized crop', { crop: 'resized' }],
  ['a flip', { flip: true }],
  ['a resized crop and a flip', { crop: 'resized', flip: true }],
];

test.each(kinds)('%s repeats with its seed, on any number of threads', async (_, augment) => {
  const first = await ask({ augment, threads: 1 });
  for (const threads of [1, 2, 3]) expect(await ask({ augment, threads })).toEqual(first);
  for (const other of [{ seed: 2 }, { epoch: 2 }]) {
    expect((await ask({ augment, ...other })).windows).not.toEqual(first.windows);
  }
});

test.each([
  ...kinds,
  ['a shift', { crop: 'random' }, 32],
  ['an enlarged crop', { crop: 'resized', minScale: 0.01 }, 32],
] as [string, Partial<NativeAugmentation>, number?][])(
  '%s is the same by the operators that a GPU runs',
  async (_, augment, from = 45) => {
    const { pixels, pixelsByOperators } = await ask({ augment, from, count: 100 });
    expect(pixelsByOperators).toEqual(pixels);
  },
);

test('what is drawn for a picture does not depend on the others', async () => {
  const augment = { crop: 'resized', flip: true } as const;
  const { windows } = await ask({ augment, count: 9 });
  expect((await ask({ augment, count: 5 })).windows).toEqual(windows.slice(0, 5));
});

test('a flip is the exact mirror image, of about every other picture', async () => {
  const count = 400;
  const { windows, pixels, given } = await ask({
    augment: { flip: true },
    from: 33,
    imageSize: 33,
    count,
  });
  for (const [i, { flip }] of windows.slice(0, 20).entries()) {
    for (const [x, y] of [
      [0, 0],
      [5, 7],
      [16, 2],
      [32, 32],
    ] as const) {
      expect(at(pixels, 33, i, x, y)).toEqual(at(given, 33, i, flip ? 32 - x : x, y));
    }
  }
  const flipped = windows.filter(({ flip }) => flip).length;
  // Five standard deviations.
  expect(Math.abs(flipped - count / 2)).toBeLessThan(5 * Math.sqrt(count / 4));
});

describe('a random crop', () => {
  test.each([
    ['of a larger picture stays within it', 40, [0, 8]],
    ['of a picture of the same size shifts it by up to an eighth', 32, [-4, 4]],
  ] as const)('%s, any place as often as another', async (_, from, [low, high]) => {
    const places = high - low + 1;
    const count = 100 * places;
    const { windows, pixels, given } = await ask({ augment: { crop: 'random' }, from, count });
    for (const side of ['left', 'top'] as const) {
      const counts = new Array<number>(places).fill(0);
      for (const window of windows)
        counts[window[side] - low] = (counts[window[side] - low] ?? 0) + 1;
      expect(counts).toHaveLength(places);
      const squares = counts.reduce((sum, n) => sum + (n - 100) ** 2 / 100, 0);
      // Chi-square of 8 degrees of freedom exceeds 32 once in 10,000 draws; these are always the same.
      expect(squares).toBeLessThan(32);
    }
    for (const [i, { left, top, width, height }] of windows.slice(0, 50).entries()) {
      expect([width, height]).toEqual([32, 32]);
      for (const [x, y] of [
        [0, 0],
        [31, 0],
        [3, 30],
        [31, 31],
      ] as const) {
        expect(at(pixels, 32, i, x, y)).toEqual(at(given, from, i, left + x, top + y));
      }
    }
  });
});

describe('a resized crop', () => {
  test('takes boxes of any size from the smallest share on, and of a ratio of 3:4 to 4:3', async () => {
    const from = 200;
    const augment = { crop: 'resized', minScale: 0.25 } as const;
    const { windows } = await ask({ augment, from, imageSize: 32, count: 300 });
    const shares = windows.map(({ width, height }) => (width * height) / from ** 2);
    for (const [i, { left, top, width, height }] of windows.entries()) {
      expect(Math.min(left, top)).toBeGreaterThanOrEqual(0);
      expect(Math.max(left + width, top + height)).toBeLessThanOrEqual(from);
      expect(shares[i]).toBeGreaterThan(0.24); // sides are rounded
      expect(width / height).toBeGreaterThan(0.74);
      expect(width / height).toBeLessThan(1.35);
    }
    expect(Math.min(...shares)).toBeLessThan(0.3);
    expect(Math.max(...shares)).toBeGreaterThan(0.85);
    // Any place: the box's share of the way from left to right.
    const ways = windows
      .filter(({ width }) => width < from - 20)
      .map(({ left, width }) => left / (from - width));
    expect(Math.min(...ways)).toBeLessThan(0.05);
    expect(Math.max(...ways)).toBeGreaterThan(0.95);
  });

  test.skipIf(!python).each([
    [48, 32],
    [40, 64],
  ])('of %i pixels interpolates to %i as PyTorch does', async (from, imageSize) => {
    const augment = { crop: 'resized', flip: true } as const;
    const { windows, pixels, given } = await ask({ augment, from, imageSize, count: 20 });
    const theirs = runPython([judge], {
      from,
      imageSize,
      pixels: Buffer.from(given).toString('hex'),
      windows: windows.map(({ left, top, width, height, flip }) => [
        left,
        top,
        width,
        height,
        flip,
      ]),
    }) as number[];
    expect(pixels).toHaveLength(theirs.length);
    for (const [i, value] of theirs.entries()) {
      // Rounded to the nearest, but for the last bits of the arithmetic.
      expect(Math.abs((pixels[i] as number) - value), `value ${i}`).toBeLessThan(0.501);
    }
  });
});

test.each(kinds)('%s is normalised as any picture', async (_, augment) => {
  const { pixels, images } = await ask({ augment });
  expect(images).toHaveLength(pixels.length);
  for (const [i, value] of pixels.entries()) {
    const c = i % 3;
    const expected = (value / 255 - (mean[c] as number)) / (std[c] as number);
    expect(Math.abs((images[i] as number) - expected)).toBeLessThan(1e-6);
  }
});
