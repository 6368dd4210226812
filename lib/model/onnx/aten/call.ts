import { DistillError } from '../../../errors.js';
import type { Attribute, Graph } from '../graph.js';
import { TensorProto_DataType } from '../onnx_pb.js';
import type { ProgramArgument, ProgramNode } from '../program.js';
import { contentOf, type Kind, type Size, type Value } from './values.js';

/** What the tensors and integers of a program have become so far. */
export interface Scope {
  graph: Graph;
  opset: number;
  /** The model's file, for messages. */
  path: string;
  valueOf(name: string): Value | undefined;
  sizeOf(name: string): Size | undefined;
  /** Returns type and sizes of a tensor that is still to be computed. */
  describe(name: string): Description;
}

export interface Description {
  kind: Kind;
  shape: readonly (number | null)[];
  strides: readonly (number | null)[];
}

export const DATA_TYPES: Readonly<Record<Kind, TensorProto_DataType>> = {
  float: TensorProto_DataType.FLOAT,
  int: TensorProto_DataType.INT64,
  bool: TensorProto_DataType.BOOL,
};

/** A call of an operator: its arguments by the names in the operator's schema, and the nodes that are made of it. */
export class Call {
  readonly graph: Graph;
  readonly opset: number;
  /** Such as `aten.add.Tensor`. */
  readonly operator: string;
  readonly #scope: Scope;
  readonly #node: ProgramNode;
  readonly #arguments: ReadonlyMap<string, ProgramArgument>;

  constructor(scope: Scope, node: ProgramNode) {
    this.graph = scope.graph;
    this.opset = scope.opset;
    this.operator = node.target.replace(/^torch\.ops\./, '');
    this.#scope = scope;
    this.#node = node;
    this.#arguments = new Map(node.inputs.map(({ name, arg }) => [name, arg]));
  }

  /** Makes the error for a call that ONNX cannot express. */
  refuse(reason: string): DistillError {
    const name = this.#node.name ?? this.outputNames()[0] ?? '';
    return new DistillError(
      'ERR_EXPORT_OPERATOR',
      `'${this.#scope.path}' cannot be written as ONNX: its operator ${this.operator} (node '${name}') ${reason}; export the model from PyTorch with torch.onnx.export, or build it of other operators.`,
    );
  }

  /** Adds a node. */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    return this.graph.node(type, inputs, attributes);
  }

  /** The names of the tensors and integers that it computes; an empty one where it computes none. */
  outputNames(): string[] {
    return this.#node.outputs.flatMap(({ as_tensor, as_tensors, as_sym_int, as_sym_float }) => {
      if (as_tensors) return as_tensors.map(({ name }) => name);
      return [as_tensor?.name ?? as_sym_int?.as_name ?? as_sym_float?.as_name ?? ''];
    });
  }

  /** Type and sizes of a tensor that it computes. */
  output(index = 0): Description {
    return this.#scope.describe(this.outputNames()[index] ?? '');
  }

  /** Type and sizes of the first argument, with the strides at export. */
  describeFirst(): Description {
    return this.#scope.describe(this.#node.inputs[0]?.arg.as_tensor?.name ?? '');
  }

  /** The first argument, a tensor. */
  get first(): Value {
    return this.tensor(this.#node.inputs[0]?.name ?? 'self');
  }

  /** The content of the first argument. */
  get x(): string {
    return contentOf(this.first);
  }

  has(name: string): boolean {
    const argument = this.#arguments.get(name);
    return argument !== undefined && argument.as_none === undefined;
  }

  tensor(name: string): Value {
    const value = this.optionalTensor(name);
    if (!value) throw this.refuse(`lacks the tensor \`${name}\``);
    return value;
  }

  optionalTensor(name: string): Value | null {
    const { as_tensor, as_optional_tensor } = this.#arguments.get(name) ?? {};
    const tensor = as_tensor ?? as_optional_tensor?.as_tensor;
    return tensor ? this.#valueOf(tensor.name) : null;
  }

  /** The content of a tensor. */
  content(name: string): string {
    return contentOf(this.tensor(name));
  }

  tensors(name: string): Value[] {
    const { as_tensors } = this.#arguments.get(name) ?? {};
    if (!as_tensors) throw this.refuse(`lacks the tensors \`${name}\``);
    return as_tensors.map((tensor) => this.#valueOf(tensor.name));
  }

  /** Tensors in a list that may have gaps, such as those of an index. */
  optionalTensors(name: string): (Value | null)[] {
    const { as_tensors, as_optional_tensors } = this.#arguments.get(name) ?? {};
    if (as_tensors) return this.tensors(name);
    return (as_optional_tensors ?? []).map(({ as_tensor }) =>
      as_tensor ? this.#valueOf(as_tensor.name) : null,
    );
  }

  #valueOf(name: string): Value {
    const value = this.#scope.valueOf(name);
    if (!value) throw this.refuse(`takes '${name}', which only training computes`);
    return value;
  }

  /** A number, which may be one that the graph computes from sizes. */
  number(name: string, preset?: number): number {
    const argument = this.#arguments.get(name) ?? {};
    const { as_float, as_bool, as_sym_float } = argument;
    if (as_sym_float?.as_name !== undefined) return this.#known(this.#sizeOf(as_sym_float), name);
    const value = as_float ?? as_sym_float?.as_float ?? (as_bool === undefined ? null : +as_bool);
    if (value !== null) return value;
    return this.int(name, preset);
  }

  /** A whole number that is known. */
  int(name: string, preset?: number): number {
    return this.#known(this.size(name, preset), name);
  }

  #known(size: Size, name: string): number {
    if (typeof size === 'number') return size;
    throw this.refuse(`needs a known number as \`${name}\``);
  }

  size(name: string, preset?: number): Size {
    const { as_int, as_sym_int } = this.#arguments.get(name) ?? {};
    const value = as_int ?? (as_sym_int ? this.#sizeOf(as_sym_int) : preset);
    if (value === undefined) throw this.refuse(`lacks the number \`${name}\``);
    return value;
  }

  /** Whole numbers that are known. */
  ints(name: string, preset?: readonly number[]): number[] {
    return this.sizes(name, preset).map((size) => this.#known(size, name));
  }

  /** Sizes; a single number is a list of one. */
  sizes(name: string, preset?: readonly number[]): Size[] {
    const { as_ints, as_int, as_sym_ints, as_sym_int } = this.#arguments.get(name) ?? {};
    if (as_ints) return as_ints;
    if (as_sym_ints) return as_sym_ints.map((part) => this.#sizeOf(part));
    if (as_int !== undefined) return [as_int];
    if (as_sym_int) return [this.#sizeOf(as_sym_int)];
    if (preset) return [...preset];
    throw this.refuse(`lacks the numbers \`${name}\``);
  }

  #sizeOf({ as_int, as_name }: { as_int?: number | undefined; as_name?: string | undefined }) {
    const size = as_int ?? this.#scope.sizeOf(as_name ?? '');
    if (size === undefined) throw this.refuse(`takes the unknown number '${as_name}'`);
    return size;
  }

  floats(name: string): number[] {
    return this.#arguments.get(name)?.as_floats ?? [];
  }

  flag(name: string, preset = false): boolean {
    return this.#arguments.get(name)?.as_bool ?? preset;
  }

  text(name: string, preset = ''): string {
    return this.#arguments.get(name)?.as_string ?? preset;
  }

  /** The type that is asked for; `null` without one. */
  kind(name = 'dtype'): Kind | null {
    const type = this.#arguments.get(name)?.as_scalar_type;
    if (type === undefined) return null;
    const kind = kindOf(type);
    if (!kind) throw this.refuse('computes in a type that ONNX models of this package have not');
    return kind;
  }

  /** A tensor, or a number: `null` where the argument is neither. */
  operand(name: string): Value | number | null {
    const value = this.optionalTensor(name);
    if (value) return value;
    const { as_int, as_float, as_bool, as_sym_int, as_sym_float } = this.#arguments.get(name) ?? {};
    if (as_sym_int?.as_name !== undefined) {
      const size = this.size(name);
      if (typeof size === 'number') return size;
      // A scalar, as a number of Python's is none of an axis.
      const scalar = this.node('Squeeze', [size]);
      return { name: scalar, kind: 'int', shape: [], version: 0 };
    }
    if (as_sym_float?.as_name !== undefined) return this.number(name);
    return (
      as_int ??
      as_float ??
      as_sym_int?.as_int ??
      as_sym_float?.as_float ??
      (as_bool === undefined ? null : Number(as_bool))
    );
  }
}

/** Returns the kind of a ScalarType of PyTorch's serialization; `null` for complex and quantised ones. */
export function kindOf(type: number): Kind | null {
  if (type === 12) return 'bool';
  if (type >= 1 && type <= 5) return 'int';
  return [6, 7, 8, 13].includes(type) ? 'float' : null;
}
