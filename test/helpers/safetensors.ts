import { readFileSync, writeFileSync } from 'node:fs';

/** A header, as an object or as its text, and the bytes behind it. */
export function safetensorsBytes(header: unknown, data: Uint8Array = new Uint8Array()): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

/** The tensors' bytes one behind the other, with the header that says so. */
export function safetensors(
  tensors: Record<string, { dtype: string; shape: number[]; data: ArrayBufferView }>,
  metadata?: Record<string, string>,
): Buffer {
  let end = 0;
  const parts = Object.values(tensors).map(({ data }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  );
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = end;
    end += data.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = { ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) };
  return safetensorsBytes(header, Buffer.concat(parts));
}

/** Header and data of a file, as the format has them. */
export function parseSafetensors(bytes: Buffer) {
  const length = Number(bytes.readBigUInt64LE());
  return {
    header: JSON.parse(bytes.subarray(8, 8 + length).toString()),
    data: bytes.subarray(8 + length),
  };
}

/** Replaces values of a float32 tensor in a file. */
export function alterTensor(file: string, name: string, value: (index: number) => number): string {
  const bytes = readFileSync(file);
  const { header, data } = parseSafetensors(bytes);
  const [begin, end] = header[name].data_offsets;
  for (let at = begin; at < end; at += 4) data.writeFloatLE(value((at - begin) / 4), at);
  return writeBytes(file, bytes);
}

export function writeBytes(file: string, bytes: Uint8Array | string): string {
  writeFileSync(file, bytes);
  return file;
}
