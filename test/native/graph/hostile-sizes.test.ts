import { describe, expect, test } from 'vitest';
import {
  classify,
  expectRefusal,
  float,
  int,
  ints,
  type Json,
  node,
  value,
  withCalls,
  write,
} from '../../helpers/hostile.js';

const x = { self: value('relu') };

describe('sizes and numbers', () => {
  const huge = '1000000000000000000';
  const size = (name: string) => ({ as_sym_int: { as_name: name } });
  const compute = (operator: string, a: Json, b: Json) =>
    node(`_operator.${operator}`, { a, b }, [size('s')]);
  const bySize = node('full.default', {
    size: { as_sym_ints: [{ as_name: 's' }] },
    fill_value: int(1),
  });
  test.each<[string, Json[], string]>([
    ['repeat', [node('repeat.default', { ...x, repeats: ints(1, 1, 1, huge) })], "'repeats'"],
    [
      'repeat, of a product that overflows',
      [node('repeat.default', { ...x, repeats: ints(2147483647, 2147483647, 1, 1) })],
      '',
    ],
    [
      'expand, without memory',
      [node('expand.default', { self: value('c_std'), size: ints(huge, 3, 1, 1) })],
      'elements, more than any classifier needs',
    ],
    ['full', [node('full.default', { size: ints(huge), fill_value: int(1) })], ''],
    [
      'full, of what memory could hold',
      [node('full.default', { size: ints(1_500_000_000), fill_value: int(1) })],
      'more memory than any classifier',
    ],
    [
      'full, of a negative size',
      [node('full.default', { size: ints(-5), fill_value: int(1) })],
      '',
    ],
    [
      'full, of a product that overflows',
      [node('full.default', { size: ints(4294967296, 4294967296), fill_value: int(1) })],
      '',
    ],
    ['pad', [node('pad.default', { ...x, pad: ints(huge, 0) })], "'pad'"],
    [
      'pad, to less than nothing',
      [node('reflection_pad2d.default', { ...x, padding: ints(-9, -9, -9, -9) })],
      '',
    ],
    ['arange', [node('arange.default', { end: int(huge) })], ''],
    [
      'arange without a step',
      [node('arange.start_step', { start: int(0), end: int(9), step: int(0) })],
      '',
    ],
    ['arange to infinity', [node('arange.default', { end: float('Infinity') })], ''],
    ['linspace', [node('linspace.default', { start: int(0), end: int(1), steps: int(huge) })], ''],
    ['eye', [node('eye.default', { n: int(2147483647) })], ''],
    [
      'one_hot',
      [
        node('argmax.default', { ...x, dim: int(1) }, [value('i')]),
        node('one_hot.default', { self: value('i'), num_classes: int(huge) }),
      ],
      "'num_classes'",
    ],
    [
      'upsample',
      [node('upsample_nearest2d.default', { ...x, output_size: ints(huge, huge) })],
      "'output_size'",
    ],
    [
      'upsample by a factor that is none',
      [
        node('upsample_nearest2d.default', {
          ...x,
          output_size: ints(16, 16),
          scales_h: float(1e-320),
          scales_w: float(1e-320),
        }),
      ],
      "'scales_h'",
    ],
    [
      'upsample by no number',
      [
        node('upsample_bilinear2d.default', {
          ...x,
          output_size: ints(16, 16),
          align_corners: { as_bool: false },
          scales_h: float('NaN'),
        }),
      ],
      "'scales_h'",
    ],
    [
      'upsample by infinity',
      [
        node('upsample_nearest2d.vec', {
          input: value('relu'),
          output_size: { as_none: true },
          scale_factors: { as_floats: ['Infinity', 1] },
        }),
      ],
      "'scale_factors'",
    ],
    [
      'a stride of 0',
      [
        node('conv2d.default', {
          input: value('relu'),
          weight: value('p_conv_weight'),
          stride: ints(0, 0),
        }),
      ],
      "'stride'",
    ],
    [
      'a negative stride',
      [node('max_pool2d.default', { ...x, kernel_size: ints(2), stride: ints(-1) })],
      "'stride'",
    ],
    [
      'a pooling without a stride',
      [node('avg_pool2d.default', { ...x, kernel_size: ints(2), stride: ints(0) })],
      "'stride'",
    ],
    [
      'no groups',
      [
        node('conv2d.default', {
          input: value('div'),
          weight: value('p_conv_weight'),
          groups: int(0),
        }),
      ],
      "'groups'",
    ],
    [
      'a dilation of 0',
      [
        node('conv2d.default', {
          input: value('div'),
          weight: value('p_conv_weight'),
          dilation: ints(0, 0),
        }),
      ],
      "'dilation'",
    ],
    [
      'a kernel of 0',
      [node('max_pool2d.default', { ...x, kernel_size: ints(0, 0) })],
      "'kernel_size'",
    ],
    [
      'a kernel of 2^40',
      [node('avg_pool2d.default', { ...x, kernel_size: ints(1099511627776) })],
      '',
    ],
    [
      'a padding of 2^60',
      [
        node('conv2d.default', {
          input: value('div'),
          weight: value('p_conv_weight'),
          padding: ints('1152921504606846976'),
        }),
      ],
      "'padding'",
    ],
    [
      'no groups of channels',
      [node('channel_shuffle.default', { ...x, groups: int(0) })],
      "'groups'",
    ],
    [
      'a factor of 0',
      [node('pixel_shuffle.default', { ...x, upscale_factor: int(0) })],
      "'upscale_factor'",
    ],
    [
      'norms of no groups',
      [node('group_norm.default', { input: value('relu'), num_groups: int(0) })],
      '',
    ],
    ['a step of 0', [node('slice.Tensor', { ...x, step: int(0) })], "'step'"],
    [
      'an unfolding without a step',
      [node('unfold.default', { ...x, dimension: int(2), size: int(2), step: int(0) })],
      "'step'",
    ],
    [
      'more parts than results',
      [
        node('split.Tensor', { self: value('x'), split_size: int(1), dim: int(2) }, [
          { as_tensors: [{ name: 'bad' }] },
        ]),
      ],
      'into 8 parts and has 1 results',
    ],
    [
      'parts of size 0',
      [
        node('split.Tensor', { self: value('x'), split_size: int(0) }, [
          { as_tensors: [{ name: 'bad' }] },
        ]),
      ],
      '',
    ],
    [
      'an index beyond its dimension',
      [node('select.int', { ...x, dim: int(1), index: int(99) })],
      '',
    ],
    [
      'a dimension beyond all',
      [node('select.int', { ...x, dim: int('9223372036854775807'), index: int(0) })],
      '',
    ],
    [
      'an embedding beyond its table',
      [
        node('argmax.default', x, [value('i')]),
        node('mul.Scalar', { self: value('i'), other: int(1000) }, [value('j')]),
        node('add.Scalar', { self: value('j'), other: int(1000) }, [value('k')]),
        node('embedding.default', { weight: value('p_fc_weight'), indices: value('k') }),
      ],
      '',
    ],
    [
      'a negative index of an embedding',
      [
        node('argmax.default', x, [value('i')]),
        node('sub.Scalar', { self: value('i'), other: int(1000) }, [value('k')]),
        node('embedding.default', { weight: value('p_fc_weight'), indices: value('k') }),
      ],
      '',
    ],
    [
      'attention that drops at random',
      [
        node('scaled_dot_product_attention.default', {
          query: value('x'),
          key: value('x'),
          value: value('x'),
          dropout_p: float(0.5),
        }),
      ],
      'drops attention weights at random',
    ],
    [
      'a window as large as a large picture',
      [
        node('full.default', { size: ints(2, 1, 8000, 8000), fill_value: float(1) }, [value('f')]),
        node('avg_pool2d.default', {
          self: value('f'),
          kernel_size: ints(4000, 4000),
          stride: ints(1, 1),
        }),
      ],
      'computes more than any classifier',
    ],
    [
      'a kernel as large as a large picture',
      [
        node('full.default', { size: ints(2, 1, 8000, 8000), fill_value: float(1) }, [value('f')]),
        node('full.default', { size: ints(1, 1, 4000, 4000), fill_value: float(1) }, [value('w')]),
        node('conv2d.default', { input: value('f'), weight: value('w') }),
      ],
      'computes more than any classifier',
    ],
    [
      'a product of large matrices',
      [
        node('full.default', { size: ints(16000, 16000), fill_value: float(1) }, [value('f')]),
        node('mm.default', { self: value('f'), mat2: value('f') }),
      ],
      'computes more than any classifier',
    ],
    ['a division of a size by 0', [compute('floordiv', int(8), int(0)), bySize], 'divides by 0'],
    ['a rest of a division by 0', [compute('mod', int(8), int(0)), bySize], 'divides by 0'],
    [
      'a product of sizes that overflows',
      [compute('mul', int('4611686018427387904'), int(4)), bySize],
      'a size is too large',
    ],
    [
      'a sum of sizes that overflows',
      [compute('add', int('9223372036854775807'), int(1)), bySize],
      'a size is too large',
    ],
    ['a power of sizes', [compute('pow', int(3), int(huge)), bySize], 'a size is too large'],
    [
      'a size that is no number',
      [
        compute('truediv', int(0), int(0)),
        node('math.floor', { a: size('s') }, [size('t')]),
        node('full.default', { size: { as_sym_ints: [{ as_name: 't' }] }, fill_value: int(1) }),
      ],
      'a size is too large',
    ],
    [
      'sizes of nothing',
      [node('torch.sym_max', {}, [size('s')]), bySize],
      'an argument is missing',
    ],
    [
      'a mode that there is not',
      [node('pad.default', { ...x, pad: ints(1, 1), mode: { as_string: 'x' } })],
      '',
    ],
    [
      'an equation that is none',
      [
        node('einsum.default', {
          equation: { as_string: '->->,,' },
          tensors: { as_tensors: [{ name: 'relu' }] },
        }),
      ],
      '',
    ],
    [
      'a dropout of more than all',
      [node('dropout.default', { input: value('relu'), p: float(1.5), train: { as_bool: true } })],
      'not between 0 and 1',
    ],
    [
      'a dropout of a number',
      [node('dropout.default', { input: int(3), p: float(0.5), train: { as_bool: true } })],
      'takes no tensor',
    ],
  ])('%s', (_, calls, says) =>
    expectRefusal(withCalls(...calls), 'ERR_GRAPH', "node 'bad'", 'export', says),
  );

  test('are answered for where they are odd, but mean something', async () => {
    for (const call of [
      node('clamp.default', { ...x, min: float('-Infinity'), max: float('Infinity') }),
      node('slice.Tensor', { ...x, end: int('9223372036854775807') }),
      node('full.default', { size: ints(1), fill_value: float('NaN') }),
      node('expand.default', { self: value('c_std'), size: ints(100_000, 3, 1, 1) }),
    ]) {
      const file = write(withCalls(call));
      expect((await classify(file)).length, call.target).toBe(3);
    }
  });
});
