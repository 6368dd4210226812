// Small ONNX models to teach with: logits are a linear map of a picture's mean colours.
import { writeFileSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Graph, toModel } from '../../lib/model/onnx/graph.js';
import {
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
} from '../../lib/model/onnx/onnx_pb.js';

/** (classes, 3), for two classes. */
export const weights = Float32Array.of(4, -3, 0.5, -2, 1, 2);

export interface ModelOptions {
  layout?: 'NCHW' | 'NHWC';
  /** The shape of the input; text stands for any side. */
  shape?: (number | string)[];
  /** True where the input is uint8. */
  ofBytes?: boolean;
  /** The operator that makes the last output of the logits; '' for none. */
  last?: string;
  /** Changes the model before it is written. */
  change?: (model: ModelProto) => void;
}

/** Writes a model; returns its file. */
export function writeModel(file: string, options: ModelOptions = {}): string {
  const { layout = 'NCHW', ofBytes = false, last = '', change } = options;
  const graph = new Graph();
  let x = 'images';
  if (ofBytes) x = graph.node('Cast', [x], { to: TensorProto_DataType.FLOAT });
  if (layout === 'NHWC') x = graph.node('Transpose', [x], { perm: [0, 3, 1, 2] });
  x = graph.node('Flatten', [graph.node('GlobalAveragePool', [x])], { axis: 1 });
  const matrix = graph.weight('weight', [2, 3], weights);
  x = graph.node('Gemm', [x, matrix], { transB: 1 }, last ? undefined : 'logits');
  if (last) graph.node(last, [x], last === 'Softmax' ? { axis: 1 } : {}, 'logits');
  const sides = layout === 'NCHW' ? ['N', 3, 'H', 'W'] : ['N', 'H', 'W', 3];
  const shape = options.shape ?? sides;
  const { bytes } = toModel(graph, {
    name: 'test',
    input: { name: 'images', type: ofBytes ? 'uint8' : 'float32', shape },
    output: { name: 'logits', type: 'float32', shape: [shape[0] as number | string, 2] },
    opset: 17,
    producerVersion: '',
    metadata: {},
  });
  const model = fromBinary(ModelProtoSchema, bytes);
  model.producerName = 'pytorch';
  change?.(model);
  writeFileSync(file, toBinary(ModelProtoSchema, model));
  return file;
}

/** Returns what such a model answers, (n, 2), for the values that it is fed, (n, size, size, 3). */
export function answersFor(values: ArrayLike<number>, images: number): number[] {
  const length = values.length / images;
  return Array.from({ length: images * 2 }, (_, i) => {
    const first = Math.floor(i / 2) * length;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      sum += (values[first + k] ?? 0) * (weights[3 * (i % 2) + (k % 3)] ?? 0);
    }
    return (sum * 3) / length;
  });
}

/** Changes the shape and the type of an input or an output; text stands for any side. */
export function setPort(
  port: ValueInfoProto | undefined,
  shape: readonly (number | string)[],
  elemType = 1,
): void {
  if (port?.type?.value.case !== 'tensorType') throw new Error('no tensor');
  const tensor = port.type.value.value;
  tensor.elemType = elemType;
  if (!tensor.shape) throw new Error('no shape');
  tensor.shape.dim = shape.map((side) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof side === 'number'
          ? { case: 'dimValue', value: BigInt(side) }
          : { case: 'dimParam', value: side },
    }),
  );
}

/** Moves a tensor's values into a file of their own; returns them. */
export function moveOut(tensor: TensorProto | undefined, location: string): Uint8Array {
  if (!tensor) throw new Error('no tensor');
  const bytes = tensor.rawData;
  tensor.rawData = new Uint8Array(0);
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
  const entries = { location, offset: '0', length: `${bytes.length}` };
  for (const [key, value] of Object.entries(entries)) {
    tensor.externalData.push({ $typeName: 'onnx.StringStringEntryProto', key, value });
  }
  return bytes;
}
