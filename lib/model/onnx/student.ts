import { Graph, toModel } from './graph.js';
import { inputOf, type ModelEnds, normalized, outputOf } from './input.js';

export interface StudentTensor {
  shape: readonly number[];
  data: Float32Array;
}

/** The tensors that a graph is made of: all of the student's but `num_batches_tracked`. */
export const STUDENT_TENSORS: readonly string[] = [
  ...[0, 4, 8, 12].flatMap((conv) => [
    ...['weight', 'bias'].map((name) => `features.${conv}.${name}`),
    ...['weight', 'bias', 'running_mean', 'running_var'].map(
      (name) => `features.${conv + 1}.${name}`,
    ),
  ]),
  ...[0, 3].flatMap((layer) => ['weight', 'bias'].map((name) => `classifier.${layer}.${name}`)),
];

export interface StudentGraph extends ModelEnds {
  /** {@link STUDENT_TENSORS}. */
  tensors: ReadonlyMap<string, StudentTensor>;
  foldBatchNorm: boolean;
  opset: number;
  metadata: Readonly<Record<string, string>>;
  producerVersion: string;
}

/** BatchNorm2d's. */
const EPSILON = 1e-5;

/** An ONNX model that computes what the student does in evaluation mode. */
export function studentModel(options: StudentGraph) {
  const { softmax, opset, metadata, producerVersion } = options;
  const graph = new Graph();
  const input = inputOf(options);
  const output = outputOf(options);

  let x = normalized(graph, input.name, options); // (N, 3, H, W)
  for (let block = 0; block < 4; block++) {
    x = convolution(graph, x, block, options);
    x = graph.node('Relu', [x]);
    x =
      block < 3
        ? graph.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] })
        : graph.node('GlobalAveragePool', [x]);
  }
  x = graph.node('Flatten', [x], { axis: 1 }); // (N, 256w), of width w
  x = graph.node('Relu', [linear(graph, x, 'classifier.0', options)]); // (N, 128w)
  x = linear(graph, x, 'classifier.3', options, softmax ? undefined : output.name); // (N, classes)
  if (softmax) graph.node('Softmax', [x], { axis: 1 }, output.name);

  const model = toModel(graph, {
    name: 'student',
    input,
    output,
    opset,
    metadata,
    producerVersion,
  });
  return { ...model, input, output };
}

/** A block's Conv2d and BatchNorm2d. */
function convolution(graph: Graph, x: string, block: number, options: StudentGraph): string {
  const conv = `features.${4 * block}`;
  const norm = `features.${4 * block + 1}`;
  const attributes = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  if (options.foldBatchNorm) {
    const { shape, weight, bias } = folded(options, conv, norm);
    const kernel = graph.weight(`${conv}.weight`, shape, weight);
    const shift = graph.weight(`${conv}.bias`, shape.slice(0, 1), bias);
    return graph.node('Conv', [x, kernel, shift], attributes);
  }
  const weight = (name: string) => weightOf(graph, name, options);
  const y = graph.node('Conv', [x, weight(`${conv}.weight`), weight(`${conv}.bias`)], attributes);
  const statistics = ['weight', 'bias', 'running_mean', 'running_var'];
  return graph.node(
    'BatchNormalization',
    [y, ...statistics.map((name) => weight(`${norm}.${name}`))],
    { epsilon: EPSILON },
  );
}

/** Convolution and BatchNorm as one convolution: (x * w + b - mean) * s + beta, where s = gamma / sqrt(var + eps). */
function folded({ tensors }: StudentGraph, conv: string, norm: string) {
  const find = (name: string) => tensors.get(name) as StudentTensor;
  const { shape, data } = find(`${conv}.weight`);
  const channels = shape[0] as number;
  const of = (name: string) => find(name).data;
  const [gamma, beta] = [of(`${norm}.weight`), of(`${norm}.bias`)];
  const [mean, variance] = [of(`${norm}.running_mean`), of(`${norm}.running_var`)];
  const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt((variance[c] ?? 0) + EPSILON));
  const size = data.length / channels; // of a filter
  return {
    shape,
    weight: data.map((w, i) => w * (scale[Math.floor(i / size)] ?? 0)),
    bias: of(`${conv}.bias`).map((b, c) => (b - (mean[c] ?? 0)) * (scale[c] ?? 0) + (beta[c] ?? 0)),
  };
}

function linear(
  graph: Graph,
  x: string,
  layer: string,
  options: StudentGraph,
  output?: string,
): string {
  const [weight, bias] = ['weight', 'bias'].map((name) =>
    weightOf(graph, `${layer}.${name}`, options),
  ) as [string, string];
  return graph.node('Gemm', [x, weight, bias], { transB: 1 }, output);
}

function weightOf(graph: Graph, name: string, { tensors }: StudentGraph): string {
  const { shape, data } = tensors.get(name) as StudentTensor;
  return graph.weight(name, shape, data);
}
