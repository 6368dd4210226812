import { DistillError } from '../../../errors.js';
import type { NativeTensor } from '../../../native.js';
import { evaluate, type Symbols, solve } from '../expressions.js';
import type { Graph } from '../graph.js';
import type { Program, ProgramNode, SymbolicSize } from '../program.js';
import { Call, DATA_TYPES, kindOf, type Scope } from './call.js';
import { SHAPES } from './shape.js';
import { SIZES } from './symbols.js';
import { CHECKS, OPERATORS } from './table.js';
import {
  contentOf,
  type Kind,
  makeValue,
  makeView,
  type Size,
  type Value,
  write,
} from './values.js';

/** A program's tensors, and the size of the pictures that the model is made for. */
interface Network {
  program: Program;
  /** Weights and constants by their names in the model's file. */
  tensors: ReadonlyMap<string, NativeTensor>;
  /** The side of the pictures; `null` for any. */
  imageSize: number | null;
  opset: number;
}

/**
 * Adds a program in evaluation mode to a graph.
 *
 * @param images The name of the pictures, float32 (N, 3, H, W).
 * @returns The name of the logits, (N, classes).
 * @throws DistillError `ERR_EXPORT_OPERATOR` where an operator has no counterpart in ONNX, `ERR_GRAPH` where the program
 * takes no pictures of this size.
 */
export function convert(
  graph: Graph,
  images: string,
  { program, tensors, imageSize, opset }: Network,
): string {
  const symbols = symbolsOf(program, imageSize);
  const values = new Map<string, Value>();
  const sizes = new Map<string, Size>();
  const sizeIn = ({ as_int, as_float, as_expr }: SymbolicSize) =>
    as_int ?? as_float ?? (as_expr ? evaluate(as_expr.expr_str, symbols) : null);

  const scope: Scope = {
    graph,
    opset,
    path: program.path,
    valueOf(name) {
      const weight = program.weights.get(name);
      if (weight !== undefined && !values.has(name)) {
        values.set(name, addWeight(graph, weight, tensors.get(weight), this.describe(name).kind));
      }
      return values.get(name);
    },
    sizeOf(name) {
      const formula = program.numbers[name];
      return (formula && sizeIn(formula)) ?? sizes.get(name);
    },
    describe(name) {
      const { dtype = 7, sizes = [], strides = [] } = program.tensors[name] ?? {};
      const kind = kindOf(dtype);
      if (!kind) throw refused(program, `has a tensor, '${name}', of complex or quantised numbers`);
      return { kind, shape: sizes.map(sizeIn), strides: strides.map(sizeIn) };
    },
  };

  values.set(program.images, makeValue(images, 'float', scope.describe(program.images).shape));
  for (const node of program.nodes) {
    if (isCounter(program, node)) continue;
    convertNode(scope, node, values, sizes);
  }
  const logits = values.get(program.logits);
  if (!logits) throw refused(program, 'gives no logits');
  return contentOf(logits);
}

function convertNode(
  scope: Scope,
  node: ProgramNode,
  values: Map<string, Value>,
  sizes: Map<string, Size>,
): void {
  const call = new Call(scope, node);
  const names = call.outputNames();
  const [name = ''] = names;
  const { namespace, operator, isInPlace } = partsOf(call.operator);
  if (namespace === 'aten' && CHECKS.has(operator)) return;
  // Comparisons of sizes are of checks alone, and a number that is known takes no node.
  const [result] = node.outputs;
  if (!result || result.as_sym_bool !== undefined) return;
  if (result.as_sym_int || result.as_sym_float) {
    if (scope.sizeOf(name) !== undefined) return;
    const compute = own(SIZES, call.operator);
    if (!compute) throw call.refuse('has no counterpart');
    sizes.set(name, compute(call));
    return;
  }
  const view = namespace === 'aten' ? own(SHAPES, operator.replace(/_copy$/, '')) : undefined;
  if (view) {
    const made = [view(call)].flat();
    const base = made.some((part) => 'take' in part) ? call.first : null;
    for (const [i, part] of made.entries()) {
      const { kind, shape } = call.output(i);
      let value = base && 'take' in part ? makeView(base, part, shape) : (part as Value);
      if (operator.endsWith('_copy')) value = makeValue(contentOf(value), kind, shape);
      values.set(names[i] ?? '', value);
    }
    return;
  }
  const compute = namespace === 'aten' ? own(OPERATORS, operator) : undefined;
  if (!compute) throw call.refuse('has no counterpart');
  const contents = [compute(call)].flat();
  if (isInPlace) {
    const { first } = call;
    write(first, contents[0] as string);
    values.set(name, first);
    return;
  }
  for (const [i, content] of contents.entries()) {
    const { kind, shape } = call.output(i);
    values.set(names[i] ?? '', makeValue(content, kind, shape));
  }
}

/** Returns the parts of a name such as `aten.add_.Tensor`. */
function partsOf(name: string) {
  const [namespace = '', full = ''] = name.split('.');
  const isInPlace = full.endsWith('_') && !full.endsWith('__');
  return { namespace, operator: isInPlace ? full.slice(0, -1) : full, isInPlace };
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Tells whether a node counts BatchNorm's batches, which training alone needs. */
function isCounter({ weights }: Program, { target, inputs }: ProgramNode): boolean {
  const name = inputs[0]?.arg.as_tensor?.name ?? '';
  return /\.add_?\./.test(target) && /(^|\.)num_batches_tracked$/.test(weights.get(name) ?? '');
}

/** Names the sizes of the program's input. */
function symbolsOf(program: Program, imageSize: number | null): Symbols {
  const symbols = new Map<string, number>();
  const [batch, , ...sides] = program.tensors[program.images]?.sizes ?? [];
  if (batch?.as_int !== undefined) {
    throw refused(
      program,
      `takes batches of ${batch.as_int} alone: export it with dynamic_shapes=({0: torch.export.Dim("batch")},)`,
    );
  }
  for (const { as_int, as_expr } of sides) {
    if (imageSize === null) {
      if (as_int === undefined) continue;
      throw refused(program, `takes pictures of ${as_int} pixels alone: leave out \`dynamicSize\``);
    }
    const solved = as_expr && solve(as_expr.expr_str, imageSize);
    const side = as_int ?? (solved === undefined ? null : imageSize);
    if (side !== imageSize || solved === null) {
      const taken = as_int ?? as_expr?.expr_str;
      throw refused(
        program,
        `takes pictures of ${taken} pixels, not of ${imageSize}: give that as \`imageSize\``,
      );
    }
    if (solved) symbols.set(solved.symbol, solved.value);
  }
  return symbols;
}

function addWeight(
  graph: Graph,
  name: string,
  tensor: NativeTensor | undefined,
  kind: Kind,
): Value {
  if (!tensor) throw new Error(`the tensor '${name}' was not read`);
  const { shape, data } = tensor;
  // Names without a module could be those of the model's own inputs and nodes.
  const unique = name.includes('.') ? name : `/${name}`;
  const content =
    kind === 'int' && data instanceof Uint8Array ? BigInt64Array.from(data, BigInt) : data;
  return makeValue(graph.constant(unique, DATA_TYPES[kind], shape, content), kind, shape);
}

function refused({ path }: Program, what: string): DistillError {
  return new DistillError('ERR_GRAPH', `The graph of '${path}' ${what}.`);
}
