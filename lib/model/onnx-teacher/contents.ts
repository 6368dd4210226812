import path from 'node:path';
import { DistillError } from '../../errors.js';
import { readFile, UnreadableFile } from '../../files.js';
import { printable } from '../../words.js';
import { bytesField, type Fields, numberField, readFields, textField } from './wire.js';

// The facts of an ONNX model that are known before it runs. Field numbers are those of onnx.proto, by which
// ../onnx/onnx_pb.ts is made.

/** An input or an output. */
export interface OnnxPort {
  name: string;
  /** Such as 'float32'. */
  type: string;
  /** Sides; `null` for one of any length. `null` where the model does not say them. */
  shape: (number | null)[] | null;
}

/** The contents of an ONNX model. */
export interface OnnxContents {
  path: string;
  /** Bytes of the file. */
  bytes: number;
  /** Inputs without a value of their own. */
  inputs: OnnxPort[];
  outputs: OnnxPort[];
  /** The operator that makes each output, by the output's name. */
  makers: ReadonlyMap<string, string>;
  /** The texts of `metadata_props`, by their names. */
  properties: ReadonlyMap<string, string>;
  /** The program that wrote it, such as `pytorch`; '' where the model does not say it. */
  producer: string;
  /** Numbers in its initializers. */
  parameters: number;
  /** Files of further weights, from the model's folder. */
  externalData: string[];
}

/** Bytes of a protobuf message at most, by its definition. */
export const LARGEST_ONNX = 2 ** 31;
/** Entries of a kind that are kept at most: far above any model's. */
const MOST = 100_000;

/** Names of TensorProto.DataType as onnxruntime has them. */
const TYPES: readonly (string | undefined)[] = [
  undefined,
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
];

/** Tells whether a file is taken for an ONNX model: by its name, as such files have no sign that they begin with. */
export function isOnnx(file: string): boolean {
  return path.extname(file).toLowerCase() === '.onnx';
}

/**
 * Reads the facts of an ONNX model, and none of its weights.
 *
 * @throws DistillError `ERR_CHECKPOINT_NOT_FOUND` where it cannot be opened, `ERR_ONNX` where it is none or is damaged.
 */
export async function readOnnxContents(file: string, signal?: AbortSignal): Promise<OnnxContents> {
  const bytes = await readFile(file, { limit: LARGEST_ONNX, signal }).catch((error: unknown) => {
    if (!(error instanceof UnreadableFile)) throw error;
    throw new DistillError(
      'ERR_CHECKPOINT_NOT_FOUND',
      `The ONNX model '${file}' cannot be read, it ${error.message}; check the path.`,
      { cause: error.cause },
    );
  });
  try {
    return { path: file, bytes: bytes.length, ...contentsOf(bytes) };
  } catch (cause) {
    throw new DistillError(
      'ERR_ONNX',
      `'${file}' is no whole ONNX model (${printable((cause as Error).message)}); export or copy it again.`,
      { cause },
    );
  }
}

function contentsOf(bytes: Uint8Array): Omit<OnnxContents, 'path' | 'bytes'> {
  let producer = '';
  const graphs: Uint8Array[] = [];
  const functions: Uint8Array[] = [];
  const properties = new Map<string, string>();
  readFields(bytes, {
    2: textField((text) => {
      producer = text;
    }),
    7: bytesField((graph) => graphs.push(graph)),
    14: bytesField((entry) => {
      const { key, value } = entryOf(entry);
      if (properties.size < MOST) properties.set(key, value);
    }),
    25: bytesField((one) => {
      if (functions.length < MOST) functions.push(one);
    }),
  });
  const [graph] = graphs;
  if (!graph || graphs.length > 1) throw new Error('it has no graph');
  const inputs = new Map<string, OnnxPort>();
  const outputs = new Map<string, OnnxPort>();
  readFields(graph, {
    11: bytesField((port) => addPort(inputs, port)),
    12: bytesField((port) => addPort(outputs, port)),
  });
  let parameters = 0;
  const external = new Set<string>();
  const makers = new Map<string, string>();
  readFields(graph, {
    1: bytesField((node) => {
      const { operator, made } = readNode(node, external, 1);
      for (const name of made) if (outputs.has(name)) makers.set(name, operator);
    }),
    5: bytesField((tensor) => {
      const { name, numel } = readTensor(tensor, external);
      // Files of before 2019 list the weights among the inputs as well.
      inputs.delete(name);
      parameters += numel;
    }),
  });
  for (const one of functions) readFields(one, { 7: nodesField(external, 1) });
  return {
    inputs: [...inputs.values()],
    outputs: [...outputs.values()],
    makers,
    properties,
    producer,
    parameters,
    externalData: [...external],
  };
}

/** Reads a StringStringEntryProto. */
function entryOf(bytes: Uint8Array): { key: string; value: string } {
  const entry = { key: '', value: '' };
  readFields(bytes, {
    1: textField((text) => {
      entry.key = text;
    }),
    2: textField((text) => {
      entry.value = text;
    }),
  });
  return entry;
}

/** Reads a ValueInfoProto. */
function addPort(ports: Map<string, OnnxPort>, bytes: Uint8Array): void {
  const port: OnnxPort = { name: '', type: 'no tensor', shape: null };
  const dimension = bytesField((bytes) => {
    let side: number | null = null;
    readFields(bytes, {
      1: numberField((value) => {
        // Negative ones stand for any.
        side = value >= 0 ? value : null;
      }),
    });
    if (port.shape && port.shape.length < MOST) port.shape.push(side);
  });
  const tensor = bytesField((bytes) =>
    readFields(bytes, {
      1: numberField((value) => {
        port.type = TYPES[value] ?? `type ${value}`;
      }),
      2: bytesField((shape) => {
        port.shape = [];
        readFields(shape, { 1: dimension });
      }),
    }),
  );
  readFields(bytes, {
    1: textField((text) => {
      port.name = text;
    }),
    2: bytesField((type) => readFields(type, { 1: tensor })),
  });
  if (ports.size >= MOST) throw new Error('it has too many inputs or outputs');
  ports.set(port.name, port);
}

function nodesField(external: Set<string>, depth: number): Fields[number] {
  return bytesField((node) => readNode(node, external, depth));
}

/** Reads a NodeProto, and collects the external data in its attributes. */
function readNode(
  bytes: Uint8Array,
  external: Set<string>,
  depth: number,
): { operator: string; made: string[] } {
  const node = { operator: '', made: [] as string[] };
  const tensor = bytesField((bytes) => readTensor(bytes, external));
  const graph = bytesField((bytes) =>
    readFields(bytes, { 1: nodesField(external, depth + 1), 5: tensor }, depth + 1),
  );
  readFields(
    bytes,
    {
      2: textField((name) => {
        if (node.made.length < MOST) node.made.push(name);
      }),
      4: textField((text) => {
        node.operator = text;
      }),
      5: bytesField((attribute) =>
        readFields(attribute, { 5: tensor, 6: graph, 10: tensor, 11: graph }, depth),
      ),
    },
    depth,
  );
  return node;
}

/** Reads a TensorProto's name and size, and collects the file that its values are in. */
function readTensor(bytes: Uint8Array, external: Set<string>): { name: string; numel: number } {
  const tensor = { name: '', numel: 1 };
  readFields(bytes, {
    1: numberField((side) => {
      tensor.numel *= side;
    }),
    8: textField((text) => {
      tensor.name = text;
    }),
    13: bytesField((entry) => {
      const { key, value } = entryOf(entry);
      if (key === 'location') external.add(value);
      if (external.size > MOST) throw new Error('its weights are in too many files');
    }),
  });
  return tensor;
}
