import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { OnnxInput } from '../../options/export-onnx.js';
import {
  AttributeProto_AttributeType,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './onnx_pb.js';

// onnx_pb.ts is what protoc-gen-es makes of the onnx.proto in onnx 1.23.2:
//   protoc --es_out=lib/onnx --es_opt=target=ts,import_extension=js onnx.proto

export interface StudentTensor {
  shape: readonly number[];
  data: Float32Array;
}

/** The input or the output of a model. */
export interface OnnxValue {
  name: string;
  type: 'uint8' | 'float32';
  /** Text stands for a size that may be any. */
  shape: (number | string)[];
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

export interface StudentGraph {
  /** {@link STUDENT_TENSORS}. */
  tensors: ReadonlyMap<string, StudentTensor>;
  labels: readonly string[];
  input: OnnxInput;
  softmax: boolean;
  foldBatchNorm: boolean;
  dynamicSize: boolean;
  imageSize: number;
  mean: readonly number[];
  std: readonly number[];
  opset: number;
  metadata: Readonly<Record<string, string>>;
  producerVersion: string;
}

/** Opsets that can be written, each with the version of the file format that came with it. */
const IR_VERSIONS: Readonly<Record<number, number>> = {
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
  24: 12,
  25: 13,
  26: 13,
};

/** BatchNorm2d's. */
const EPSILON = 1e-5;

/** Nodes and weights in the order of the computation. */
class Graph {
  readonly nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly weights: MessageInitShape<typeof TensorProtoSchema>[] = [];

  /** @returns The name that nodes refer to it by. */
  weight(name: string, shape: readonly number[], data: Float32Array): string {
    this.weights.push({
      name,
      dims: shape.map(BigInt),
      dataType: TensorProto_DataType.FLOAT,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    return name;
  }

  /**
   * @param attributes Lists are of whole numbers; a number that is not whole is a float.
   * @returns The name of its output.
   */
  node(
    opType: string,
    input: string[],
    attributes: Record<string, number | number[]> = {},
    output = `${opType}_${this.nodes.length}`,
  ): string {
    this.nodes.push({
      opType,
      name: output,
      input,
      output: [output],
      attribute: Object.entries(attributes).map(([name, value]) => {
        if (typeof value !== 'number') {
          return { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) };
        }
        return Number.isInteger(value)
          ? { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) }
          : { name, type: AttributeProto_AttributeType.FLOAT, f: value };
      }),
    });
    return output;
  }
}

/** An ONNX model that computes what the student does in evaluation mode. */
export function studentModel(options: StudentGraph) {
  const { softmax, imageSize, dynamicSize, labels, opset } = options;
  const graph = new Graph();
  const inputName = options.input === 'uint8' ? 'pixels' : 'images';
  const outputName = softmax ? 'probabilities' : 'logits';

  let x = normalized(graph, inputName, options); // (N, 3, H, W)
  for (let block = 0; block < 4; block++) {
    x = convolution(graph, x, block, options);
    x = graph.node('Relu', [x]);
    x =
      block < 3
        ? graph.node('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] })
        : graph.node('GlobalAveragePool', [x]);
  }
  x = graph.node('Flatten', [x], { axis: 1 }); // (N, 256)
  x = graph.node('Relu', [linear(graph, x, 'classifier.0', options)]); // (N, 128)
  x = linear(graph, x, 'classifier.3', options, softmax ? undefined : outputName); // (N, classes)
  if (softmax) graph.node('Softmax', [x], { axis: 1 }, outputName);

  const size = dynamicSize ? ['height', 'width'] : [imageSize, imageSize];
  const input: OnnxValue =
    options.input === 'uint8'
      ? { name: inputName, type: 'uint8', shape: ['N', ...size, 3] }
      : { name: inputName, type: 'float32', shape: ['N', 3, ...size] };
  const output: OnnxValue = { name: outputName, type: 'float32', shape: ['N', labels.length] };
  const irVersion = IR_VERSIONS[opset] as number;
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    producerName: 'node-distill',
    producerVersion: options.producerVersion,
    graph: {
      name: 'student',
      node: graph.nodes,
      initializer: graph.weights,
      input: [toProto(input)],
      output: [toProto(output)],
    },
    metadataProps: Object.entries(options.metadata).map(([key, value]) => ({ key, value })),
  });
  return { bytes: toBinary(ModelProtoSchema, model), irVersion, input, output };
}

/** Makes the network's input of the model's, in the order of torchvision's ToTensor and Normalize. */
function normalized(graph: Graph, images: string, { input, mean, std }: StudentGraph): string {
  if (input === 'normalized') return images;
  const channels = (name: string, values: readonly number[]) =>
    graph.weight(name, [1, 3, 1, 1], Float32Array.from(values));
  let x = images;
  if (input === 'uint8') {
    x = graph.node('Transpose', [x], { perm: [0, 3, 1, 2] });
    x = graph.node('Cast', [x], { to: TensorProto_DataType.FLOAT });
    x = graph.node('Div', [x, graph.weight('white', [], Float32Array.of(255))]);
  }
  x = graph.node('Sub', [x, channels('mean', mean)]);
  return graph.node('Div', [x, channels('std', std)]);
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

function toProto({ name, type, shape }: OnnxValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const elemType = type === 'uint8' ? TensorProto_DataType.UINT8 : TensorProto_DataType.FLOAT;
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  return { name, type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } } };
}
