// Seeded mutations of exported programs: of the archive's bytes, of its JSON, and of the graph as PyTorch means it.
import { random } from '../../random.js';
import { archiveOf, recordName, recordsOf } from './archive.js';

/** @typedef {import('../../random.js').Draw} Draw */
/** @typedef {{ target: string, arguments: [string, string, boolean][], results: string[] }} Operator */

/** @template T @param {Draw} draw @param {readonly T[]} items @returns {T} */
const one = (draw, items) => /** @type {T} */ (items[draw(items.length)]);

// Written as text, since JavaScript's numbers are not whole beyond 2^53.
const EXTREMES = [
  ...['0', '-1', '1', '2', '3', '7', '64', '255', '65536', '2147483647', '2147483648'],
  ...['-2147483648', '4294967296', '1000000000000000000', '9223372036854775807'],
  ...['-9223372036854775807', '4611686018427387904'],
];
const FRACTIONS = ['0.0', '1.0', '-1.0', '0.5', '1e-320', '1e-30', '1e30', '1e308', '"NaN"'];
const INFINITE = ['"Infinity"', '"-Infinity"', 'NaN'];
const WORDS = ['', 'same', 'valid', 'floor', 'trunc', 'none', 'tanh', 'constant', 'reflect'];
const MORE_WORDS = [
  'circular',
  'ij',
  'xy',
  'ab,bc->ac',
  '...i,ij->...j',
  'aa->a',
  '\u2028',
  '%s%n',
];

/** A number that JSON.stringify writes as this text. @param {string} text */
const raw = (text) => `\u0001${text}\u0001`;
/** Keeps numbers as text that are not whole in JavaScript. @param {string} text */
const parse = (text) =>
  JSON.parse(text.replace(/(?<=[:[,] ?)-?\d{16,}(?=[,\]}])/g, '"\\u0001$&\\u0001"'));
/** @param {unknown} json */
const textOf = (json) =>
  JSON.stringify(json).replace(/"\\u0001(.*?)\\u0001"/g, (_, text) => text.replaceAll('\\"', '"'));

/**
 * Returns a mutation of an archive.
 *
 * @param {Buffer} whole
 * @param {readonly Operator[]} operators All that a graph may call.
 * @param {number} seed
 * @returns {{ kind: string, bytes: Buffer }} kind: 'bytes' where the records' contents are as they were, or damaged.
 */
export function mutation(whole, operators, seed) {
  const draw = random(seed);
  const kind = one(draw, [
    'bytes',
    'bytes',
    'text',
    'tree',
    'tree',
    'tree',
    'calls',
    'calls',
    'calls',
    'calls',
  ]);
  if (kind === 'bytes') return { kind, bytes: damaged(whole, draw) };
  const records = recordsOf(whole);
  /** @type {Map<string, any>} */
  const parsed = new Map();
  const jsonOf = (/** @type {string} */ ending) => {
    const name = recordName(records, ending);
    if (!parsed.has(name)) parsed.set(name, parse(String(records.get(name))));
    return parsed.get(name);
  };
  for (let changes = draw(kind === 'text' ? 1 : 3); changes >= 0; changes--) {
    if (kind === 'text') changeText(records, draw);
    else if (kind === 'tree') changeTree(jsonOf(anyJson(draw)), draw);
    else changeCalls(jsonOf('models/model.json'), draw, operators);
  }
  for (const [name, json] of parsed) records.set(name, Buffer.from(textOf(json)));
  return { kind, bytes: archiveOf(records) };
}

/** @param {Buffer} bytes @param {Draw} draw */
function damaged(bytes, draw) {
  const directory = bytes.lastIndexOf('PK\x05\x06');
  const begin = bytes.readUInt32LE(directory + 16);
  let copy = Buffer.from(bytes);
  for (let changes = draw(3); changes >= 0; changes--) {
    // Every other change is to the directory, which no checksum guards.
    const at = draw(2) ? draw(copy.length) : begin + draw(bytes.length - begin);
    if (at >= copy.length) continue;
    const change = draw(8);
    if (change === 0) copy = copy.subarray(0, at + 1);
    else if (change === 1)
      copy = Buffer.concat([copy.subarray(0, at), copy.subarray(draw(copy.length))]);
    else if (change < 5) copy[at] = one(draw, [0, 1, 0x7f, 0x80, 0xff, draw(256)]);
    else if (at + 4 <= copy.length)
      copy.writeUInt32LE(one(draw, [0, 1, 0x7fffffff, 0xffffffff, draw(1 << 20)]), at);
  }
  return copy;
}

/** @param {Draw} draw */
const anyJson = (draw) =>
  one(draw, [
    ...Array(5).fill('models/model.json'),
    'weights_config.json',
    'constants_config.json',
  ]);

/** Changes characters of a record's JSON. @param {Map<string, Buffer>} records @param {Draw} draw */
function changeText(records, draw) {
  const name = recordName(records, anyJson(draw));
  const text = Buffer.from(/** @type {Buffer} */ (records.get(name)));
  const at = draw(text.length);
  const change = draw(5);
  if (change === 0) text[at] = one(draw, [...Buffer.from('{}[]",:0-e\\ \n\0'), 0xff, draw(256)]);
  else if (change === 1) text.copy(text, at, draw(text.length), draw(text.length));
  const other = [
    () => text.subarray(0, at),
    () =>
      Buffer.from(
        text
          .toString('latin1')
          .replace(/\d+/g, (digits) => (draw(200) ? digits : one(draw, EXTREMES))),
        'latin1',
      ),
  ];
  records.set(name, change < 2 ? text : one(draw, other)());
}

/** Changes values anywhere in a record's JSON. @param {any} json @param {Draw} draw */
function changeTree(json, draw) {
  /** @type {[any, string][]} */
  const places = [];
  /** @type {string[]} */
  const strings = [];
  const walk = (/** @type {any} */ value) => {
    if (typeof value === 'string') strings.push(value);
    if (value === null || typeof value !== 'object') return;
    for (const key of Object.keys(value)) {
      if (key === 'metadata') continue;
      places.push([value, key]);
      walk(value[key]);
    }
  };
  walk(json);
  if (places.length > 0) {
    const [holder, key] = one(draw, places);
    const value = holder[key];
    const change = draw(10);
    if (change < 5 && typeof value === 'number') {
      holder[key] = raw(
        one(draw, Number.isInteger(value) ? EXTREMES : [...FRACTIONS, ...INFINITE]),
      );
    } else if (change < 5 && typeof value === 'string') {
      holder[key] = one(draw, strings);
    } else if (change === 5) {
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
    } else if (change === 6) {
      const [other, otherKey] = one(draw, places);
      [holder[key], other[otherKey]] = [structuredClone(other[otherKey]), value];
    } else if (change === 7 && Array.isArray(holder)) {
      holder.splice(draw(holder.length + 1), 0, structuredClone(value));
    } else if (change === 8) {
      holder[key] = one(draw, [
        null,
        true,
        {},
        [],
        'x',
        raw(one(draw, EXTREMES)),
        [[[]]],
        { as_int: 1 },
      ]);
    } else {
      holder[key] = structuredClone(one(draw, places)[0]);
    }
  }
}

/**
 * Changes what the graph calls: other operators with the same arguments, or further calls with any arguments, whose
 * results go into what the model computes.
 *
 * @param {any} json @param {Draw} draw @param {readonly Operator[]} operators
 */
function changeCalls(json, draw, operators) {
  const { nodes } = json.graph_module.graph;
  if (draw(8) === 0) {
    one(draw, /** @type {any[]} */ (nodes)).target = one(draw, operators).target;
  } else {
    insertCalls(json, draw, operators);
  }
}

/** @param {any} json @param {Draw} draw @param {readonly Operator[]} operators */
function insertCalls(json, draw, operators) {
  const { nodes } = json.graph_module.graph;
  const at = draw(nodes.length);
  const given = json.graph_module.signature.input_specs.map(
    (/** @type {any} */ spec) => /** @type {any} */ (Object.values(spec)[0]).arg,
  );
  /** @type {string[]} */
  const tensors = given.map((/** @type {any} */ arg) => arg.name ?? arg.as_tensor.name);
  for (const node of nodes.slice(0, at)) {
    for (const { as_tensor } of node.outputs) if (as_tensor) tensors.push(as_tensor.name);
  }
  const images = /** @type {string} */ (tensors[given.length - 1]);
  const prefix = `m${nodes.length}_`;
  /** @type {any[]} */
  const calls = [];
  const fresh = () => `${prefix}${calls.length}`;
  const add = (/** @type {string} */ target, /** @type {[string, any][]} */ inputs) => {
    const result = fresh();
    const named = inputs.map(([argument, arg]) => ({ name: argument, arg, kind: 1 }));
    calls.push({
      target: `torch.ops.aten.${target}`,
      inputs: named,
      outputs: [{ as_tensor: { name: result } }],
      metadata: {},
      name: result,
    });
    return result;
  };
  const tensor = (/** @type {string} */ value) => ({ as_tensor: { name: value } });
  let last = one(draw, tensors);
  for (let left = draw(3); left >= 0; left--) {
    const operator = one(draw, operators);
    const inputs = argumentsOf(operator, draw, () => (draw(3) ? last : one(draw, tensors)));
    const result = fresh();
    const outputs = resultsOf(operator, result, draw);
    calls.push({ target: operator.target, inputs, outputs, metadata: {}, name: result });
    last = outputs[0]?.as_tensor?.name ?? outputs[0]?.as_tensors?.[0]?.name ?? last;
  }
  const float = add('to.dtype', [
    ['self', tensor(last)],
    ['dtype', { as_scalar_type: 7 }],
  ]);
  const mean = add('mean.default', [['self', tensor(float)]]);
  const clean = add('nan_to_num.default', [
    ['self', tensor(mean)],
    ['nan', { as_float: 0.5 }],
  ]);
  const small = add('clamp.default', [
    ['self', tensor(clean)],
    ['min', { as_float: -1 }],
    ['max', { as_float: 1 }],
  ]);
  const node = nodes[at];
  // The first call that takes a value takes its sum with the new ones' result.
  const argument = node.inputs.find((/** @type {any} */ each) => each.arg.as_tensor);
  const target = argument?.arg.as_tensor.name ?? images;
  const sum = add('add.Tensor', [
    ['self', tensor(target)],
    ['other', tensor(small)],
  ]);
  if (argument) argument.arg = tensor(sum);
  nodes.splice(at, 0, ...calls);
}

/** @param {Operator} operator @param {string} result @param {Draw} draw @returns {any[]} */
function resultsOf(operator, result, draw) {
  if (operator.results[0]?.startsWith('List')) {
    const count = one(draw, [1, 2, 3, 8, 16]);
    return [{ as_tensors: Array.from({ length: count }, (_, i) => ({ name: `${result}_${i}` })) }];
  }
  return operator.results.map((_, i) => ({ as_tensor: { name: i ? `${result}_${i}` : result } }));
}

/** @param {Operator} operator @param {Draw} draw @param {() => string} value */
function argumentsOf(operator, draw, value) {
  const inputs = [];
  for (const [name, type, hasDefault] of operator.arguments) {
    if (hasDefault && draw(2)) continue;
    inputs.push({ name, arg: argumentOf(type, draw, value), kind: 1 });
  }
  return inputs;
}

// Numbers that fit small pictures more often than not.
/** @param {Draw} draw */
const whole = (draw) => raw(draw(4) ? String(draw(5) - 1) : one(draw, EXTREMES));
/** @param {Draw} draw */
const fraction = (draw) => raw(draw(2) ? '0.5' : one(draw, [...FRACTIONS, ...INFINITE]));

/** @param {string} type @param {Draw} draw @param {() => string} value @returns {any} */
function argumentOf(type, draw, value) {
  const inner = /^(?:Optional|List)\[(.*)\]$/.exec(type)?.[1];
  if (type.startsWith('Optional')) {
    return draw(3) ? argumentOf(/** @type {string} */ (inner), draw, value) : { as_none: true };
  }
  if (type.startsWith('List')) {
    const items = Array.from({ length: one(draw, [0, 1, 2, 2, 2, 3, 4, 4, 6]) });
    switch (inner) {
      case 'int':
        return { as_ints: items.map(() => whole(draw)) };
      case 'float':
        return { as_floats: items.map(() => fraction(draw)) };
      case 'bool':
        return { as_bools: items.map(() => draw(2) === 1) };
      case 'Tensor':
        return { as_tensors: items.map(() => ({ name: value() })) };
      default:
        return {
          as_optional_tensors: items.map(() =>
            draw(2) ? { as_tensor: { name: value() } } : { as_none: true },
          ),
        };
    }
  }
  switch (type) {
    case 'Tensor':
      return draw(12) ? { as_tensor: { name: value() } } : { as_int: whole(draw) };
    case 'int':
      return { as_int: whole(draw) };
    case 'float':
      return { as_float: fraction(draw) };
    case 'bool':
      return { as_bool: draw(2) === 1 };
    case 'number':
      return draw(2) ? { as_int: whole(draw) } : { as_float: fraction(draw) };
    case 'str':
      return { as_string: one(draw, [...WORDS, ...MORE_WORDS]) };
    case 'ScalarType':
      return { as_scalar_type: draw(16) };
    case 'MemoryFormat':
      return { as_memory_format: draw(6) };
    case 'Layout':
      return { as_layout: one(draw, [7, 7, 1]) };
    default:
      return { as_device: { type: one(draw, ['cpu', 'cuda', 'meta']), index: null } };
  }
}
