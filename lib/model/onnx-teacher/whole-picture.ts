import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ValueInfoProto } from '../onnx/onnx_pb.js';
import { ModelProtoSchema } from '../onnx/onnx_pb.js';

/**
 * Makes a model of pixels that are cut out already of one that `exportOnnx()` wrote with `input: 'picture'`: the nodes that
 * resize and crop a picture are left out, as this package has done their work. The batch is of any size then.
 *
 * @returns The model, whose input has the same name and is uint8 (N, 3, imageSize, imageSize).
 * @throws Error where the model is another.
 */
export function withoutPictureSteps(bytes: Uint8Array): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  const { graph } = model;
  const [input] = graph?.input ?? [];
  // The pixels are cast and divided by 255 when they have been cut out.
  const division = graph?.node.find(({ opType, input }) => opType === 'Div' && input[1] === WHITE);
  const cast = graph?.node.findIndex(({ output }) => output[0] === division?.input[0]) ?? -1;
  const first = graph?.node[cast];
  if (!graph || !input || first?.opType !== 'Cast') throw new Error('its steps are not known');
  first.input = [input.name];
  graph.node = graph.node.slice(cast);
  setAnyBatch(input, 4);
  for (const output of graph.output) setAnyBatch(output, 2);
  return toBinary(ModelProtoSchema, model);
}

/** The constant that ../onnx/student.ts divides pixels by. */
const WHITE = 'white';

function setAnyBatch({ type }: ValueInfoProto, rank: number): void {
  if (type?.value.case !== 'tensorType') throw new Error('it has no tensors');
  const { shape } = type.value.value;
  if (!shape) return;
  // Sides of any length: onnxruntime finds them out.
  const dimension = shape.dim[0];
  if (!dimension) throw new Error('it has no shapes');
  shape.dim = Array.from({ length: rank }, (_, i) => ({
    ...dimension,
    value: { case: 'dimParam', value: `side_${i}` },
  }));
}
