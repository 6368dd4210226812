import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DistillError, inspect } from '../../../lib/index.js';
import { mean, std, temporaryFolder } from '../../helpers/dataset.js';
import { writePth } from '../../helpers/pth.js';
import { pythonWith, runPython } from '../../helpers/python.js';
import { refusalOf } from '../../helpers/results.js';
import {
  parseSafetensors,
  safetensors,
  safetensorsBytes,
  writeBytes,
} from '../../helpers/safetensors.js';
import { readAll } from '../../helpers/tensors.js';

const folder = temporaryFolder();
let files = 0;
const write = (bytes: Uint8Array | string) =>
  writeBytes(path.join(folder, `${++files}.safetensors`), bytes);

async function refusal(file: string): Promise<DistillError> {
  const error = await refusalOf(inspect(file));
  expect(error.message).toContain(`'${file}'`);
  expect(error.message).not.toContain('\x1b');
  return error;
}

const small = safetensors(
  {
    'layer.weight': { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 0.25, -6) },
    'layer.bias': { dtype: 'F32', shape: [2], data: Float32Array.of(7, 8) },
    'norm.num_batches_tracked': { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) },
  },
  { format: 'pt' },
);
const smallContents = {
  'layer.weight': { shape: [2, 3], dtype: 'float32', data: [1, -2, 3.5, 0, 0.25, -6] },
  'layer.bias': { shape: [2], dtype: 'float32', data: [7, 8] },
  'norm.num_batches_tracked': { shape: [], dtype: 'int64', data: [9] },
};

describe('reading', () => {
  test('gives names in the order of the file, shapes, dtypes and values', async () => {
    const file = write(small);
    expect(await inspect(file)).toMatchObject({ format: 'safetensors', metadata: null });
    expect(await readAll(file)).toEqual(smallContents);
    expect((await inspect(file)).tensors.map(({ name }) => name)).toEqual(
      Object.keys(smallContents),
    );
  });

  test('goes by the content, whatever the name', async () => {
    const misnamed = writeBytes(path.join(folder, 'misnamed.pth'), small);
    expect((await inspect(misnamed)).format).toBe('safetensors');
    const pth = await writePth(path.join(folder, 'pth.safetensors'), {
      a: { shape: [1], data: [1] },
    });
    expect((await inspect(pth)).format).toBe('zip');
  });

  // The length of the header comes first, and its low bytes may be those that another kind begins with.
  test.each([0x3c, 0x120708, 0x8b1f])('a header of %i bytes', async (length) => {
    const { header, data } = parseSafetensors(small);
    const padded = safetensorsBytes(JSON.stringify(header).padEnd(length), data);
    if (length < JSON.stringify(header).length) {
      const one = '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}'.padEnd(length);
      expect((await readAll(write(safetensorsBytes(one, Buffer.of(5))))).a?.data).toEqual([5]);
    } else {
      expect(await readAll(write(padded))).toEqual(smallContents);
    }
  });

  test('takes all that JSON allows: white space, escapes, any order', async () => {
    const header = String.raw`{ "__metadata__" : {} ,
      "\u0061\"\\\/\b\f\n\r\t\u00e9é\ud83d\ude00" : { "data_offsets" : [ 4 , 8 ] , "shape" : [ ] , "dtype" : "F32" },
      "b":{"shape":[2,2],"dtype":"U8","data_offsets":[0,4]}}  `;
    const bytes = safetensorsBytes(
      header,
      Buffer.concat([Buffer.of(1, 2, 3, 4), Buffer.from(Float32Array.of(5).buffer)]),
    );
    expect(await readAll(write(bytes))).toEqual({
      'a"\\/\b\f\n\r\téé😀': { shape: [], dtype: 'float32', data: [5] },
      b: { shape: [2, 2], dtype: 'uint8', data: [1, 2, 3, 4] },
    });
  });

  test('takes tensors without elements, and elements at any byte', async () => {
    const bytes = safetensors({
      none: { dtype: 'F32', shape: [0, 5], data: new Float32Array() },
      byte: { dtype: 'BOOL', shape: [1], data: Uint8Array.of(7) },
      'also none': { dtype: 'F32', shape: [3, 0], data: new Float32Array() },
      float: { dtype: 'F64', shape: [1, 1], data: Float64Array.of(-0.5) },
    });
    expect(await readAll(write(bytes))).toEqual({
      none: { shape: [0, 5], dtype: 'float32', data: [] },
      byte: { shape: [1], dtype: 'bool', data: [1] },
      'also none': { shape: [3, 0], dtype: 'float32', data: [] },
      float: { shape: [1, 1], dtype: 'float64', data: [-0.5] },
    });
  });

  test("gives names of today, as a .pth's", async () => {
    const one = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    const file = write(
      safetensors({
        'module.features.denseblock1.denselayer1.norm.1.weight': one,
        'module.classifier.weight': one,
      }),
    );
    expect(Object.keys(await readAll(file))).toEqual([
      'features.denseblock1.denselayer1.norm1.weight',
      'classifier.weight',
    ]);
  });

  test('finds a recipe of another program in the metadata', async () => {
    const tensor = { a: { dtype: 'U8', shape: [], data: Uint8Array.of(1) } };
    const config = JSON.stringify({ input_size: [3, 64, 64], crop_pct: 0.5 });
    const entries = { format: 'pt', large: `{"a":"${'a'.repeat(2 ** 20)}"}`, timm: config };
    const file = write(safetensors(tensor, entries));
    expect((await inspect(file)).recipe).toMatchObject({
      from: `${file} (timm)`,
      program: 'timm',
      steps: { resize: 128, imageSize: 64 },
    });
    const metadata = JSON.stringify({ classes: ['a'], mean, std, imageSize: 32 });
    const ours = write(safetensors(tensor, { ...entries, 'distill.json': metadata }));
    expect((await inspect(ours)).recipe).toBeNull();
  });

  test("finds a run's metadata, of at most a MiB", async () => {
    const one = { a: { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } };
    const json = JSON.stringify({ classes: ['a', 'é"\\'], mean, std, imageSize: 64 });
    const { metadata } = await inspect(write(safetensors(one, { 'distill.json': json })));
    expect(metadata).toEqual(JSON.parse(json));
    const long = safetensors(one, { 'distill.json': ' '.repeat(2 ** 20 + 1) });
    expect((await refusal(write(long))).code).toBe('ERR_CHECKPOINT_CORRUPT');
  });
});

describe('bad input', () => {
  const header = parseSafetensors(small).header;
  const data = parseSafetensors(small).data;
  const a = { dtype: 'U8', shape: [4], data_offsets: [0, 4] };
  const bytes = Buffer.from('abcdefgh');
  const text = (members: string) => safetensorsBytes(`{"a":{${members}}}`, bytes.subarray(0, 4));

  test.each<[string, Buffer, RegExp]>([
    ['a length beyond the file', Buffer.from('\x40\0\0\0\0\0\0\0{}', 'latin1'), /more bytes than/],
    ['a length of 4 GB', Buffer.from('\0\0\0\xf0\0\0\0\0{}', 'latin1'), /larger than 100 MB/],
    ['no header', safetensorsBytes('{'), /lacks a '"'/],
    ['a header that is no object', safetensorsBytes('{"a":[]}'), /lacks a '{'/],
    ['a header cut short', safetensorsBytes('{"a'), /ends within a string/],
    ['something behind the object', safetensorsBytes('{}x', bytes), /goes on behind its end/],
    ['no UTF-8', text('"dtype":"U8","shape":[4],"x\xff"').fill(0xff, 20, 21), /UTF-8/],
    ['an unknown escape', safetensorsBytes('{"\\x":{}}'), /escape/],
    ['half a surrogate pair', safetensorsBytes('{"\\ud83d":{}}'), /surrogate/],
    ['a line break in a name', safetensorsBytes('{"a\nb":{}}'), /control character/],
    [
      'a tensor twice',
      safetensorsBytes(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(a)}}`, bytes.subarray(0, 4)),
      /'a' twice/,
    ],
    ['metadata twice', safetensorsBytes('{"__metadata__":{},"__metadata__":{}}'), /twice/],
    [
      'an entry of the metadata twice',
      safetensorsBytes('{"__metadata__":{"a":"b","a":"c"}}'),
      /twice/,
    ],
    ['metadata that is no text', safetensorsBytes({ __metadata__: { a: 1 } }), /lacks a '"'/],
    ['a dtype twice', text('"dtype":"U8","dtype":"U8"'), /'dtype' of 'a' twice/],
    ['no dtype', text('"shape":[4],"data_offsets":[0,4]'), /lacks dtype/],
    ['no shape', text('"dtype":"U8","data_offsets":[0,4]'), /lacks/],
    ['one offset', text('"dtype":"U8","shape":[4],"data_offsets":[0]'), /lacks/],
    ['three offsets', text('"dtype":"U8","shape":[4],"data_offsets":[0,4,4]'), /too long/],
    [
      'an unknown member',
      text('"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":0'),
      /unknown 'x'/,
    ],
    ['a negative size', text('"dtype":"U8","shape":[-4],"data_offsets":[0,4]'), /whole number/],
    ['half an element', text('"dtype":"U8","shape":[4.0],"data_offsets":[0,4]'), /lacks a '\]'/],
    ['an exponent', text('"dtype":"U8","shape":[4e0],"data_offsets":[0,4]'), /lacks a '\]'/],
    ['a leading zero', text('"dtype":"U8","shape":[04],"data_offsets":[0,4]'), /whole number/],
    [
      'a number beyond 64 bits',
      text('"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551620]'),
      /too large a number/,
    ],
    [
      'seventeen dimensions',
      text(`"dtype":"U8","shape":[${Array(17).fill(1)}],"data_offsets":[0,1]`),
      /too long/,
    ],
    ['a deep nesting', safetensorsBytes(`{"a":${'['.repeat(1e6)}`), /lacks a '{'/],
    [
      'an overflowing product',
      text('"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]'),
      /larger than the file/,
    ],
    [
      'a large product of no bytes',
      text('"dtype":"F32","shape":[1099511627776,0],"data_offsets":[0,4]'),
      /another size/,
    ],
    [
      'offsets outside the file',
      safetensorsBytes({ a: { ...a, data_offsets: [0, 5], shape: [5] } }, bytes.subarray(0, 4)),
      /outside the file/,
    ],
    [
      'offsets that run back',
      safetensorsBytes({ a: { ...a, data_offsets: [4, 0] } }, bytes),
      /outside the file/,
    ],
    [
      'a shape of another size',
      safetensorsBytes({ a: { ...a, shape: [3] } }, bytes.subarray(0, 4)),
      /another size/,
    ],
    [
      'a dtype of another size',
      safetensorsBytes({ a: { ...a, dtype: 'F32' } }, bytes.subarray(0, 4)),
      /another size/,
    ],
    [
      'overlapping tensors',
      safetensorsBytes({ a, b: { ...a, data_offsets: [2, 6] } }, bytes.subarray(0, 6)),
      /overlap/,
    ],
    ['the same bytes twice', safetensorsBytes({ a, b: a }, bytes.subarray(0, 4)), /overlap/],
    ['a gap', safetensorsBytes({ a, b: { ...a, shape: [2], data_offsets: [6, 8] } }, bytes), /gap/],
    ['a gap at the start', safetensorsBytes({ a: { ...a, data_offsets: [4, 8] } }, bytes), /gap/],
    ['bytes behind the last tensor', safetensorsBytes({ a }, bytes), /belong to no tensor/],
    [
      'a name of control characters',
      safetensorsBytes('{"\\u001b[2J":{"dtype":"U8"}}'),
      /\\x1b\[2J/,
    ],
  ])('%s', async (_, file, says) => {
    const error = await refusal(write(file));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(error.message).toMatch(says);
  });

  test('a file cut short or lengthened anywhere', async () => {
    for (let size = 9; size < small.length; size += 3) {
      const error = await refusal(write(small.subarray(0, size)));
      expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    }
    await refusal(write(Buffer.concat([small, Buffer.of(0)])));
  });

  test('a dtype that no checkpoint of PyTorch’s weights has', async () => {
    const half = { ...header, 'layer.bias': { ...header['layer.bias'], dtype: 'F8_E4M3' } };
    expect(await refusal(write(safetensorsBytes(half, data)))).toMatchObject({
      code: 'ERR_CHECKPOINT_FORMAT',
      message: expect.stringMatching(/'layer.bias' as F8_E4M3.*convert it to F32/),
    });
  });

  test.each([
    ['more tensors than any network', { dtype: 'U8', shape: [0], data_offsets: [0, 0] }, null],
    ['too many entries', { w: { dtype: 'U8', shape: [0], data_offsets: [0, 0] } }, 'metadata'],
  ])('%s', async (says, value, key) => {
    const names = Array.from({ length: 2 ** 15 + 1 }, (_, i) => `${i}`);
    const many = Object.fromEntries(names.map((name) => [name, key ? '' : value]));
    const header = key ? { __metadata__: many, ...value } : many;
    const error = await refusal(write(safetensorsBytes(header)));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(error.message).toContain(says);
  });

  test('no tensors', async () => {
    for (const header of [{}, { __metadata__: { format: 'pt' } }]) {
      expect((await refusal(write(safetensorsBytes(header)))).code).toBe(
        'ERR_CHECKPOINT_NO_STATE_DICT',
      );
    }
  });

  test('a length that no file can have is of another kind', async () => {
    const text = Buffer.from('weights:{"a": 1}');
    expect((await refusal(write(text))).code).toBe('ERR_CHECKPOINT_FORMAT');
  });
});

describe('files that were changed at random', () => {
  const sizes: Record<string, number> = { F32: 4, I64: 8 };
  /** Returns the tensors that a file's header describes, or nothing if it is no JSON. */
  const decode = (bytes: Buffer) => {
    const { header, data } = parseSafetensors(bytes);
    delete header.__metadata__;
    return Object.fromEntries(
      Object.entries(header as Record<string, { dtype: string; data_offsets: number[] }>).map(
        ([
          name,
          {
            dtype,
            data_offsets: [begin, end],
          },
        ]) => {
          const part = data.subarray(begin, end);
          const read = (i: number) =>
            dtype === 'F32' ? part.readFloatLE(i * 4) : Number(part.readBigInt64LE(i * 8));
          return [
            name,
            Array.from({ length: part.length / (sizes[dtype] ?? 0) }, (_, i) => read(i)),
          ];
        },
      ),
    );
  };

  const accepted: string[] = [];
  test('give an error or the tensors that their header describes', async () => {
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const tokens = [
      '"',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      ' ',
      '0',
      '1',
      '9',
      '-',
      '\\',
      '\\u00',
      'F16',
    ];
    const headerEnd = small.length - parseSafetensors(small).data.length;
    let refused = 0;
    for (let i = 0; i < 3000; i++) {
      let bytes = Buffer.from(small);
      for (let changes = 1 + random(2); changes > 0; changes--) {
        const at = random(headerEnd);
        const token = Buffer.from(tokens[random(tokens.length)] ?? '');
        const kind = random(4);
        if (kind === 0) bytes[at] = random(256);
        else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
        else if (kind === 2) token.copy(bytes, at);
        else {
          bytes = Buffer.concat([bytes.subarray(0, at), token, bytes.subarray(at)]);
          // Half of the time the length follows, so that the text itself is read.
          if (at >= 8 && random(2)) {
            bytes.writeBigUInt64LE(BigInt(headerEnd - 8 + token.length));
          }
        }
      }
      const file = write(bytes);
      const read = await readAll(file).catch((error: unknown) => error);
      if (read instanceof Error) {
        expect(read).toBeInstanceOf(DistillError);
        expect((read as DistillError).code).toMatch(/^ERR_CHECKPOINT_/);
        refused += 1;
      } else {
        const values = Object.entries(read as Awaited<ReturnType<typeof readAll>>);
        expect(Object.fromEntries(values.map(([name, { data }]) => [name, data]))).toEqual(
          decode(bytes),
        );
        accepted.push(file);
      }
    }
    expect(refused).toBeGreaterThan(2000);
    expect(accepted.length).toBeGreaterThan(100);
  });

  test.runIf(pythonWith('safetensors'))('are taken only where Python takes them too', () => {
    expect(accepted.length).toBeGreaterThan(100);
    const script = `
import json, sys
from safetensors import safe_open
for file in json.load(sys.stdin):
    with safe_open(file, framework="pt") as opened:
        for name in opened.keys():
            opened.get_tensor(name)
print("null")`;
    runPython(['-c', script], accepted);
  });
});
