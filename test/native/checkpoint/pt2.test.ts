import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { inspect } from '../../../lib/index.js';
import { readAll, readTensor, refusedFile } from '../../helpers/checkpoint.js';
import { emptyGraph, floats, payload, weightsConfig, writePt2 } from '../../helpers/pt2.js';
import { pickle, pthBytes, zip } from '../../helpers/pth.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-pt2-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = () => path.join(folder, `${++files}.pt2`);
const readGraph = (file: string) => native(loadAddon().readGraph(file));

const fixtures = fileURLToPath(new URL('../../fixtures/pt2', import.meta.url));
const expected = JSON.parse(readFileSync(path.join(fixtures, 'expected.json'), 'utf8'));

describe('files of other versions of PyTorch', () => {
  const versions = readdirSync(fixtures).filter((name) => name.endsWith('.pt2'));

  test.each(versions)('reads weights, constants and graph of %s', async (name) => {
    const file = path.join(fixtures, name);
    expect((await inspect(file)).format).toBe('pt2');
    expect(await readAll(file)).toEqual(expected.state);
    for (const [constant, { shape, data }] of Object.entries<{ shape: number[]; data: number[] }>(
      expected.constants,
    )) {
      const read = await readTensor(file, constant);
      expect(read.shape).toEqual(shape);
      expect(Array.from(read.data)).toEqual(data);
    }
    const graph = JSON.parse(await readGraph(file));
    expect(graph.schema_version.major).toBe(8);
    expect(graph.graph_module.signature.input_specs.length).toBe(11);
  });
});

describe('reading an exported program', () => {
  test('gives the tensors in the order of the file, and the graph as it stands there', async () => {
    const file = await writePt2(newPath());
    expect(await readAll(file)).toEqual({
      'fc.weight': { shape: [2, 3], dtype: 'float32', data: [1, 2, 3, 4, 5, 6] },
      'fc.bias': { shape: [2], dtype: 'float32', data: [7, 8] },
    });
    expect(await readGraph(file)).toBe(JSON.stringify(emptyGraph));
  });

  test('follows strides, offsets and storages that tensors share', async () => {
    const sizes = (...values: number[]) => values.map((value) => ({ as_int: value }));
    const file = await writePt2(newPath(), {
      ...weightsConfig({
        whole: payload('weight_0', [2, 3]),
        turned: payload('weight_0', [3, 2], { strides: sizes(1, 3) }),
        last: payload('weight_0', [2], { storage_offset: { as_int: 4 } }),
        none: payload('weight_2', [0, 3]),
      }),
      'data/weights/weight_2': '',
    });
    const read = await readAll(file);
    expect(read.turned?.data).toEqual([1, 4, 2, 5, 3, 6]);
    expect(read.last?.data).toEqual([5, 6]);
    expect(read.none?.data).toEqual([]);
  });

  test.each([
    [1, 'uint8', Buffer.of(3, 4)],
    [5, 'int64', Buffer.from(BigInt64Array.of(3n, 4n).buffer)],
    [6, 'float16', Buffer.from(Uint16Array.of(0x4200, 0x4400).buffer)],
    [8, 'float64', Buffer.from(Float64Array.of(3, 4).buffer)],
    [13, 'bfloat16', Buffer.from(Uint16Array.of(0x4040, 0x4080).buffer)],
  ])('reads the type %i of the schema, %s', async (dtype, name, bytes) => {
    const file = await writePt2(newPath(), {
      ...weightsConfig({ w: payload('weight_0', [2], { dtype }) }),
      'data/weights/weight_0': bytes,
    });
    expect(await readAll(file)).toEqual({ w: { shape: [2], dtype: name, data: [3, 4] } });
  });

  test('keeps names as the module has them, since its graph refers to them', async () => {
    const file = await writePt2(newPath(), weightsConfig({ 'module.w': payload('weight_1', [2]) }));
    expect(Object.keys(await readAll(file))).toEqual(['module.w']);
  });

  test('reads weights and constants that torch.save wrote into the archive', async () => {
    const tensors = (more: object) => pthBytes({ ...more });
    const file = await writePt2(newPath(), {
      'data/weights/model.pt': await tensors({ w: { shape: [2], data: [1, 2] } }),
      'data/constants/model.pt': await tensors({ c: { shape: [1], data: [3] } }),
    });
    expect(await readAll(file)).toEqual({ w: { shape: [2], dtype: 'float32', data: [1, 2] } });
    expect(Array.from((await readTensor(file, 'c')).data)).toEqual([3]);
  });

  test('takes any name of a single model', async () => {
    const file = await writePt2(newPath(), {
      'models/model.json': null,
      'models/other.json': JSON.stringify(emptyGraph),
      'data/weights/other_weights_config.json': '{"config": {}}',
      'data/constants/other_constants_config.json': '{"config": {}}',
    });
    expect((await inspect(file)).tensors).toEqual([]);
  });
});

describe('refusing', () => {
  const custom = {
    path_name: 'custom_obj_0',
    is_param: false,
    use_pickle: true,
    tensor_meta: null,
  };
  const graphOf = (major: number) =>
    JSON.stringify({ ...emptyGraph, schema_version: { major, minor: 1 }, torch_version: '3.1.0' });

  test.each<[string, Record<string, Buffer | string | null>, string, string]>([
    [
      'several models',
      { 'models/second.json': '{}' },
      'ERR_CHECKPOINT_FORMAT',
      "2 exported programs, 'model', 'second'",
    ],
    ['no model', { 'models/model.json': null }, 'ERR_CHECKPOINT_FORMAT', 'no exported program'],
    [
      'compiled code',
      { 'data/aotinductor/model/a.so': 'ELF' },
      'ERR_CHECKPOINT_FORMAT',
      'code that AOTInductor compiled',
    ],
    [
      'a program of ExecuTorch',
      { 'data/executorch/model.pte': 'ET' },
      'ERR_CHECKPOINT_FORMAT',
      'a program of ExecuTorch',
    ],
    ['another format', { archive_format: 'pt3' }, 'ERR_CHECKPOINT_FORMAT', "'pt3'"],
    ['a newer archive', { archive_version: '1' }, 'ERR_CHECKPOINT_FORMAT', "version '1'"],
    ['big-endian numbers', { byteorder: 'big' }, 'ERR_CHECKPOINT_FORMAT', 'big-endian'],
    [
      'a newer schema',
      { 'models/model.json': graphOf(9) },
      'ERR_CHECKPOINT_FORMAT',
      'written by PyTorch 3.1.0 with version 9',
    ],
    ['an older schema', { 'models/model.json': graphOf(7) }, 'ERR_CHECKPOINT_FORMAT', 'version 7'],
    ['no schema', { 'models/model.json': '{}' }, 'ERR_CHECKPOINT_CORRUPT', 'schema_version'],
    ['no JSON', { 'models/model.json': '{"a": }' }, 'ERR_CHECKPOINT_CORRUPT', 'JSON'],
    [
      'a graph that nests deeply',
      { 'models/model.json': `{"a": ${'['.repeat(100_000)}` },
      'ERR_CHECKPOINT_CORRUPT',
      'nested too deeply',
    ],
    [
      'no description of the weights',
      { 'data/weights/model_weights_config.json': null },
      'ERR_CHECKPOINT_CORRUPT',
      "'data/weights/model_weights_config.json' is missing",
    ],
    [
      'weights that are missing',
      { 'data/weights/weight_1': null },
      'ERR_CHECKPOINT_CORRUPT',
      "'data/weights/weight_1' is missing",
    ],
    [
      'weights cut short',
      { 'data/weights/weight_0': floats([1, 2, 3, 4, 5]) },
      'ERR_CHECKPOINT_CORRUPT',
      "'fc.weight' reaches beyond its storage",
    ],
    [
      'half a number',
      { 'data/weights/weight_1': Buffer.alloc(11) },
      'ERR_CHECKPOINT_CORRUPT',
      "'fc.bias' reaches beyond its storage",
    ],
    [
      'weights without bytes',
      { 'data/weights/weight_1': '' },
      'ERR_CHECKPOINT_CORRUPT',
      "'fc.bias' reaches beyond its storage",
    ],
    [
      'an object',
      weightsConfig({ 'fc.weight': custom }),
      'ERR_CHECKPOINT_UNSAFE',
      "'fc.weight' as a pickled object",
    ],
    [
      'an object among the constants',
      {
        'data/constants/model_constants_config.json': JSON.stringify({ config: { obj: custom } }),
        'data/constants/custom_obj_0': 'PK',
      },
      'ERR_CHECKPOINT_UNSAFE',
      "'obj' as a pickled object",
    ],
    [
      'a pickle that is none',
      weightsConfig({ w: payload('weight_0', [2, 3], { use_pickle: true }) }),
      'ERR_CHECKPOINT_CORRUPT',
      'zip',
    ],
    [
      'a sparse tensor',
      weightsConfig({ w: payload('weight_0', [2, 3], { layout: 1 }) }),
      'ERR_CHECKPOINT_FORMAT',
      'a sparse tensor',
    ],
    [
      'a type of eight bits',
      weightsConfig({ w: payload('weight_0', [2, 3], { dtype: 29 }) }),
      'ERR_CHECKPOINT_FORMAT',
      'type 29',
    ],
    [
      'a symbol as a size',
      weightsConfig({
        w: payload('weight_0', [2, 3], {
          sizes: [{ as_expr: { expr_str: 's0', hint: null } }, { as_int: 3 }],
        }),
      }),
      'ERR_CHECKPOINT_CORRUPT',
      'a size that is no number',
    ],
    [
      'a size that overflows',
      weightsConfig({ w: payload('weight_0', [2 ** 33, 2 ** 31]) }),
      'ERR_CHECKPOINT_CORRUPT',
      'reaches beyond its storage',
    ],
    [
      'a negative stride',
      weightsConfig({ w: payload('weight_1', [2], { strides: [{ as_int: -1 }] }) }),
      'ERR_CHECKPOINT_CORRUPT',
      'whole number',
    ],
    [
      'an offset beyond the storage',
      weightsConfig({ w: payload('weight_1', [2], { storage_offset: { as_int: 1 } }) }),
      'ERR_CHECKPOINT_CORRUPT',
      'reaches beyond its storage',
    ],
    [
      'a name twice',
      weightsConfig({ scale: payload('weight_1', [2]) }),
      'ERR_CHECKPOINT_CORRUPT',
      "'scale' twice",
    ],
  ])('%s', async (_, records, code, reason) => {
    const error = await refusedFile(await writePt2(newPath(), records));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(reason)]);
  });

  test('a name of any length, which each entry of a small pickle could repeat', async () => {
    const whole = pickle.whole(pickle.dict(pickle.text('x'.repeat(257)), pickle.none));
    const file = newPath();
    const records = {
      'serialized_exported_program.json': JSON.stringify(emptyGraph),
      'serialized_state_dict.pt': await zip({ 'data.pkl': whole }),
    };
    writeFileSync(file, await zip(records, { folder: 'model/' }));
    expect(await refusedFile(file)).toMatchObject({
      code: 'ERR_CHECKPOINT_CORRUPT',
      message: expect.stringContaining('has a key that is no name'),
    });
  });

  test('a tensor subclass, which only its code could restore', async () => {
    const whole = pickle.whole(pickle.call(pickle.global('torchao', 'Int8Tensor'), pickle.int(1)));
    const file = await writePt2(newPath(), {
      ...weightsConfig({ w: payload('weight_0', [1], { use_pickle: true }) }),
      'data/weights/weight_0': await zip({ 'data.pkl': whole }),
    });
    expect(await refusedFile(file)).toMatchObject({
      code: 'ERR_CHECKPOINT_UNSAFE',
      message: expect.stringContaining(
        "'data/weights/weight_0' as a pickled object that is no dense tensor",
      ),
    });
  });

  test('many tensors that each show a large part of one storage', async () => {
    const entries = Array.from({ length: 5 }, (_, i) => [
      `w${i}`,
      payload('weight_0', [2 ** 22], { strides: [{ as_int: 0 }] }),
    ]);
    const file = await writePt2(newPath(), weightsConfig(Object.fromEntries(entries)));
    const { message } = await refusedFile(file);
    expect(message).toContain('many times larger than the file');
  });

  test('weights whose CRC-32 does not match, and a graph', async () => {
    const file = await writePt2(newPath());
    const bytes = readFileSync(file);
    for (const [marker, record] of [
      [floats([7, 8]), 'data/weights/weight_1'],
      [floats([9]), 'data/constants/tensor_0'],
      [Buffer.from('2.13.0'), 'models/model.json'],
    ] as const) {
      const damaged = Buffer.from(bytes);
      const at = damaged.indexOf(marker);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      const other = newPath();
      writeFileSync(other, damaged);
      const { code, message } = await refusedFile(other);
      expect(code).toBe('ERR_CHECKPOINT_CORRUPT');
      expect(message).toContain(`the CRC-32 of its record '${record}' does not match`);
    }
  });
});

describe('a graph beside the weights of another file', () => {
  test('is read from a .pth and is no other metadata', async () => {
    const graph = JSON.stringify({ ...emptyGraph, padding: 'x'.repeat(2 ** 21) });
    const file = newPath();
    const tensors = { w: { shape: [1], data: [1] } };
    writeFileSync(file, await pthBytes(tensors, { records: { 'graph.json': graph } }));
    expect(await readGraph(file)).toBe(graph);
    expect((await inspect(file)).format).toBe('zip');
  });

  const withConstants = async (constants: string) => {
    const file = newPath();
    const records = { 'graph.json': JSON.stringify(emptyGraph), 'constants.json': constants };
    writeFileSync(file, await pthBytes({ w: { shape: [1], data: [1] } }, { records }));
    return file;
  };
  const data = floats([1, 2, 3]).toString('base64');

  test('brings the constants that it reads', async () => {
    const file = await withConstants(`{"a": {"dtype": 7, "sizes": [3, 1], "data": "${data}"}}`);
    const read = await readTensor(file, 'a');
    expect([read.shape, Array.from(read.data)]).toEqual([
      [3, 1],
      [1, 2, 3],
    ]);
  });

  test.each([
    ['no object', '[]'],
    ['sizes beyond the data', `{"a": {"dtype": 7, "sizes": [4], "data": "${data}"}}`],
    ['sizes that overflow', `{"a": {"dtype": 7, "sizes": [${2 ** 40}, ${2 ** 40}], "data": ""}}`],
    ['no base64', '{"a": {"dtype": 7, "sizes": [], "data": "AAA*"}}'],
    ['half a group', '{"a": {"dtype": 1, "sizes": [1], "data": "AAAAA"}}'],
    ['an unknown type', `{"a": {"dtype": 99, "sizes": [3], "data": "${data}"}}`],
    ['no sizes', `{"a": {"dtype": 7, "data": "${data}"}}`],
    [
      'a name twice',
      `{"a": {"dtype": 7, "sizes": [3], "data": "${data}"}, "a": {"dtype": 7, "sizes": [3], "data": "${data}"}}`,
    ],
  ])('with constants of %s is refused', async (_, constants) => {
    expect((await refusedFile(await withConstants(constants))).code).toBe('ERR_CHECKPOINT_CORRUPT');
  });
});
