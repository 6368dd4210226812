import { z } from 'zod';
import { DistillError } from '../../errors.js';

// The parts of an ExportedProgram's JSON (models/model.json in a .pt2) that a conversion reads. Its schema:
// https://github.com/pytorch/pytorch/blob/main/torch/_export/serde/schema.py

const named = z.object({ name: z.string() });
/** An int64; those beyond 2^53, which stand for "to the end", lose their last digits. */
const wholeNumber = z.number();

/** A size: a number, or a formula of symbols such as `((s53 - 1)//2) + 1`. */
const size = z.object({
  as_int: wholeNumber.optional(),
  as_float: z.number().optional(),
  as_expr: z.object({ expr_str: z.string() }).optional(),
});

/** A float as Python's json writes it; the schema has `Infinity` as text. */
const float = z.union([z.number(), z.enum(['Infinity', '-Infinity', 'NaN']).transform(Number)]);

const symbolic = z.object({
  as_name: z.string().optional(),
  as_int: wholeNumber.optional(),
  as_float: float.optional(),
});

/** A value of an operator's argument: one of these, and others that no conversion reads. */
const argument = z.object({
  as_none: z.boolean().optional(),
  as_tensor: named.optional(),
  as_tensors: z.array(named).optional(),
  as_optional_tensor: z.object({ as_tensor: named.optional() }).optional(),
  as_optional_tensors: z.array(z.object({ as_tensor: named.optional() })).optional(),
  as_int: wholeNumber.optional(),
  as_ints: z.array(wholeNumber).optional(),
  as_float: float.optional(),
  as_floats: z.array(float).optional(),
  as_bool: z.boolean().optional(),
  as_string: z.string().optional(),
  as_scalar_type: z.number().optional(),
  as_sym_int: symbolic.optional(),
  as_sym_ints: z.array(symbolic).optional(),
  as_sym_float: symbolic.optional(),
  as_sym_bool: z.unknown().optional(),
});

const node = z.object({
  target: z.string(),
  name: z.string().nullish(),
  inputs: z.array(z.object({ name: z.string(), arg: argument })),
  outputs: z.array(argument),
});

const inputSpec = z.object({
  user_input: z.object({ arg: argument }).optional(),
  parameter: z.object({ arg: named, parameter_name: z.string() }).optional(),
  buffer: z.object({ arg: named, buffer_name: z.string() }).optional(),
  tensor_constant: z.object({ arg: named, tensor_constant_name: z.string() }).optional(),
});

const exportedProgram = z.object({
  graph_module: z.object({
    graph: z.object({
      nodes: z.array(node),
      tensor_values: z.record(
        z.string(),
        z.object({ dtype: z.number(), sizes: z.array(size), strides: z.array(size) }),
      ),
      sym_int_values: z.record(z.string(), size).default({}),
      sym_float_values: z.record(z.string(), size).default({}),
    }),
    signature: z.object({
      input_specs: z.array(inputSpec),
      output_specs: z.array(z.object({ user_output: z.object({ arg: argument }).optional() })),
    }),
  }),
});

export type SymbolicSize = z.output<typeof size>;
export type ProgramArgument = z.output<typeof argument>;
export type ProgramNode = z.output<typeof node>;
export type TensorMeta = Program['tensors'][string];

/** A network as `torch.export` writes it: calls of operators between inputs and logits. */
export interface Program {
  /** The model's file, for messages. */
  path: string;
  nodes: ProgramNode[];
  /** Types and sizes of the tensors by their names in the graph. */
  tensors: z.output<typeof exportedProgram>['graph_module']['graph']['tensor_values'];
  /** Named numbers that are computed from sizes. */
  numbers: Record<string, SymbolicSize>;
  /** The names of weights and constants in the model's file, by their names in the graph. */
  weights: Map<string, string>;
  /** The name of the batch of pictures, float32 (N, 3, H, W). */
  images: string;
  /** The name of the logits (N, classes). */
  logits: string;
}

/**
 * Reads an ExportedProgram's JSON.
 *
 * @param text models/model.json of a `.pt2`.
 * @param path The model's file, for messages.
 * @throws DistillError `ERR_GRAPH` where it is none, or no classifier of pictures.
 */
export function parseProgram(text: string, path: string): Program {
  const refuse = (what: string) =>
    new DistillError(
      'ERR_GRAPH',
      `The graph of '${path}' ${what}; export a classifier of pictures (N, 3, H, W) to logits (N, classes) with torch.export.export.`,
    );
  const parsed = exportedProgram.safeParse(jsonOf(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`is none of torch.export (${issue?.path.join('.') || 'its JSON'} is wrong)`);
  }
  const { graph, signature } = parsed.data.graph_module;
  const weights = new Map<string, string>();
  const inputs: string[] = [];
  for (const { user_input, parameter, buffer, tensor_constant } of signature.input_specs) {
    if (user_input?.arg.as_tensor) inputs.push(user_input.arg.as_tensor.name);
    if (parameter) weights.set(parameter.arg.name, parameter.parameter_name);
    if (buffer) weights.set(buffer.arg.name, buffer.buffer_name);
    if (tensor_constant) {
      weights.set(tensor_constant.arg.name, tensor_constant.tensor_constant_name);
    }
  }
  const rankOf = (name: string) => graph.tensor_values[name]?.sizes.length;
  const [images, ...others] = inputs;
  if (images === undefined || rankOf(images) !== 4) throw refuse('takes no batch of pictures');
  if (others.length > 0) throw refuse(`takes ${inputs.length} tensors instead of one`);
  const outputs = signature.output_specs.flatMap(({ user_output }) => {
    const name = user_output?.arg.as_tensor?.name;
    return name === undefined ? [] : [name];
  });
  const logits = outputs.find((name) => rankOf(name) === 2);
  if (logits === undefined) throw refuse('gives no logits');
  return {
    path,
    nodes: graph.nodes,
    tensors: graph.tensor_values,
    numbers: { ...graph.sym_int_values, ...graph.sym_float_values },
    weights,
    images,
    logits,
  };
}

/** Returns the names of the weights and constants that a program reads, but for the counts of BatchNorm's batches. */
export function weightsOf({ nodes, weights }: Program): string[] {
  const read = nodes.flatMap(({ inputs }) =>
    inputs.flatMap(({ arg }) => {
      const { as_tensor, as_tensors, as_optional_tensor, as_optional_tensors } = arg;
      const listed = [as_optional_tensor, ...(as_optional_tensors ?? [])].map(
        (one) => one?.as_tensor,
      );
      return [as_tensor, ...(as_tensors ?? []), ...listed].map((tensor) => tensor?.name ?? '');
    }),
  );
  const names = read.map((name) => weights.get(name) ?? '');
  return [...new Set(names)].filter((name) => name && !/(^|\.)num_batches_tracked$/.test(name));
}

/** Returns how many bytes the weights and constants take as ONNX has them: float32 and int64. */
export function sizeOfWeights(program: Program): number {
  const read = new Set(weightsOf(program));
  let bytes = 0;
  for (const [name, weight] of program.weights) {
    const meta = program.tensors[name];
    if (!meta || !read.has(weight)) continue;
    const elements = meta.sizes.reduce((product, { as_int = 1 }) => product * as_int, 1);
    bytes += elements * (meta.dtype <= 5 ? 8 : 4);
  }
  return bytes;
}

/** Returns the content of a JSON text that may have Python's `Infinity` and `NaN`; `undefined` where it is none. */
function jsonOf(text: string): unknown {
  const strict = text.replace(
    /([[:,]\s*)(-?Infinity|NaN)(?=\s*[\],}])/g,
    (_, before: string, value: string) => `${before}"${value}"`,
  );
  try {
    return JSON.parse(strict);
  } catch {
    return undefined;
  }
}
