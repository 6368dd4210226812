import { layOut, normalizedValues, shapeOf } from '../model/onnx/feed.js';
import { type Preprocessing, UNNORMALIZED } from '../model/preprocessing.js';
import type { OnnxInput } from '../options/export-onnx.js';

/**
 * Makes pictures like photographs: smooth, with an edge and with noise; the same each time.
 *
 * @returns uint8 RGB (count, height, width, 3).
 */
export function sampleImages(count: number, height: number, width = height): Uint8Array {
  const size = Math.max(height, width);
  const pixels = new Uint8Array(count * height * width * 3);
  let state = 1;
  /** 0..1 */
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let image = 0; image < count; image++) {
    const waves = Array.from({ length: 12 }, (_, i) => ({
      channel: i % 3,
      amplitude: 40 * random(),
      x: (6 * (random() - 0.5)) / size,
      y: (6 * (random() - 0.5)) / size,
      phase: random(),
    }));
    const light = [random(), random(), random()].map((value) => 60 + 135 * value);
    const [centreX, centreY, radius] = [random(), random(), 0.1 + 0.3 * random()];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const isInside = Math.hypot(x / size - centreX, y / size - centreY) < radius;
        for (let channel = 0; channel < 3; channel++) {
          let value = (light[channel] ?? 0) + (isInside ? 50 - 50 * channel : 0) + 10 * random();
          for (const wave of waves) {
            if (wave.channel !== channel) continue;
            value +=
              wave.amplitude * Math.cos(2 * Math.PI * (wave.x * x + wave.y * y + wave.phase));
          }
          pixels[((image * height + y) * width + x) * 3 + channel] = Math.min(
            255,
            Math.max(0, value),
          );
        }
      }
    }
  }
  return pixels;
}

/** Returns pixels, uint8 RGB (count, size, size, 3), as a model with such an input takes them. */
export function feed(
  pixels: Uint8Array,
  count: number,
  size: number,
  { input, mean, std }: { input: OnnxInput } & Pick<Preprocessing, 'mean' | 'std'>,
) {
  if (input === 'uint8') {
    return { type: 'uint8' as const, data: pixels, shape: shapeOf(count, size, 'NHWC') };
  }
  const values = normalizedValues(input === 'float' ? UNNORMALIZED : { mean, std });
  const data = layOut(pixels, size, 'NCHW', values);
  return { type: 'float32' as const, data, shape: shapeOf(count, size, 'NCHW') };
}
