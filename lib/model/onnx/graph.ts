import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './onnx_pb.js';

// onnx_pb.ts is what protoc-gen-es makes of the onnx.proto in onnx 1.23.2:
//   protoc --es_out=lib/onnx --es_opt=target=ts,import_extension=js onnx.proto

/** The input or the output of a model. */
export interface OnnxValue {
  name: string;
  type: 'uint8' | 'float32';
  /** Text stands for a size that may be any. */
  shape: (number | string)[];
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

/** A number that is a float in the file even where it is whole. */
export interface Float {
  float: number;
}

/** An attribute of a node. Lists are of whole numbers; a plain number that is not whole is a float. */
export type Attribute = string | number | Float | readonly number[];

/** The nodes and the constants of a model, in the order of the computation. */
export class Graph {
  readonly nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly weights: MessageInitShape<typeof TensorProtoSchema>[] = [];
  readonly #constants = new Set<string>();

  /** @returns The name that nodes refer to it by. */
  weight(name: string, shape: readonly number[], data: Float32Array): string {
    return this.constant(name, TensorProto_DataType.FLOAT, shape, data);
  }

  /** Adds a vector of int64, once for each content. */
  integers(...values: number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.constant(
      `int64_${values.join('_')}`,
      TensorProto_DataType.INT64,
      [values.length],
      data,
    );
  }

  /** Adds a vector of booleans, once for each content. */
  booleans(...values: boolean[]): string {
    const data = Uint8Array.from(values, Number);
    return this.constant(
      `bool_${values.join('_')}`,
      TensorProto_DataType.BOOL,
      [values.length],
      data,
    );
  }

  /** Adds a scalar of int64, once for each value. */
  integer(value: number): string {
    return this.constant(
      `int64_scalar_${value}`,
      TensorProto_DataType.INT64,
      [],
      BigInt64Array.of(BigInt(value)),
    );
  }

  /** Adds a scalar of float32, once for each value. */
  float(value: number): string {
    return this.constant(
      `float_scalar_${value}`,
      TensorProto_DataType.FLOAT,
      [],
      Float32Array.of(value),
    );
  }

  /** Adds a constant once for each name. */
  constant(
    name: string,
    dataType: TensorProto_DataType,
    shape: readonly number[],
    data: ArrayBufferView,
  ): string {
    if (!this.#constants.has(name)) {
      this.#constants.add(name);
      this.weights.push({
        name,
        dims: shape.map(BigInt),
        dataType,
        rawData: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
      });
    }
    return name;
  }

  /**
   * @param input Names of tensors; an empty one stands for an input that is left out.
   * @returns The name of its output.
   */
  node(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = `${opType}_${this.nodes.length}`,
  ): string {
    this.add(opType, input, attributes, [output]);
    return output;
  }

  /** @returns The names of its outputs, as many as `count`. */
  outputs(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    count: number,
  ): string[] {
    const name = `${opType}_${this.nodes.length}`;
    const outputs = Array.from({ length: count }, (_, i) => `${name}_${i}`);
    this.add(opType, input, attributes, outputs);
    return outputs;
  }

  private add(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    output: string[],
  ): void {
    this.nodes.push({
      opType,
      name: output[0] as string,
      input: [...input],
      output,
      attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
    });
  }
}

/** Returns the bytes of a model. */
export function toModel(
  graph: Graph,
  {
    name,
    input,
    output,
    opset,
    producerVersion,
    metadata,
  }: {
    name: string;
    input: OnnxValue;
    output: OnnxValue;
    opset: number;
    producerVersion: string;
    metadata: Readonly<Record<string, string>>;
  },
): { bytes: Uint8Array; irVersion: number } {
  const irVersion = IR_VERSIONS[opset] as number;
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    opsetImport: [{ domain: '', version: BigInt(opset) }],
    producerName: 'node-distill',
    producerVersion,
    graph: {
      name,
      node: graph.nodes,
      initializer: graph.weights,
      input: [valueInfoOf(input)],
      output: [valueInfoOf(output)],
    },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
  return { bytes: toBinary(ModelProtoSchema, model), irVersion };
}

function attributeOf(
  name: string,
  value: Attribute,
): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === 'string') {
    return { name, type: AttributeProto_AttributeType.STRING, s: Buffer.from(value) };
  }
  if (typeof value === 'object' && 'float' in value) {
    return { name, type: AttributeProto_AttributeType.FLOAT, f: value.float };
  }
  if (typeof value !== 'number') {
    return { name, type: AttributeProto_AttributeType.INTS, ints: value.map(BigInt) };
  }
  return Number.isInteger(value)
    ? { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) }
    : { name, type: AttributeProto_AttributeType.FLOAT, f: value };
}

function valueInfoOf({
  name,
  type,
  shape,
}: OnnxValue): MessageInitShape<typeof ValueInfoProtoSchema> {
  const elemType = type === 'uint8' ? TensorProto_DataType.UINT8 : TensorProto_DataType.FLOAT;
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  return { name, type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } } };
}
