import { TensorProto_DataType } from '../onnx_pb.js';
import type { Call } from './call.js';
import { axisOf, constant, knownSize } from './emit.js';
import type { Operators } from './operators.js';

/** Operators that lay out windows of their input side by side. */
export const WINDOWS: Operators = {
  im2col: columns,
  unfold: unfolded,
};

/** (B, C, H, W) to (B, C kh kw, windows): a convolution that copies each pixel of a window to a channel of its own. */
function columns(call: Call): string {
  const channels = knownSize(call, call.first, 1);
  const [height = 1, width = 1] = call.ints('kernel_size');
  const area = height * width;
  const data = new Float32Array(channels * area * area);
  for (let i = 0; i < channels * area; i++) data[i * area + (i % area)] = 1;
  const shape = [channels * area, 1, height, width];
  const padding = call.ints('padding', [0, 0]);
  const kernel = constant(call, `windows_${shape.join('x')}`, shape, data);
  const pixels = call.node('Conv', [call.x, kernel], {
    kernel_shape: [height, width],
    strides: call.ints('stride', [1, 1]),
    pads: [...padding, ...padding],
    dilations: call.ints('dilation', [1, 1]),
    group: channels,
  });
  return call.node('Reshape', [pixels, call.graph.integers(0, channels * area, -1)]);
}

/** Windows of `size` every `step` along a dimension, each as a last dimension of its own. */
function unfolded(call: Call): string {
  const { length } = call.first.shape;
  const axis = axisOf(call.int('dimension'), length);
  const [size, step] = [call.int('size'), call.int('step')];
  const count = Math.floor((knownSize(call, call.first, axis) - size) / step) + 1;
  const places = BigInt64Array.from({ length: count * size }, (_, i) =>
    BigInt(Math.floor(i / size) * step + (i % size)),
  );
  const indices = call.graph.constant(
    `windows_${count}_${size}_${step}`,
    TensorProto_DataType.INT64,
    [count, size],
    places,
  );
  const windows = call.node('Gather', [call.x, indices], { axis });
  const dims = [...Array(length + 1).keys()].filter((dim) => dim !== axis + 1);
  return call.node('Transpose', [windows], { perm: [...dims, axis + 1] });
}
