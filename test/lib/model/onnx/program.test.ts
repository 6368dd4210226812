import { expect, test } from 'vitest';
import { networkModel } from '../../../../lib/model/onnx/network.js';
import { parseProgram, sizeOfWeights, weightsOf } from '../../../../lib/model/onnx/program.js';
import { CENTER_CROP } from '../../../../lib/model/preprocessing.js';
import type { NativeTensor } from '../../../../lib/native.js';
import { mean, std } from '../../../helpers/dataset.js';

// Graphs in the form of torch.export, written by hand.

const tensor = (name: string) => ({ as_tensor: { name } });
const known = (...sizes: (number | string)[]) => ({
  dtype: 7,
  sizes: sizes.map((size) =>
    typeof size === 'number' ? { as_int: size } : { as_expr: { expr_str: size } },
  ),
  strides: sizes.map(() => ({ as_int: 1 })),
});

/** A network of one linear layer after the mean of the pictures' pixels. */
function program(changes: {
  target?: string;
  images?: (number | string)[];
  weight?: ReturnType<typeof known>;
  inputs?: unknown[];
  output?: string;
}) {
  const { target = 'torch.ops.aten.linear.default', weight = known(2, 3) } = changes;
  return JSON.stringify({
    graph_module: {
      graph: {
        nodes: [
          {
            target: 'torch.ops.aten.mean.dim',
            inputs: [
              { name: 'self', arg: tensor('x') },
              { name: 'dim', arg: { as_ints: [2, 3] } },
            ],
            outputs: [tensor('mean')],
          },
          {
            target,
            name: 'last',
            inputs: [
              { name: 'input', arg: tensor('mean') },
              { name: 'weight', arg: tensor('p_weight') },
            ],
            outputs: [tensor('last')],
          },
        ],
        tensor_values: {
          x: known(...(changes.images ?? ["Symbol('s0', integer=True)", 3, 's1', 's1'])),
          mean: known('s0', 3),
          p_weight: weight,
          last: known('s0', 2),
        },
      },
      signature: {
        input_specs: [
          { parameter: { arg: { name: 'p_weight' }, parameter_name: 'weight' } },
          { user_input: { arg: tensor('x') } },
          ...(changes.inputs ?? []),
        ],
        output_specs: [{ user_output: { arg: tensor(changes.output ?? 'last') } }],
      },
    },
  });
}

const weight: NativeTensor = { shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) };

function convert(text: string, { imageSize = 32, dynamicSize = false } = {}) {
  const parsed = parseProgram(text, 'model.pt2');
  return networkModel({
    program: parsed,
    tensors: new Map(weightsOf(parsed).map((name) => [name, weight])),
    preprocessing: { ...CENTER_CROP, imageSize, mean, std },
    labels: ['a', 'b'],
    input: 'uint8',
    softmax: true,
    foldBatchNorm: true,
    dynamicSize,
    opset: 26,
    metadata: {},
    producerVersion: '',
    name: 'tiny',
  });
}

test('a graph becomes a model of its input and output', () => {
  const { input, output } = convert(program({}));
  expect(input).toEqual({ name: 'pixels', type: 'uint8', shape: ['N', 32, 32, 3] });
  expect(output).toEqual({ name: 'probabilities', type: 'float32', shape: ['N', 2] });
  expect(convert(program({}), { dynamicSize: true }).input.shape).toEqual([
    'N',
    'height',
    'width',
    3,
  ]);
});

test.each<[string, string, { imageSize?: number; dynamicSize?: boolean }, string, RegExp]>([
  [
    'an operator without a counterpart',
    program({ target: 'torch.ops.aten.fft_rfft2.default' }),
    {},
    'ERR_EXPORT_OPERATOR',
    /^'model\.pt2' cannot be .* aten\.fft_rfft2\.default \(node 'last'\) has no counterpart; export .* torch\.onnx\.export/,
  ],
  [
    'an operator of another library',
    program({ target: 'torch.ops.mine.linear.default' }),
    {},
    'ERR_EXPORT_OPERATOR',
    /mine\.linear\.default/,
  ],
  [
    'a name that every object has',
    program({ target: 'torch.ops.aten.constructor.default' }),
    {},
    'ERR_EXPORT_OPERATOR',
    /aten\.constructor/,
  ],
  [
    'a batch of one size',
    program({ images: [1, 3, 's1', 's1'] }),
    {},
    'ERR_GRAPH',
    /batches of 1 alone.*torch\.export\.Dim/,
  ],
  [
    'pictures of another size',
    program({ images: ['s0', 3, 224, 224] }),
    {},
    'ERR_GRAPH',
    /pictures of 224 pixels, not of 32.*`imageSize`/,
  ],
  [
    'pictures of no multiple',
    program({ images: ['s0', 3, '32*_h', '32*_w'] }),
    { imageSize: 48 },
    'ERR_GRAPH',
    /pictures of 32\*_h pixels, not of 48/,
  ],
  [
    'any size where it has one',
    program({ images: ['s0', 3, 224, 224] }),
    { dynamicSize: true },
    'ERR_GRAPH',
    /pictures of 224 pixels alone: leave out `dynamicSize`/,
  ],
  [
    'complex weights',
    program({ weight: { ...known(2, 3), dtype: 9 } }),
    {},
    'ERR_GRAPH',
    /'p_weight', of complex or quantised numbers/,
  ],
  [
    'two inputs',
    program({ inputs: [{ user_input: { arg: tensor('mean') } }] }),
    {},
    'ERR_GRAPH',
    /takes 2 tensors/,
  ],
  ['no picture', program({ images: ['s0', 3] }), {}, 'ERR_GRAPH', /takes no batch of pictures/],
  ['no logits', program({ output: 'x' }), {}, 'ERR_GRAPH', /gives no logits/],
  ['no JSON', '{', {}, 'ERR_GRAPH', /is none of torch\.export/],
  ['another JSON', '{"graph_module": 5}', {}, 'ERR_GRAPH', /graph_module is wrong/],
])('a graph is refused: %s', (_, text, options, code, message) => {
  expect(() => convert(text, options)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
});

test('the size of the weights is known before they are read', () => {
  const huge = program({ weight: known(100_000, 20_000) });
  expect(sizeOfWeights(parseProgram(huge, 'model.pt2'))).toBe(8e9);
});
