import { describe, test } from 'vitest';
import {
  expectRefusal,
  graphOf,
  int,
  ints,
  type Json,
  node,
  value,
  withCalls,
} from '../../helpers/hostile.js';

const x = { self: value('relu') };

describe('values', () => {
  const specs = (json: Json) => json.graph_module.signature.input_specs;
  test.each<[string, Buffer, string]>([
    [
      'that nobody defines',
      withCalls(node('relu.default', { self: value('nobody') })),
      "reads 'nobody'",
    ],
    [
      'in a circle',
      withCalls(node('relu.default', { self: value('bad') })),
      "reads 'bad', which is not computed before",
    ],
    [
      'in a circle of two',
      withCalls(
        node('relu.default', { self: value('other') }),
        node('relu.default', { self: value('bad') }, [value('other')]),
      ),
      "reads 'other'",
    ],
    ['defined twice', withCalls(node('relu.default', x, [value('relu')])), "'relu' twice"],
    ['named as a weight', withCalls(node('relu.default', x, [value('p_fc_bias')])), 'twice'],
    [
      'a number taken for a tensor',
      withCalls(
        node('sym_size.int', { ...x, dim: int(0) }, [{ as_sym_int: { as_name: 's' } }]),
        node('relu.default', { self: value('s') }),
      ),
      "takes 's' for another kind",
    ],
    [
      'a tensor taken for a number',
      withCalls(
        node('select.int', { ...x, dim: int(0), index: { as_sym_int: { as_name: 'relu' } } }),
      ),
      "takes 'relu' for another kind",
    ],
    [
      'too many results',
      withCalls(node('relu.default', x, [value('bad'), value('b')])),
      '2 results',
    ],
    ['no result', withCalls(node('relu.default', x, [])), '0 results'],
    [
      'a list in the place of a tensor',
      withCalls(node('relu.default', { self: { as_tensors: [{ name: 'relu' }] } })),
      "'self' is no Tensor",
    ],
    [
      'a text in the place of a number',
      withCalls(node('mul.Scalar', { ...x, other: { as_string: '1' } })),
      "'other' is no",
    ],
    ['an unknown argument', withCalls(node('relu.default', { ...x, out: value('x') })), "'out'"],
    ['a missing argument', withCalls(node('relu.default', {})), "'self' is missing"],
    ['a number as type', withCalls(node('to.dtype', { ...x, dtype: int(9999) })), "'dtype' is no"],
    [
      'a complex type',
      withCalls(node('to.dtype', { ...x, dtype: { as_scalar_type: 10 } })),
      'a type that is not supported',
    ],
    [
      'a number as memory format',
      withCalls(node('clone.default', { ...x, memory_format: int(77) })),
      "'memory_format' is no",
    ],
    [
      'an unknown memory format',
      withCalls(node('clone.default', { ...x, memory_format: { as_memory_format: 99 } })),
      'memory format',
    ],
    [
      'a sparse layout',
      withCalls(node('zeros.default', { size: ints(2), layout: { as_layout: 1 } })),
      'another layout',
    ],
    [
      'a second input',
      graphOf((_, json) => specs(json).push({ user_input: { arg: value('y') } })),
      'more than one tensor',
    ],
    ['no input', graphOf((_, json) => specs(json).pop()), 'takes no pictures'],
    [
      'a number as input',
      graphOf((_, json) => {
        specs(json).at(-1).user_input.arg = int(3);
      }),
      'other inputs than tensors',
    ],
    [
      'a batch of fixed size',
      graphOf((graph) => {
        graph.tensor_values.x.sizes[0] = int(2);
      }),
      'for batches of 2 alone',
    ],
    [
      'pictures of four channels',
      graphOf((graph) => {
        graph.tensor_values.x.sizes[1] = int(4);
      }),
      'no batch of pictures',
    ],
    [
      'pictures of whole numbers',
      graphOf((graph) => {
        graph.tensor_values.x.dtype = 5;
      }),
      'no batch of pictures',
    ],
    [
      'pictures of a negative size',
      graphOf((graph) => {
        graph.tensor_values.x.sizes = [graph.tensor_values.x.sizes[0], int(3), int(-8), int(-8)];
      }),
      'a side of -8 pixels',
    ],
    [
      'pictures of another size than the graph says',
      graphOf((graph) => {
        graph.tensor_values.x.sizes = [graph.tensor_values.x.sizes[0], int(3), int(16), int(16)];
      }),
      'set imageSize to 16',
    ],
    [
      'no (B, classes) among the outputs',
      graphOf((graph) => {
        graph.tensor_values.linear.sizes.push(int(1));
      }),
      'it is no classifier',
    ],
    [
      'an output that nobody computes',
      graphOf((_, json) => {
        json.graph_module.signature.output_specs[0].user_output.arg = value('nobody');
      }),
      'it is no classifier',
    ],
    [
      'whole numbers as logits',
      graphOf((graph, json) => {
        graph.nodes.push(
          node('argmax.default', {
            self: value('linear'),
            dim: int(1),
            keepdim: { as_bool: true },
          }),
        );
        graph.tensor_values.bad = {
          ...graph.tensor_values.linear,
          sizes: [graph.tensor_values.linear.sizes[0], int(1)],
        };
        json.graph_module.signature.output_specs[0].user_output.arg = value('bad');
      }),
      'is no classifier: for 2 pictures its result is no floating-point',
    ],
    [
      'a weight of no type',
      graphOf((graph) => {
        graph.tensor_values.p_fc_bias.dtype = 0;
      }),
      "'fc.bias' is of a type that is not read",
    ],
    [
      'a weight without a shape',
      graphOf((graph) => {
        delete graph.tensor_values.p_fc_bias;
      }),
      "'fc.bias' has no shape",
    ],
  ])('%s', (_, bytes, says) => expectRefusal(bytes, 'ERR_GRAPH', says));
});
