import { describe, expect, test } from 'vitest';
import { changed } from '../../../scripts/soak/graphs/archive.js';
import {
  classify,
  expectRefusal,
  float,
  graphOf,
  int,
  ints,
  type Json,
  node,
  tiny,
  value,
  withCalls,
  write,
} from '../../helpers/hostile.js';

const NOT_ALLOWED = 'calls an operator that is not supported';
const x = { self: value('relu') };

test('the program is answered for as it is, also taken apart and together', async () => {
  const logits = await classify(write(tiny));
  expect(logits.length).toBe(3);
  expect(await classify(write(changed(tiny, {})))).toEqual(logits);
  expect(
    (await classify(write(withCalls(node('mul.Scalar', { ...x, other: int(0) }))))).length,
  ).toBe(3);
});

describe('operators that are not allowed', () => {
  test.each<[string, Json]>([
    ['aten.fft_fft', node('fft_fft.default', x)],
    ['aten.as_strided', node('as_strided.default', { ...x, size: ints(9), stride: ints(-1) })],
    ['aten.set_', node('set_.source_Tensor', { ...x, source: value('x') })],
    ['aten.resize_', node('resize_.default', { ...x, size: ints(1000) })],
    ['aten.empty', node('empty.memory_format', { size: ints(9) })],
    ['aten.new_empty', node('new_empty.default', { ...x, size: ints(9) })],
    ['aten.from_file', node('from_file.default', { filename: { as_string: '/etc/passwd' } })],
    ['aten.bernoulli', node('bernoulli.p', { ...x, p: float(0.5) })],
    ['aten.rand', node('rand.default', { size: ints(9) })],
    ['aten.item', node('item.default', x)],
    ['aten.to_sparse', node('to_sparse.default', x)],
    ['an overload that is not there', node('relu.out', x)],
    ['prim::', node('torch.ops.prim.Print.default', x)],
    ['another library', node('torch.ops.mylib.x.default', x)],
    ['quantized::', node('torch.ops.quantized.linear.default', x)],
    ['a higher-order call', node('torch.ops.higher_order.cond', x)],
    ['a token', node('torch.ops.higher_order.with_effects', x)],
    ['a function of Python', node('os.system', x)],
    ['a name with a line in it', node('relu\nrelu.default', x)],
    ['no name', { ...node('', x), target: '' }],
  ])('%s', (_, call) =>
    expectRefusal(withCalls(call), 'ERR_GRAPH', NOT_ALLOWED, "node 'bad'", 'give a model that is'),
  );
});

describe('graphs that ask for more than calls', () => {
  const argument = (arg: Json) => node('relu.default', { self: arg });
  test.each<[string, Buffer, string]>([
    ['a subgraph', withCalls(argument({ as_graph: { name: 'g', graph: {} } })), 'calls a subgraph'],
    ['a custom object', withCalls(argument({ as_custom_obj: { name: 'o' } })), 'custom object'],
    ['an operator as argument', withCalls(argument({ as_operator: 'aten.relu' })), 'of the kind'],
    [
      'a custom object as input',
      graphOf((_, json) =>
        json.graph_module.signature.input_specs.push({ custom_obj: { arg: {} } }),
      ),
      "an input of the kind 'custom_obj'",
    ],
    [
      'a token as input',
      graphOf((_, json) => json.graph_module.signature.input_specs.push({ token: { arg: {} } })),
      "an input of the kind 'token'",
    ],
    [
      'a loss as output',
      graphOf((_, json) =>
        json.graph_module.signature.output_specs.push({ loss_output: { arg: {} } }),
      ),
      "an output of the kind 'loss_output'",
    ],
    [
      'a mutation of its input as output',
      graphOf((_, json) =>
        json.graph_module.signature.output_specs.push({ user_input_mutation: {} }),
      ),
      "of the kind 'user_input_mutation'",
    ],
  ])('%s', (_, bytes, says) => expectRefusal(bytes, 'ERR_GRAPH', says));
});

describe('changes of weights', () => {
  const fill = (name: string) => node('zero_.default', { self: value(name) });
  const weight = { self: value('p_fc_weight') };
  test.each<[string, Buffer, string]>([
    ['in place', withCalls(fill('p_fc_weight')), "changes 'fc.weight'"],
    [
      'through a view',
      withCalls(node('t.default', weight, [value('v')]), fill('v')),
      "changes 'fc.weight'",
    ],
    [
      'through a part',
      withCalls(
        node('split.Tensor', { ...weight, split_size: int(1) }, [
          { as_tensors: ['a', 'b', 'c'].map((name) => ({ name })) },
        ]),
        fill('a'),
      ),
      'through a view',
    ],
    [
      'through a part whose schema does not say so',
      withCalls(
        node('unsafe_chunk.default', { ...weight, chunks: int(3) }, [
          { as_tensors: ['a', 'b', 'c'].map((name) => ({ name })) },
        ]),
        fill('a'),
      ),
      'through a view',
    ],
    [
      'through a copy that is none',
      withCalls(node('type_as.default', { ...weight, other: value('x') }, [value('v')]), fill('v')),
      'through a view',
    ],
    ['of a literal', withCalls(node('zero_.default', { self: int(3) })), 'changes a literal'],
  ])('%s', (_, bytes, says) => expectRefusal(bytes, 'ERR_GRAPH', says, "node 'bad'"));
});
