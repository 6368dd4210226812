import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp, { type Sharp } from 'sharp';

/** A picture among the tests' fixtures. */
export const fixture = (name: string) =>
  fileURLToPath(new URL(`../fixtures/pictures/${name}`, import.meta.url));

/** A picture that takes a while. */
export function noise(width: number, height: number): Sharp {
  const noise = { type: 'gaussian', mean: 128, sigma: 30 } as const;
  return sharp({ create: { width, height, channels: 3, background: 'black', noise } });
}

/** A P6 file whose values are all different from their neighbours'. */
export function ppm(width: number, height: number): Uint8Array {
  const pixels = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 37 + (i >> 3)) % 251,
  );
  return Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), pixels]);
}

/** The header of a BMP, with nothing behind it. */
export function bmpHeader(
  width: number,
  height: number,
  bits: number,
  compression: number,
  colours = 0,
): Buffer {
  const data = Buffer.alloc(70);
  data.write('BM');
  data.writeUInt32LE(54, 10);
  data.writeUInt32LE(40, 14);
  data.writeInt32LE(width, 18);
  data.writeInt32LE(height, 22);
  data.writeUInt16LE(1, 26);
  data.writeUInt16LE(bits, 28);
  data.writeUInt32LE(compression, 30);
  data.writeUInt32LE(colours, 46);
  return data;
}

/** A one-pixel PNG that claims another size, with a checksum that agrees. */
export function pngHeader(width: number, height: number, interlaced = false): Buffer {
  const data = readFileSync(fixture('rgb.png'));
  data.writeUInt8(Number(interlaced), 28);
  data.writeUInt32BE(width, 16);
  data.writeUInt32BE(height, 20);
  let crc = 0xffffffff;
  for (const byte of data.subarray(12, 29)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  data.writeUInt32BE(~crc >>> 0, 29);
  return data;
}
