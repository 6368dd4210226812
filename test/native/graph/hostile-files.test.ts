import { describe, expect, test } from 'vitest';
import {
  archiveOf,
  changed,
  type Headers,
  recordsOf,
} from '../../../scripts/soak/graphs/archive.js';
import {
  classify,
  expectRefusal,
  int,
  type Json,
  jsonOf,
  node,
  tiny,
  value,
  weightOf,
  withCalls,
  write,
} from '../../helpers/hostile.js';
import { pickle, pthBytes, zip } from '../../helpers/pth.js';
import { refusalOf } from '../../helpers/results.js';
import { safetensors } from '../../helpers/safetensors.js';

const NOT_ALLOWED = 'calls an operator that is not supported';
const x = { self: value('relu') };

describe('weights', () => {
  const missing = changed(tiny, { 'data/weights/weight_3': null });
  const cut = changed(tiny, { 'data/weights/weight_3': Buffer.alloc(44) });
  const system = async () => {
    const call = pickle.call(pickle.global('os', 'system'), pickle.text('touch /tmp/owned'));
    const record = await zip({ 'data.pkl': pickle.whole(call) });
    return changed(
      weightOf('fc.weight', (payload) => {
        payload.use_pickle = true;
      }),
      { 'data/weights/weight_3': record },
    );
  };
  const meta = (edit: (meta: Json) => void) =>
    weightOf('fc.weight', ({ tensor_meta }) => edit(tensor_meta));
  test.each<[string, Buffer | (() => Promise<Buffer>), string, string]>([
    ['that are missing', missing, 'CORRUPT', "'data/weights/weight_3' is missing"],
    ['that are cut', cut, 'CORRUPT', "'fc.weight' reaches beyond"],
    ['that call os.system', system, 'UNSAFE', 'os.system'],
    [
      'of another shape',
      meta((it) => {
        it.sizes = [int(4), int(3)];
        it.strides = [int(3), int(1)];
      }),
      'MISMATCH',
      'fc.weight is (4, 3)',
    ],
    [
      'of a negative stride',
      meta((it) => {
        it.strides[0] = int(-1);
      }),
      'CORRUPT',
      'whole number',
    ],
    [
      'of a stride that overflows',
      meta((it) => {
        it.strides[0] = int(2 ** 52);
      }),
      'CORRUPT',
      '',
    ],
    [
      'of a negative offset',
      meta((it) => {
        it.storage_offset = int(-1);
      }),
      'CORRUPT',
      'whole number',
    ],
    [
      'of an offset that overflows',
      meta((it) => {
        it.storage_offset = int(2 ** 52);
      }),
      'CORRUPT',
      '',
    ],
    [
      'of a size larger than the record',
      meta((it) => {
        it.sizes[0] = int(2 ** 40);
      }),
      'CORRUPT',
      'reaches beyond its storage',
    ],
    [
      'of a complex type',
      meta((it) => {
        it.dtype = 10;
      }),
      'FORMAT',
      'type 10',
    ],
    [
      'of a quantized type',
      meta((it) => {
        it.dtype = 14;
      }),
      'FORMAT',
      'type 14',
    ],
    [
      'of another folder',
      weightOf('fc.weight', (payload) => {
        payload.path_name = '../../../etc/passwd';
      }),
      'CORRUPT',
      'is missing',
    ],
    [
      'that are no tensor',
      weightOf('fc.weight', (payload) => {
        payload.tensor_meta = null;
      }),
      'UNSAFE',
      "'fc.weight' as a pickled object",
    ],
  ])('%s', async (_, bytes, code, says) => {
    const whole = typeof bytes === 'function' ? await bytes() : bytes;
    await expectRefusal(whole, `ERR_CHECKPOINT_${code}`, says);
  });

  test('that are booleans or halves are read as their graph wants them', async () => {
    const halves = changed(
      meta((it) => {
        it.dtype = 6;
      }),
      { 'data/weights/weight_3': Buffer.alloc(24) },
    );
    expect((await classify(write(halves))).length).toBe(3);
  });
});

describe('archives and JSON', () => {
  const records = [...recordsOf(tiny)];
  /** The archive with the headers of one record, and perhaps its contents, changed. */
  const packed = (zip: Headers, contents?: Buffer, ending = 'models/model.json') =>
    archiveOf(
      records.map(([name, data]) =>
        name.endsWith(ending) ? [name, contents ?? data, zip] : [name, data],
      ),
    );
  const more = (number: number, zip: Headers = {}) =>
    Array.from({ length: number }, (_, i): [string, Buffer, Headers] => [
      `torch-2.13/x/${i}`,
      Buffer.alloc(zip.stored ? 0 : 1),
      zip,
    ]);
  const graph = (text: string) => changed(tiny, { 'models/model.json': text });
  const spliced = (at: string, text: string) => {
    const json = JSON.stringify(jsonOf(() => {}));
    return graph(json.replace(at, `${text}${at}`));
  };
  test.each<[string, () => Buffer, string, string]>([
    ['compressed', () => packed({ method: 8 }), 'FORMAT', 'is a compressed or encrypted zip'],
    [
      'a bomb of 60 MiB in 60 KB',
      () => packed({ method: 8 }, Buffer.alloc(60 << 20, ' ')),
      'FORMAT',
      'is a compressed or encrypted zip',
    ],
    [
      'a record that says more than it has',
      () => packed({ length: 2 ** 31, stored: 2 ** 31 }),
      'CORRUPT',
      'announces more bytes than it holds',
    ],
    [
      'the same records twice',
      () => archiveOf([...records, ...records]),
      'CORRUPT',
      'two zip records have one name',
    ],
    [
      'a record that lies over another',
      () => packed({ offset: 0 }, undefined, 'weight_3'),
      'CORRUPT',
      'a zip header contradicts the directory',
    ],
    [
      'a directory of 65,000 entries of one record',
      () => archiveOf([...records, ...more(65_000, { offset: 0, stored: 432, length: 432 })]),
      'CORRUPT',
      'a zip header contradicts the directory',
    ],
    [
      'deep JSON',
      () => spliced('"graph_module"', `"deep": ${'['.repeat(1e5)}${']'.repeat(1e5)},`),
      'CORRUPT',
      'nested too deeply',
    ],
    [
      'deep arguments',
      () => spliced('"graph_module"', `"deep": ${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)},`),
      'CORRUPT',
      'nested too deeply',
    ],
    ['65 MiB of JSON', () => graph(' '.repeat(65 << 20)), 'CORRUPT', ''],
    [
      'half a surrogate pair',
      () => spliced('"graph_module"', '"\\ud800": 1,'),
      'CORRUPT',
      'half a surrogate pair',
    ],
    [
      'a string that does not end',
      () => graph(`{"a": "${'x'.repeat(1e6)}`),
      'CORRUPT',
      'ends within a string',
    ],
    [
      'a number that does not end',
      () => spliced('"graph_module"', `"torch_version": ${'9'.repeat(1e6)},`),
      'CORRUPT',
      'JSON',
    ],
    [
      'another version of the schema',
      () =>
        graph(
          JSON.stringify(
            jsonOf((_, json) => {
              json.schema_version.major = 9;
            }),
          ),
        ),
      'FORMAT',
      'version 9',
    ],
    [
      'a schema that is no number',
      () =>
        graph(
          JSON.stringify(
            jsonOf((_, json) => {
              json.schema_version.major = 'x';
            }),
          ),
        ),
      'CORRUPT',
      'whole number',
    ],
    [
      'code that AOTInductor compiled',
      () => changed(tiny, { 'data/aotinductor/model/a.so': 'ELF' }),
      'FORMAT',
      'AOTInductor',
    ],
  ])('%s', (_, bytes, code, says) => expectRefusal(bytes(), `ERR_CHECKPOINT_${code}`, says));

  test('more nodes and arguments than any model has', async () => {
    const nodes = `"nodes":[${'{},'.repeat(100_001)}`;
    const text = JSON.stringify(jsonOf(() => {}));
    await expectRefusal(graph(text.replace('"nodes":[', nodes)), 'ERR_GRAPH', '100,000 nodes');
    const many = withCalls(
      node('sum.dim_IntList', { ...x, dim: { as_ints: Array(250_001).fill(0) } }),
    );
    await expectRefusal(many, 'ERR_GRAPH', '250,000 arguments');
  });

  test('a directory of 65,000 honest entries more is read over', async () => {
    const file = write(archiveOf([...records, ...more(65_000)]));
    expect(await classify(file)).toEqual(await classify(write(tiny)));
  });

  test('a huge name is not printed whole', async () => {
    const file = write(withCalls(node('relu.default', { self: value('n'.repeat(1e6)) })));
    expect((await refusalOf(classify(file))).message.length).toBeLessThan(1000);
  });

  test('beside the weights of other formats', async () => {
    const json = JSON.stringify(
      jsonOf(({ nodes }) => {
        nodes[0].target = 'torch.ops.aten.fft_fft.default';
      }),
    );
    const tensors = { w: { shape: [1], data: [1] } };
    await expectRefusal(
      await pthBytes(tensors, { records: { 'graph.json': json } }),
      'ERR_GRAPH',
      NOT_ALLOWED,
    );
    await expectRefusal(
      safetensors(
        { w: { dtype: 'F32', shape: [1], data: Float32Array.of(1) } },
        { 'graph.json': json },
      ),
      'ERR_GRAPH',
      NOT_ALLOWED,
    );
  });
});
