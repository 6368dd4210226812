import type { OnnxInput } from '../../options/export-onnx.js';
import type { Preprocessing } from '../preprocessing.js';
import type { Graph, OnnxValue } from './graph.js';
import { TensorProto_DataType } from './onnx_pb.js';
import { cropOfPicture } from './picture.js';

// The input and the output of a model, whatever network is between them.

/** What is around the network in a model. */
export interface ModelEnds {
  preprocessing: Preprocessing;
  labels: readonly string[];
  input: OnnxInput;
  softmax: boolean;
  dynamicSize: boolean;
}

export function inputOf({ input, dynamicSize, preprocessing }: ModelEnds): OnnxValue {
  const { imageSize } = preprocessing;
  const size = dynamicSize ? ['height', 'width'] : [imageSize, imageSize];
  switch (input) {
    case 'picture':
      return { name: 'picture', type: 'uint8', shape: ['height', 'width', 3] };
    case 'uint8':
      return { name: 'pixels', type: 'uint8', shape: ['N', ...size, 3] };
    default:
      return { name: 'images', type: 'float32', shape: ['N', 3, ...size] };
  }
}

/** Returns what a model gives: (N, classes), or one row for a whole picture. */
export function outputOf({ input, softmax, labels }: ModelEnds): OnnxValue {
  const count = input === 'picture' ? 1 : 'N';
  const name = softmax ? 'probabilities' : 'logits';
  return { name, type: 'float32', shape: [count, labels.length] };
}

/** Makes the network's input of the model's, in the order of torchvision's ToTensor and Normalize. */
export function normalized(
  graph: Graph,
  images: string,
  { input, preprocessing }: ModelEnds,
): string {
  if (input === 'normalized') return images;
  const { mean, std } = preprocessing;
  const channels = (name: string, values: readonly number[]) =>
    graph.weight(name, [1, 3, 1, 1], Float32Array.from(values));
  let x = images;
  if (input === 'uint8') x = graph.node('Transpose', [x], { perm: [0, 3, 1, 2] });
  if (input === 'picture') x = cropOfPicture(graph, x, preprocessing);
  if (input !== 'float') {
    x = graph.node('Cast', [x], { to: TensorProto_DataType.FLOAT });
    x = graph.node('Div', [x, graph.weight('white', [], Float32Array.of(255))]);
  }
  x = graph.node('Sub', [x, channels('mean', mean)]);
  return graph.node('Div', [x, channels('std', std)]);
}
