import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { inspect } from '../../../lib/index.js';
import { readAll, refusedFile, small, smallContents } from '../../helpers/checkpoint.js';
import { type Dtype, legacyStart, pickle, pthBytes, writePth, zip } from '../../helpers/pth.js';
import { refusalOf } from '../../helpers/results.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pth`);

function write(bytes: Buffer | string): string {
  const file = newPath();
  writeFileSync(file, bytes);
  return file;
}

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
      return native(loadAddon().inspect(file, false));
    };
    expect((await contents('{"classes": ["a"]}')).metadata).toBe('{"classes": ["a"]}');
    const error = await refusalOf(contents(' '.repeat(2 ** 20 + 1)));
    expect(error.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect((await native(loadAddon().inspect(write(await pthBytes(small)), false))).metadata).toBe(
      null,
    );
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
    ['functools', 'reduce'],
    ['builtins', 'getattr'],
    ['mine', 'make'],
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
