import type { NativeTensor } from '../../native.js';
import { convert } from './aten/convert.js';
import { foldBatchNorms, removeUnused } from './fold.js';
import { Graph, toModel } from './graph.js';
import { inputOf, type ModelEnds, normalized, outputOf } from './input.js';
import type { Program } from './program.js';

export interface NetworkGraph extends ModelEnds {
  program: Program;
  /** The weights and constants that {@link weightsOf} names. */
  tensors: ReadonlyMap<string, NativeTensor>;
  foldBatchNorm: boolean;
  opset: number;
  metadata: Readonly<Record<string, string>>;
  producerVersion: string;
  /** The architecture's name. */
  name: string;
}

/** An ONNX model that computes what a program does in evaluation mode. */
export function networkModel(options: NetworkGraph) {
  const { program, tensors, softmax, opset, metadata, producerVersion, name } = options;
  const graph = new Graph();
  const input = inputOf(options);
  const output = outputOf(options);
  const imageSize = options.dynamicSize ? null : options.preprocessing.imageSize;
  const images = normalized(graph, input.name, options);
  const logits = convert(graph, images, { program, tensors, imageSize, opset });
  graph.node(softmax ? 'Softmax' : 'Identity', [logits], softmax ? { axis: 1 } : {}, output.name);
  if (options.foldBatchNorm) foldBatchNorms(graph, output.name);
  removeUnused(graph, output.name);
  const model = toModel(graph, { name, input, output, opset, metadata, producerVersion });
  return { ...model, input, output };
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
