import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DistillError, inspect } from '../../../lib/index.js';
import { loadAddon, native } from '../../../lib/native.js';
import { built, runChild } from '../../helpers/child.js';
import { refusalOf } from '../../helpers/outcome.js';
import {
  type Dtype,
  legacyStart,
  type PthTensor,
  pickle,
  pthBytes,
  writePth,
  zip,
} from '../../helpers/pth.js';
import { python, runPython } from '../../helpers/python.js';
import { safetensorsBytes } from '../../helpers/safetensors.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pth`);

function write(bytes: Buffer | string): string {
  const file = newPath();
  writeFileSync(file, bytes);
  return file;
}

const readTensor = (file: string, name: string) => native(loadAddon().readTensor(file, name));

/** Every tensor of a file: shape, dtype and values. */
async function readAll(file: string) {
  const { tensors } = await inspect(file);
  const entries = tensors.map(async ({ name, shape, dtype }) => {
    const read = await readTensor(file, name);
    expect(read.shape).toEqual(shape);
    return [name, { shape, dtype, data: Array.from(read.data) }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The refusal of a file, which must name the file. */
async function refusedFile(file: string): Promise<DistillError> {
  const error = await refusalOf(inspect(file));
  expect(error.message).toContain(`'${file}'`);
  return error;
}

const small: Record<string, PthTensor> = {
  'layer.weight': { shape: [2, 3], data: [1, -2, 3.5, 0, 0.25, -6] },
  'layer.bias': { shape: [2], data: [7, 8] },
  'norm.num_batches_tracked': { shape: [], data: [9], dtype: 'int64' },
};
const smallContents = {
  'layer.weight': { shape: [2, 3], dtype: 'float32', data: [1, -2, 3.5, 0, 0.25, -6] },
  'layer.bias': { shape: [2], dtype: 'float32', data: [7, 8] },
  'norm.num_batches_tracked': { shape: [], dtype: 'int64', data: [9] },
};

describe.each(['zip', 'legacy'] as const)('reading the %s format', (format) => {
  test('gives names in the order of the file, shapes, dtypes and values', async () => {
    const file = await writePth(newPath(), small, { format });
    expect((await inspect(file)).format).toBe(format);
    expect(await readAll(file)).toEqual(smallContents);
    expect((await inspect(file)).tensors.map(({ name }) => name)).toEqual(Object.keys(small));
  });

  test.each(['state_dict', 'model', 'model_state_dict'])('finds a dict under %s', async (under) => {
    const beside = { epoch: pickle.int(3), loss: pickle.list(pickle.none) };
    const file = await writePth(newPath(), small, { format, under, beside });
    expect(await readAll(file)).toEqual(smallContents);
  });

  test.each(['module.', '_orig_mod.', 'module._orig_mod.', 'module.module.'])(
    'strips the prefix %s that all names carry',
    async (prefix) => {
      const prefixed = Object.entries(small).map(([name, tensor]) => [prefix + name, tensor]);
      const file = await writePth(newPath(), Object.fromEntries(prefixed), { format });
      expect(await readAll(file)).toEqual(smallContents);
    },
  );

  test('keeps a prefix that some names carry', async () => {
    const one = { shape: [1], data: [1] };
    const file = await writePth(newPath(), { 'module.a': one, b: one }, { format });
    expect(Object.keys(await readAll(file))).toEqual(['module.a', 'b']);
  });

  test("gives torchvision's first DenseNets the names of today", async () => {
    const one = { shape: [1], data: [1] };
    const names = {
      'features.denseblock1.denselayer12.norm.1.weight':
        'features.denseblock1.denselayer12.norm1.weight',
      'features.denseblock1.denselayer12.conv.2.weight':
        'features.denseblock1.denselayer12.conv2.weight',
      'features.denseblock4.denselayer1.norm.2.running_mean':
        'features.denseblock4.denselayer1.norm2.running_mean',
      'features.transition1.norm.weight': 'features.transition1.norm.weight',
      'features.norm.1.weight': 'features.norm.1.weight',
      'classifier.weight': 'classifier.weight',
    };
    const tensors = Object.fromEntries(Object.keys(names).map((name) => [name, one]));
    const file = await writePth(newPath(), tensors, { format });
    expect(Object.keys(await readAll(file))).toEqual(Object.values(names));
  });

  test.each<Dtype>([
    'float64',
    'float16',
    'bfloat16',
    'int64',
    'int32',
    'int16',
    'int8',
    'uint8',
    'bool',
  ])('reads %s', async (dtype) => {
    const data = /float/.test(dtype) ? [0.5, -1.25, 96, 0] : [0, 1, 1, 0];
    const file = await writePth(newPath(), { a: { shape: [4], data, dtype } }, { format });
    expect(await readAll(file)).toEqual({ a: { shape: [4], dtype, data } });
  });

  test('reads views: transposed, strided, expanded, shared', async () => {
    const data = Array.from({ length: 24 }, (_, i) => i);
    const tensors = {
      transposed: { data, shape: [4, 6], strides: [1, 4] },
      strided: { data, shape: [2, 2], strides: [12, 5], offset: 3 },
      expanded: { data, shape: [3, 2], strides: [0, 1], offset: 22 },
      last: { data, shape: [], strides: [], offset: 23 },
      'of one': { data, shape: [1, 2, 1], strides: [999, 1, 7] },
      none: { data, shape: [0, 5], strides: [5, 1], offset: 24 },
    };
    const read = await readAll(await writePth(newPath(), tensors, { format }));
    expect(Object.fromEntries(Object.entries(read).map(([k, v]) => [k, v.data]))).toEqual({
      transposed: [0, 1, 2, 3].flatMap((i) => [0, 4, 8, 12, 16, 20].map((j) => i + j)),
      strided: [3, 8, 15, 20],
      expanded: [22, 23, 22, 23, 22, 23],
      last: [23],
      'of one': [0, 1],
      none: [],
    });
  });
});

describe('reading what other writers make', () => {
  test("Python 2's pickles", async () => {
    for (const format of ['zip', 'legacy'] as const) {
      const file = await writePth(newPath(), small, { format, python2: true });
      expect(await readAll(file)).toEqual(smallContents);
    }
  });

  test('storage views of PyTorch before 0.4', async () => {
    const storage = pickle.persistent(
      pickle.text('storage'),
      pickle.global('torch', 'FloatStorage'),
      pickle.text('root'),
      pickle.text('cpu'),
      pickle.int(4),
      pickle.tuple(pickle.text('view'), pickle.int(1), pickle.int(2)),
    );
    const tensor = (size: number) =>
      pickle.call(
        pickle.global('torch._utils', '_rebuild_tensor'),
        storage,
        pickle.int(0),
        pickle.tuple(pickle.int(size)),
        pickle.tuple(pickle.int(1)),
      );
    const file = (size: number) =>
      write(
        Buffer.concat([
          legacyStart(),
          pickle.whole(pickle.dict(pickle.text('a'), tensor(size))),
          pickle.whole(pickle.list(pickle.text('root'))),
          Buffer.from(BigInt64Array.of(4n).buffer),
          Buffer.from(Float32Array.of(1, 2, 3, 4).buffer),
        ]),
      );
    expect((await readAll(file(2))).a?.data).toEqual([2, 3]);
    expect((await refusedFile(file(3))).code).toBe('ERR_CHECKPOINT_CORRUPT');
  });

  test('zip64, a top folder of any name or none, and a comment at the end', async () => {
    const bytes = await pthBytes(small);
    const start = bytes.indexOf('PK\x05\x06');
    const commented = Buffer.concat([bytes, Buffer.from('a comment')]);
    commented.writeUInt16LE(9, start + 20);
    expect(await readAll(write(commented))).toEqual(smallContents);

    const pkl = pickle.whole(
      pickle.dict(
        pickle.text('a'),
        pickle.call(
          pickle.global('torch._utils', '_rebuild_tensor_v2'),
          pickle.persistent(
            pickle.text('storage'),
            pickle.global('torch', 'ByteStorage'),
            pickle.text('0'),
            pickle.text('cpu'),
            pickle.int(1),
          ),
          pickle.int(0),
          pickle.tuple(pickle.int(1)),
          pickle.tuple(pickle.int(1)),
        ),
      ),
    );
    for (const options of [{ zip64: true }, { folder: 'weights of mine/' }, { folder: '' }]) {
      const file = write(await zip({ 'data.pkl': pkl, 'data/0': '*' }, options));
      expect((await readAll(file)).a?.data).toEqual([42]);
    }
  });

  test("a run's metadata in a record of its own, of at most a MiB", async () => {
    const contents = async (json: string) => {
      const file = await writePth(newPath(), small, { records: { 'distill.json': json } });
      return native(loadAddon().inspect(file));
    };
    expect((await contents('{"classes": ["a"]}')).metadata).toBe('{"classes": ["a"]}');
    const error = await refusalOf(contents(' '.repeat(2 ** 20 + 1)));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect((await native(loadAddon().inspect(write(await pthBytes(small))))).metadata).toBe(null);
  });

  test('the values that stand beside the weights in a training checkpoint', async () => {
    const dtype = pickle.call(pickle.global('numpy', 'dtype'), pickle.text('f8'));
    const beside = {
      best_accuracy: pickle.call(
        pickle.global('numpy.core.multiarray', 'scalar'),
        Buffer.concat([dtype, pickle.tuple(pickle.int(3)), Buffer.from('b')]),
        pickle.call(pickle.global('_codecs', 'encode'), pickle.text('12345678')),
      ),
      milestones: pickle.call(pickle.global('collections', 'Counter'), pickle.dict()),
      size: pickle.call(pickle.global('torch', 'Size'), pickle.tuple(pickle.int(2))),
    };
    const file = await writePth(newPath(), small, { under: 'model', beside });
    expect(await readAll(file)).toEqual(smallContents);
  });
});

describe('a file that asks to run something', () => {
  const marker = path.join(folder, 'was-run');
  const argument = pickle.text(`touch ${marker}`);
  const calls: [string, string][] = [
    ['posix', 'system'],
    ['os', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'exec'],
    ['subprocess', 'Popen'],
    ['torch', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch.hub', 'load'],
    ['numpy', 'load'],
    ['collections', 'namedtuple'],
    ['argparse', 'Namespace'],
    ['torchvision.models.densenet', 'DenseNet'],
  ];

  test.each(calls)('%s.%s is refused by name', async (module, name) => {
    const call = pickle.call(pickle.global(module, name), argument);
    const among = pickle.dict(pickle.text('weight'), call);
    const shown = `'${module.replace('__builtin__', 'builtins')}.${name}'`;
    for (const bytes of [
      await zip({ 'data.pkl': pickle.whole(among) }),
      Buffer.concat([legacyStart(), pickle.whole(among)]),
      pickle.whole(call),
    ]) {
      const error = await refusedFile(write(bytes));
      expect(error.code).toBe('ERR_CHECKPOINT_UNSAFE');
      expect(error.message).toContain(shown);
      expect(error.message).toContain('torch.save(model.state_dict()');
    }
  });

  test.each([
    [
      'STACK_GLOBAL',
      pickle.whole(Buffer.concat([pickle.text('os'), pickle.text('system'), Buffer.of(0x93)]), 4),
    ],
    ['INST', Buffer.from("(S'true'\nios\nsystem\n.")],
    ['protocol 0', Buffer.from("cos\nsystem\n(S'true'\ntR.")],
  ])('however it is spelled: %s', async (_, bytes) => {
    const error = await refusedFile(write(bytes));
    expect(error.code).toBe('ERR_CHECKPOINT_UNSAFE');
    expect(error.message).toContain("'os.system'");
  });

  test('a name full of control characters does not reach the message', async () => {
    const names = Buffer.concat([pickle.text('o\x1b[2J'), pickle.text('s'), Buffer.of(0x93)]);
    const { message } = await refusedFile(write(pickle.whole(names)));
    expect(message).not.toContain('\x1b');
  });

  afterAll(() => expect(existsSync(marker)).toBe(false));
});

describe('bad input', () => {
  const expectRefusal = async (file: string, code: string, ...says: string[]) => {
    const error = await refusedFile(file);
    expect(error).toMatchObject({ code });
    expect(error.message).not.toContain('\n');
    for (const text of says) expect(error.message).toContain(text);
  };

  test('a missing file', () =>
    expectRefusal(path.join(folder, 'none.pth'), 'ERR_CHECKPOINT_NOT_FOUND', 'no such file'));

  test('a folder', () => expectRefusal(folder, 'ERR_CHECKPOINT_FORMAT', 'is a folder'));

  test.each([
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid x\n', 'git lfs pull'],
    ['a web page', '\n <!DOCTYPE html><html></html>', 'web page'],
    ['ONNX', '\x08\x07\x12\x07pytorch\x1a\x05', 'ONNX'],
    ['HDF5', '\x89HDF\r\n\x1a\n', 'HDF5'],
    ['gzip', '\x1f\x8b\x08\0', 'gzip'],
    ['NumPy', '\x93NUMPY\x01\0', 'NumPy'],
    ['the tar format', `${'\0'.repeat(257)}ustar\x0000`, 'tar'],
    ['plain text', 'hello', 'no PyTorch checkpoint'],
  ])('%s by mistake', (_, bytes, says) =>
    expectRefusal(write(Buffer.from(bytes, 'latin1')), 'ERR_CHECKPOINT_FORMAT', says),
  );

  test('zip archives of other kinds', async () => {
    const pkl = pickle.whole(pickle.dict());
    const other = write(await zip({ 'a.txt': 'text' }));
    await expectRefusal(other, 'ERR_CHECKPOINT_FORMAT', 'not one that torch.save wrote');
    const script = write(await zip({ 'data.pkl': pkl, 'constants.pkl': pkl }));
    await expectRefusal(script, 'ERR_CHECKPOINT_FORMAT', 'TorchScript', 'torch.jit.load');
    const compressed = write(await zip({ 'data.pkl': pkl }, { compress: true }));
    await expectRefusal(compressed, 'ERR_CHECKPOINT_FORMAT', 'compressed');
  });

  test('big-endian files', async () => {
    const file = await writePth(newPath(), small, { records: { byteorder: 'big' } });
    await expectRefusal(file, 'ERR_CHECKPOINT_FORMAT', 'big-endian');
    const legacy = write(legacyStart({ littleEndian: false }));
    await expectRefusal(legacy, 'ERR_CHECKPOINT_FORMAT', 'big-endian');
  });

  test.each([
    ['an empty dict', pickle.dict(), 'an empty dict'],
    ['a list', pickle.list(pickle.int(1)), 'no dict'],
    [
      'other keys',
      pickle.dict(pickle.text('net'), pickle.dict(), pickle.text('epoch'), pickle.int(1)),
      "'net', 'epoch'",
    ],
  ])('no state dict: %s', async (_, object, says) => {
    const file = write(await zip({ 'data.pkl': pickle.whole(object) }));
    await expectRefusal(file, 'ERR_CHECKPOINT_NO_STATE_DICT', says);
  });

  test('a file of 5 GiB, before it is read', async () => {
    const file = write('PK');
    truncateSync(file, 5 * 2 ** 30);
    await expectRefusal(file, 'ERR_CHECKPOINT_FORMAT', 'larger than 4 GiB');
    rmSync(file);
  });

  test('of files of 4 GiB, what they need is read and no more', { timeout: 120_000 }, async () => {
    const size = 2 ** 32;
    const sparse = (beginning: Buffer) => {
      const file = write(beginning);
      truncateSync(file, size);
      return file;
    };
    const header = (data: number) =>
      `{"a":{"dtype":"U8","shape":[${data}],"data_offsets":[0,${data}]}}`;
    const length = header(size - 8).length;
    const files = {
      zeros: sparse(Buffer.alloc(16)),
      zip: sparse(Buffer.from('PK')),
      legacy: sparse(Buffer.concat([legacyStart(), pickle.whole(pickle.dict())])),
      safetensors: sparse(safetensorsBytes(header(size - 8 - length))),
      'a long header': sparse(Buffer.from([0, 0, 0, 5, 0, 0, 0, 0, 0x7b])),
    };
    const small = await pthBytes({ a: { shape: [1], data: [1] } });
    const { stdout, stderr } = await runChild(
      `import { inspect } from '${built}';
      await inspect(input.small);
      const before = process.resourceUsage().maxRSS;
      const told = {};
      for (const [kind, file] of Object.entries(input.files)) {
        const described = ({ tensors }) => \`\${tensors[0].shape}\`;
        told[kind] = await inspect(file).then(described, ({ code }) => code);
      }
      const megabytes = (process.resourceUsage().maxRSS - before) / 1024;
      console.log(JSON.stringify({ told, megabytes }));`,
      { input: { files, small: write(small) } },
    );
    for (const file of Object.values(files)) rmSync(file);
    expect(stderr).toBe('');
    const { told, megabytes } = JSON.parse(stdout);
    expect(told).toEqual({
      zeros: 'ERR_CHECKPOINT_FORMAT',
      zip: 'ERR_CHECKPOINT_CORRUPT',
      legacy: 'ERR_CHECKPOINT_CORRUPT',
      safetensors: `${size - 8 - length}`,
      'a long header': 'ERR_CHECKPOINT_CORRUPT',
    });
    expect(megabytes).toBeLessThan(200);
  });

  test('a pipe and a device, without opening them', async () => {
    const pipe = path.join(folder, 'pipe.pth');
    execFileSync('mkfifo', [pipe]);
    for (const file of [pipe, '/dev/zero']) {
      await expectRefusal(file, 'ERR_CHECKPOINT_FORMAT', 'is a device or a pipe');
    }
  });

  test('a thin slice of a large storage', async () => {
    const data = new Float32Array(2 ** 21 + 1);
    const file = await writePth(newPath(), { a: { shape: [2], strides: [2 ** 21], data } });
    expect((await inspect(file)).tensors).toHaveLength(1);
    await expect(readTensor(file, 'a')).rejects.toMatchObject({
      code: 'ERR_CHECKPOINT_FORMAT',
      message: expect.stringContaining('save it as tensor.clone()'),
    });
  });

  test('an empty file', () => expectRefusal(write(''), 'ERR_CHECKPOINT_CORRUPT', 'empty'));

  test.each(['zip', 'legacy'] as const)('a %s file cut short anywhere', async (format) => {
    const bytes = await pthBytes(small, { format });
    for (let size = 16; size < bytes.length; size += 7) {
      await expectRefusal(write(bytes.subarray(0, size)), 'ERR_CHECKPOINT_CORRUPT');
    }
  });

  test('a flipped bit in a tensor of a zip file', async () => {
    const bytes = await pthBytes(small);
    const values = bytes.indexOf(Buffer.from(Float32Array.of(7, 8).buffer));
    bytes[values + 2] = (bytes[values + 2] as number) ^ 1;
    await expectRefusal(write(bytes), 'ERR_CHECKPOINT_CORRUPT', "CRC-32 of its record 'data/1'");
  });

  test('lengths beyond the file', async () => {
    const dictOf = (name: Buffer) => pickle.whole(Buffer.concat([Buffer.from('}'), name]));
    const longName = dictOf(pickle.text('a', 0xffffffff));
    await expectRefusal(write(await zip({ 'data.pkl': longName })), 'ERR_CHECKPOINT_CORRUPT');
    const longLegacy = Buffer.concat([legacyStart(), longName]);
    await expectRefusal(write(longLegacy), 'ERR_CHECKPOINT_CORRUPT');

    const bytes = await pthBytes(small);
    const end = bytes.indexOf('PK\x05\x06');
    for (const field of [end + 12, end + 16]) {
      const oversized = Buffer.from(bytes);
      oversized.writeUInt32LE(0xfffffff0, field);
      await expectRefusal(write(oversized), 'ERR_CHECKPOINT_CORRUPT', 'outside the file');
    }

    const legacy = await pthBytes(small, { format: 'legacy' });
    legacy.writeBigInt64LE(2n ** 62n, legacy.length - 8 - 8);
    await expectRefusal(write(legacy), 'ERR_CHECKPOINT_CORRUPT', "storage's size");
  });

  test.each<[string, Partial<PthTensor>]>([
    ['beyond its storage', { shape: [7] }],
    ['with an offset beyond', { shape: [1], offset: 6 }],
    ['with strides beyond', { shape: [2, 2], strides: [5, 1] }],
    ['with strides that overflow', { shape: [4], strides: [2 ** 62] }],
    ['of sizes that overflow', { shape: [2 ** 40, 2 ** 40], strides: [0, 0] }],
    ['none of which is there, yet huge', { shape: [0, 2 ** 40, 2 ** 40], strides: [1, 1, 1] }],
    ['that expands one number to a terabyte', { shape: [2 ** 38], strides: [0] }],
    ['of negative size', { shape: [-1] }],
    ['of negative stride', { shape: [2], strides: [-1], offset: 3 }],
    ['of more strides than sizes', { shape: [1], strides: [1, 1] }],
    ['of a hundred dimensions', { shape: Array(100).fill(1) }],
  ])('a tensor %s', async (_, view) => {
    const tensor = { shape: [6], data: [1, 2, 3, 4, 5, 6], ...view };
    for (const format of ['zip', 'legacy'] as const) {
      const file = await writePth(newPath(), { tensor }, { format });
      await expectRefusal(file, 'ERR_CHECKPOINT_CORRUPT');
    }
  });

  test('pickles that nest, repeat or refer to themselves without end', async () => {
    const wholes = {
      'deep tuples': [Buffer.from(')'), Buffer.alloc(1e6, 0x85)],
      marks: [Buffer.alloc(1e6, '(')],
      'more values than any checkpoint': [Buffer.alloc(5e6, ')')],
      // A list that is put into itself, a dict that is its own value.
      'a list in itself': [Buffer.from(']q\0'), Buffer.from('h\0a'.repeat(1e5))],
      'a dict in itself': [Buffer.from('}q\0X\x05\0\0\0modelh\0s')],
      // The same list of 1000 items copied again and again.
      copies: [
        Buffer.from('ccollections\nOrderedDict\nq\0](K\x01K\x02\x86'),
        Buffer.from('K\x01K\x02\x86'.repeat(1000), 'latin1'),
        Buffer.from('e\x85q\x01', 'latin1'),
        Buffer.from('h\0h\x01R'.repeat(1e5)),
      ],
    };
    for (const opcodes of Object.values(wholes)) {
      const before = process.memoryUsage().rss;
      const file = write(await zip({ 'data.pkl': pickle.whole(Buffer.concat(opcodes)) }));
      const { code } = await refusedFile(file);
      expect(code).toMatch(/^ERR_CHECKPOINT_(CORRUPT|NO_STATE_DICT)$/);
      expect(process.memoryUsage().rss - before).toBeLessThan(600e6);
    }
  });

  test('the same name twice, storages that are missing or of another size', async () => {
    const twice = await writePth(newPath(), {
      'denselayer1.norm.1.weight': { shape: [1], data: [1] },
      'denselayer1.norm1.weight': { shape: [1], data: [1] },
    });
    await expectRefusal(twice, 'ERR_CHECKPOINT_CORRUPT', 'twice');

    const other = (name: string) => {
      const records = { 'data/1': Buffer.alloc(name === 'data/1' ? 12 : 8) };
      return writePth(newPath(), small, { records });
    };
    await expectRefusal(await other('data/1'), 'ERR_CHECKPOINT_CORRUPT', "storage's size");
    const missing = (await pthBytes(small)).toString('latin1').replaceAll('data/1', 'data/x');
    const file = write(Buffer.from(missing, 'latin1'));
    await expectRefusal(file, 'ERR_CHECKPOINT_CORRUPT', "'data/1' is missing");
  });
});

/** A small, fast, seeded generator (mulberry32), so that a failing case can be found again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function damaged(bytes: Buffer, below: (n: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  const at = below(bytes.length);
  switch (below(4)) {
    case 0:
      return copy.subarray(0, at);
    case 1:
      copy[at] = (copy[at] as number) ^ (1 << below(8));
      return copy;
    case 2:
      for (let i = at; i < Math.min(at + 4, copy.length); ++i) copy[i] = below(256);
      return copy;
    default: {
      const from = below(bytes.length);
      return Buffer.concat([copy.subarray(0, at), copy.subarray(from)]);
    }
  }
}

describe.each(['zip', 'legacy'] as const)('a damaged %s file', (format) => {
  test('is refused with a code or read, whatever the damage', { timeout: 300_000 }, async () => {
    const original = await pthBytes(small, { format, under: 'model' });
    const file = newPath();
    const before = process.memoryUsage().rss;
    for (let seed = 0; seed < 500; ++seed) {
      writeFileSync(file, damaged(original, random(seed)));
      const read = await readAll(file).catch((error: unknown) => {
        expect(error, `seed ${seed}`).toBeInstanceOf(DistillError);
        expect((error as DistillError).code, `seed ${seed}`).toMatch(/^ERR_CHECKPOINT_/);
        return null;
      });
      // The older format has no checksums: damage in its numbers cannot be told.
      if (read && format === 'zip') expect(read, `seed ${seed}`).toEqual(smallContents);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
  });
});

describe('loading into a model', () => {
  let student: Record<string, PthTensor & { dtype: Dtype }>;
  const pixels = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => (i * 37) % 256);

  async function logits(file: string): Promise<number[]> {
    const classifier = new (loadAddon().Classifier)({
      model: file,
      imageSize: 16,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
      device: 'cpu',
      precision: 'fp32',
      threads: 1,
    });
    try {
      await native(classifier.load());
      return Array.from(await native(classifier.logits(pixels)));
    } finally {
      await classifier.close();
    }
  }
  const changed = (change: (tensors: Record<string, PthTensor>) => void) => {
    const tensors = structuredClone<Record<string, PthTensor>>(student);
    change(tensors);
    return writePth(newPath(), tensors);
  };

  let expected: number[];
  beforeAll(async () => {
    const file = newPath();
    await native(
      loadAddon().createModel({ path: file, architecture: 'student', classes: 3, seed: 5 }),
    );
    student = (await readAll(file)) as typeof student;
    expected = await logits(file);
  });

  test('converts float64 exactly, float16 and bfloat16 as near as they are', async () => {
    for (const dtype of ['float64', 'float16', 'bfloat16'] as const) {
      const file = await changed((tensors) => {
        for (const tensor of Object.values(tensors)) {
          if (tensor.dtype === 'float32') tensor.dtype = dtype;
        }
      });
      const digits = dtype === 'float64' ? 6 : 2;
      const got = await logits(file);
      expect(got).toEqual(expected.map((value) => expect.closeTo(value, digits)));
    }
  });

  test('takes an absent num_batches_tracked for 0, as PyTorch before 0.4.1 wrote none', async () => {
    const file = await changed((tensors) => {
      for (const name of Object.keys(tensors)) {
        if (name.endsWith('num_batches_tracked')) delete tensors[name];
      }
    });
    expect(await logits(file)).toEqual(expected);
  });

  test('lists what is missing, unexpected and of another shape', async () => {
    const file = await changed((tensors) => {
      delete tensors['features.0.bias'];
      tensors['features.99.weight'] = { shape: [1], data: [1] };
      tensors['features.4.bias'] = { shape: [3], data: [1, 2, 3] };
    });
    const error = await refusalOf(logits(file));
    expect(error.code).toBe('ERR_CHECKPOINT_MISMATCH');
    for (const text of [
      `'${file}'`,
      '1 missing (features.0.bias)',
      '1 unexpected (features.99.weight)',
      '1 of another shape (features.4.bias is (3) instead of (64))',
    ]) {
      expect(error.message).toContain(text);
    }
  });

  test('names ten of many', async () => {
    const file = await changed((tensors) => {
      for (let i = 0; i < 25; ++i) tensors[`extra${i}`] = { shape: [1], data: [1] };
    });
    const { message } = await refusalOf(logits(file));
    expect(message).toContain('25 unexpected (extra0, ');
    expect(message).toContain('extra9 and 15 more)');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e300])('refuses %d', async (value) => {
    const file = await changed((tensors) => {
      const data = [...(Array.from(tensors['features.1.bias']?.data ?? []) as number[])];
      data[5] = value;
      tensors['features.1.bias'] = { shape: [32], data, dtype: 'float64' };
    });
    const error = await refusalOf(logits(file));
    expect(error.code).toBe('ERR_CHECKPOINT_NOT_FINITE');
    expect(error.message).toContain("'features.1.bias'");
    expect(error.message).toContain(`'${file}'`);
  });
});

describe('writing', () => {
  const create = (file: string) =>
    native(loadAddon().createModel({ path: file, architecture: 'student', classes: 2, seed: 1 }));
  const checkWritable = (file: string) => native(loadAddon().checkWritable(file));

  test('replaces the file in one step and leaves nothing else', async () => {
    const place = mkdtempSync(path.join(folder, 'writing-'));
    const file = path.join(place, 'student.pth');
    await checkWritable(file);
    expect(readdirSync(place)).toEqual([]);
    writeFileSync(file, 'old');
    const inode = statSync(file).ino;
    await create(file);
    expect(statSync(file).ino).not.toBe(inode);
    expect((await inspect(file)).architecture).toBe('student');
    expect(readdirSync(place)).toEqual(['student.pth']);
  });

  test('gives equal weights equal bytes', async () => {
    const [a, b] = [newPath(), newPath()];
    await create(a);
    await create(b);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });

  test('follows a symbolic link', async () => {
    const place = mkdtempSync(path.join(folder, 'writing-'));
    const [file, link] = [path.join(place, 'a.pth'), path.join(place, 'b.pth')];
    writeFileSync(file, 'old');
    symlinkSync('a.pth', link);
    await create(link);
    expect((await inspect(file)).architecture).toBe('student');
    expect(readdirSync(place).sort()).toEqual(['a.pth', 'b.pth']);
  });

  test.each([
    ['a missing folder', path.join(folder, 'no/such/student.pth'), 'create its folder first'],
    ['a folder', folder, 'is a folder'],
    ['a device', '/dev/null', 'is a device'],
    ['a name that is too long', path.join(folder, 'x'.repeat(300)), 'shorter name'],
  ])('refuses %s, and shows so beforehand', async (_, file, says) => {
    for (const attempt of [checkWritable, create]) {
      const error = await refusalOf(attempt(file));
      expect(error.code).toBe('ERR_WRITE');
      expect(error.message).toContain(`'${file}'`);
      expect(error.message).toContain(says);
    }
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });
});

describe.skipIf(python === null)('beside PyTorch', { timeout: 300_000 }, () => {
  const place = path.join(folder, 'pytorch');
  type Contents = Record<string, { shape: number[]; dtype: string; data: number[] }>;
  let written: Record<string, Contents>;

  beforeAll(() => {
    mkdirSync(place);
    written = runPython(['-c', writer, place]) as typeof written;
  }, 300_000);

  const writer = `
import collections, json, sys, warnings
import numpy, torch
warnings.simplefilter("ignore")
folder = sys.argv[1]
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
weights = model.state_dict()
many = torch.randn(3, 4, 5, 6)
views = collections.OrderedDict(
    transposed=many[1].transpose(0, 2), channels_last=many.contiguous(memory_format=torch.channels_last),
    expanded=torch.randn(1, 5).expand(3, 5), strided=many.flatten()[3::5], sub=many[1:, 1:, ::2],
    scalar=torch.tensor(3.5), none=torch.empty(0, 5), shared=many, shared_again=many,
    **{str(dtype)[6:]: torch.arange(5).to(dtype) for dtype in (
        torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool)})
optimizer = torch.optim.Adam(model.parameters())
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 40])
model[0](torch.randn(1, 3, 4, 4)).sum().backward()
optimizer.step()
training = {
    "model": weights, "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(), "epoch": 7,
    "best": numpy.float64(0.5), "best32": numpy.float32(1), "history": [1.5, {"a": (1, None, True)}],
    "array": numpy.arange(3), "rng": torch.get_rng_state(), "size": torch.Size([1]), "big": -2**40, "bigger": 2**100,
    "device": torch.device("cpu"), "dtype": torch.float32, "set": {1}, "bytes": b"x", "complex": 1j}

def contents(state):
    return {name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "data": t.double().flatten().tolist()}
            for name, t in state.items()}

written = {}
def save(name, value, state, **options):
    for suffix, zipped in (("", True), (".legacy", False)):
        torch.save(value, f"{folder}/{name}{suffix}", _use_new_zipfile_serialization=zipped, **options)
        written[name + suffix] = contents(state)

save("bare", weights, weights)
for key in ("state_dict", "model", "model_state_dict"):
    save(key, {key: weights, "epoch": 1}, weights)
save("parallel", torch.nn.DataParallel(model).state_dict(), weights)
save("parameters", dict(model.named_parameters()), dict(model.named_parameters()))
for dtype in (torch.float16, torch.bfloat16, torch.float64):
    state = {k: v.to(dtype) for k, v in weights.items()}
    save(str(dtype), state, state)
save("views", views, views)
for protocol in (2, 3, 4):
    save(f"training{protocol}", training, weights, pickle_protocol=protocol)
torch.serialization.set_crc32_options(False)
torch.save(weights, f"{folder}/without-crc")
written["without-crc"] = contents(weights)
print(json.dumps(written))
`;

  test('reads what torch.save writes, bit for bit', async () => {
    expect(Object.keys(written).length).toBeGreaterThan(20);
    for (const [name, contents] of Object.entries(written)) {
      expect(await readAll(path.join(place, name)), name).toEqual(contents);
    }
  });

  test('writes a student that the reference loads strictly', async () => {
    const file = newPath();
    await native(
      loadAddon().createModel({ path: file, architecture: 'student', classes: 3, seed: 2 }),
    );
    const theirs = runPython([
      '-c',
      `
import json, sys, torch
from torch import nn
def block(i, o, pool):
    return [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True), pool]
class StudentModel(nn.Module):
    def __init__(self, classes):
        super().__init__()
        widths = (3, 32, 64, 128, 256)
        self.features = nn.Sequential(*(layer for k in range(4) for layer in block(
            widths[k], widths[k + 1], nn.MaxPool2d(2, 2) if k < 3 else nn.AdaptiveAvgPool2d((1, 1)))))
        self.classifier = nn.Sequential(nn.Linear(256, 128), nn.ReLU(inplace=True), nn.Dropout(0.2),
                                        nn.Linear(128, classes))
model = StudentModel(3)
for mapped in (False, True):
    state = torch.load(sys.argv[1], weights_only=True, mmap=mapped)
    model.load_state_dict(state, strict=True)
print(json.dumps({name: {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "data": t.double().flatten().tolist()}
                  for name, t in state.items()}))
`,
      file,
    ]);
    expect(theirs).toEqual(await readAll(file));
  });

  const teachers = fileURLToPath(new URL('../../../../shared/teachers/', import.meta.url));
  test.skipIf(!existsSync(teachers))('reads real teachers', async () => {
    for (const name of ['hymenoptera-densenet121.pth', 'cifar10-densenet121.pth']) {
      const file = path.join(teachers, name);
      const contents = await inspect(file);
      expect(contents.architecture).toBe('densenet121');
      const names = contents.tensors.map(({ name }) => name);
      const some = names.filter((_, i) => i % 80 === 0);
      const theirs = runPython([
        '-c',
        `
import json, sys, torch
state = torch.load(sys.argv[1], weights_only=True)
print(json.dumps([list(state), [state[name].double().flatten().tolist() for name in sys.argv[2:]]]))
`,
        file,
        ...some,
      ]);
      const mine = await Promise.all(
        some.map(async (name) => Array.from((await readTensor(file, name)).data)),
      );
      expect(theirs).toEqual([names, mine]);
    }
  });
});
