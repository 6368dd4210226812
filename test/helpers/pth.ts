import { writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { ZipFile } from 'yazl';

/** A tensor as a `.pth` describes it. Tensors with the same `data` array share one storage. */
export interface PthTensor {
  shape: readonly number[];
  /** The storage's elements, in the order of memory. */
  data: ArrayLike<number>;
  /** float32 by default. */
  dtype?: Dtype;
  /** In elements; contiguous by default. */
  strides?: readonly number[];
  /** In elements, from the start of the storage; 0 by default. */
  offset?: number;
}

export interface PthOptions {
  /** PyTorch's zip of today, or the older sequence of pickles. */
  format?: 'zip' | 'legacy';
  /** The key under which the state dict lies; bare by default. */
  under?: string;
  /** Other values, pickled, beside a state dict that lies under a key. */
  beside?: Record<string, Buffer>;
  /** Python 2's way: byte strings, and an OrderedDict made from its items. */
  python2?: boolean;
  /** Further records of the zip. */
  records?: Record<string, Buffer | string>;
}

const storageClasses = {
  float32: 'FloatStorage',
  float64: 'DoubleStorage',
  float16: 'HalfStorage',
  bfloat16: 'BFloat16Storage',
  int64: 'LongStorage',
  int32: 'IntStorage',
  int16: 'ShortStorage',
  int8: 'CharStorage',
  uint8: 'ByteStorage',
  bool: 'BoolStorage',
};
export type Dtype = keyof typeof storageClasses;

/** A pickle under construction: each function gives the opcodes that push one value. */
export const pickle = {
  none: Buffer.from('N'),
  bool: (value: boolean) => Buffer.of(value ? 0x88 : 0x89),
  int(value: number): Buffer {
    const bytes = Buffer.alloc(10);
    bytes.set([0x8a, 8]); // LONG1 of eight bytes
    bytes.writeBigInt64LE(BigInt(value), 2);
    return bytes;
  },
  /** Any size, also one that `text` does not have. */
  text(text: string, size = Buffer.byteLength(text)): Buffer {
    const head = Buffer.alloc(5, 'X'); // BINUNICODE
    head.writeUInt32LE(size, 1);
    return Buffer.concat([head, Buffer.from(text)]);
  },
  /** As Python 2 writes its strings: SHORT_BINSTRING. */
  byteString: (text: string) => Buffer.concat([Buffer.of(0x55, text.length), Buffer.from(text)]),
  tuple: (...items: Buffer[]) => marked('', items, 't'),
  list: (...items: Buffer[]) => marked(']', items, 'e'),
  dict: (...keysAndValues: Buffer[]) => marked('}', keysAndValues, 'u'),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  /** Calls `callable` with the values. */
  call: (callable: Buffer, ...values: Buffer[]) =>
    Buffer.concat([callable, pickle.tuple(...values), Buffer.from('R')]),
  /** A storage, which torch.save keeps outside of the pickle. */
  persistent: (...id: Buffer[]) => Buffer.concat([pickle.tuple(...id), Buffer.from('Q')]),
  /** A whole pickle that holds one value. */
  whole: (value: Buffer, protocol = 2) =>
    Buffer.concat([Buffer.of(0x80, protocol), value, Buffer.from('.')]),
};

function marked(before: string, items: Buffer[], after: string): Buffer {
  return Buffer.concat([Buffer.from(`${before}(`), ...items, Buffer.from(after)]);
}

/** A zip archive as PyTorch makes them: stored, one top folder. */
export async function zip(
  records: Record<string, Buffer | string>,
  { compress = false, zip64 = false, folder = 'archive/' } = {},
): Promise<Buffer> {
  const archive = new ZipFile();
  const options = { compress, forceZip64Format: zip64, mtime: new Date(0) };
  for (const [name, bytes] of Object.entries(records)) {
    archive.addBuffer(Buffer.from(bytes), folder + name, options);
  }
  archive.end({ forceZip64Format: zip64, comment: '' });
  return buffer(archive.outputStream);
}

/** Writes a file as torch.save({name: tensor, …}, path) does, near enough. */
export async function writePth(
  path: string,
  tensors: Record<string, PthTensor>,
  options: PthOptions = {},
): Promise<string> {
  writeFileSync(path, await pthBytes(tensors, options));
  return path;
}

export async function pthBytes(
  tensors: Record<string, PthTensor>,
  { format = 'zip', under, beside = {}, python2 = false, records = {} }: PthOptions = {},
): Promise<Buffer> {
  const legacy = format === 'legacy';
  const text = python2 ? pickle.byteString : pickle.text;
  const storages: { data: ArrayLike<number>; bytes: Buffer }[] = [];

  const tensor = ({ shape, data, dtype = 'float32', strides, offset = 0 }: PthTensor) => {
    let key = storages.findIndex((storage) => storage.data === data);
    if (key < 0) key = storages.push({ data, bytes: encode(data, dtype) }) - 1;
    const storage = pickle.persistent(
      text('storage'),
      pickle.global('torch', storageClasses[dtype]),
      text(`${key}`),
      text('cpu'),
      pickle.int(data.length),
      ...(legacy ? [pickle.none] : []),
    );
    return pickle.call(
      pickle.global('torch._utils', '_rebuild_tensor_v2'),
      storage,
      pickle.int(offset),
      pickle.tuple(...shape.map(pickle.int)),
      pickle.tuple(...(strides ?? contiguous(shape)).map(pickle.int)),
      pickle.bool(false),
      pickle.call(pickle.global('collections', 'OrderedDict')),
    );
  };
  const items = Object.entries(tensors).map(([name, value]) => [text(name), tensor(value)]);
  let object = python2
    ? pickle.call(
        pickle.global('collections', 'OrderedDict'),
        pickle.list(...items.map((pair) => pickle.list(...pair))),
      )
    : pickle.dict(...items.flat());
  if (under !== undefined) {
    const others = Object.entries(beside).flatMap(([name, value]) => [text(name), value]);
    object = pickle.dict(...others, text(under), object);
  }

  if (!legacy) {
    const data = storages.map(({ bytes }, key) => [`data/${key}`, bytes] as const);
    return zip({
      'data.pkl': pickle.whole(object),
      byteorder: 'little',
      ...Object.fromEntries(data),
      version: '3\n',
      ...records,
    });
  }
  return Buffer.concat([
    legacyStart(),
    pickle.whole(object),
    pickle.whole(pickle.list(...storages.map((_, key) => text(`${key}`)))),
    ...storages.flatMap(({ data, bytes }) => [
      Buffer.from(BigInt64Array.of(BigInt(data.length)).buffer),
      bytes,
    ]),
  ]);
}

/** Magic number, version and system: what the older format begins with. */
export function legacyStart({ littleEndian = true } = {}): Buffer {
  return Buffer.concat([
    Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'),
    pickle.whole(pickle.int(1001)),
    pickle.whole(pickle.dict(pickle.text('little_endian'), pickle.bool(littleEndian))),
  ]);
}

function contiguous(shape: readonly number[]): number[] {
  return shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
}

function encode(data: ArrayLike<number>, dtype: Dtype): Buffer {
  const arrays = {
    float32: () => Float32Array.from(data),
    float64: () => Float64Array.from(data),
    float16: () => Uint16Array.from(data, float16Bits),
    bfloat16: () => Uint16Array.from(data, (value) => float32Bits(value) >>> 16),
    int64: () => BigInt64Array.from(Array.from(data, BigInt)),
    int32: () => Int32Array.from(data),
    int16: () => Int16Array.from(data),
    int8: () => Int8Array.from(data),
    uint8: () => Uint8Array.from(data),
    bool: () => Uint8Array.from(data),
  };
  return Buffer.from(arrays[dtype]().buffer);
}

function float32Bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number;
}

/** Rounds towards zero, and what is too small for a normal number to zero. */
function float16Bits(value: number): number {
  const bits = float32Bits(value);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >>> 13) & 0x3ff);
}
