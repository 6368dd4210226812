import type { NativeTensor } from '../../native.js';
import { convert } from './aten/convert.js';
import { foldBatchNorms, removeUnused } from './fold.js';
import { Graph, toModel } from './graph.js';
import { inputOf, type ModelEnds, normalized, outputOf } from './input.js';
import type { Program } from './program.js';

export interface NetworkGraph extends ModelEnds {
  program: Program;
  /** The weights and constants that `weightsOf()` names. */
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
