import { DistillError } from '../../errors.js';
import type { PixelPreprocessing } from '../preprocessing.js';
import type { Graph } from './graph.js';
import { TensorProto_DataType } from './onnx_pb.js';

// The steps from a decoded picture to a network's pixels, as operators of ONNX. Sizes are vectors of int64, (height, width).

/** The opset whose `Resize` has `antialias`. */
const ANTIALIAS_OPSET = 18;

/** Pillow's filters as `Resize` has them. Its weights outside of a picture are left out, and the others sum up to 1. */
const FILTERS = {
  bilinear: { mode: 'linear' },
  bicubic: { mode: 'cubic', cubic_coeff_a: -0.5 },
} as const;

/**
 * Checks that a graph can do these steps.
 *
 * @throws DistillError `ERR_OPTION` where a filter or the opset lacks an operator.
 */
export function expectOperators(
  { resize, interpolation }: PixelPreprocessing,
  { opset }: { opset: number },
): void {
  if (resize === null || interpolation === 'nearest') return;
  if (!(interpolation in FILTERS)) {
    throw new DistillError(
      'ERR_OPTION',
      `ONNX has no operator that resizes with the filter '${interpolation}': with \`input: 'picture'\` a student is needed that was trained with bilinear, bicubic or nearest; or export \`input: 'uint8'\` and resize each picture before it is fed.`,
    );
  }
  if (opset < ANTIALIAS_OPSET) {
    throw new DistillError(
      'ERR_OPTION',
      `Expected \`opset\` ${ANTIALIAS_OPSET} or later for \`input: 'picture'\` but received ${opset}: earlier ones cannot resize with antialiasing; export \`input: 'uint8'\` for older runtimes.`,
    );
  }
}

/**
 * Adds the steps from one picture to a network's pixels: resize, padding, crop.
 *
 * `Resize` of uint8 works as Pillow does, with weights in fixed point of 22 bits and values rounded to uint8 after each
 * of its two passes. But its weights are computed in float32 instead of float64, so that a value in some thousands
 * differs by one. The passes are nodes of their own, because Pillow 13 chooses which is first.
 *
 * @param picture The name of the input, uint8 (H, W, 3).
 * @returns The name of the pixels, uint8 (1, 3, imageSize, imageSize).
 */
export function cropOfPicture(
  graph: Graph,
  picture: string,
  { resize, interpolation, padding, crop, cropRounding, imageSize }: PixelPreprocessing,
): string {
  const sides = graph.node('Shape', [picture], { start: 0, end: 2 });
  let x = graph.node('Transpose', [picture], { perm: [2, 0, 1] });
  x = graph.node('Unsqueeze', [x, graph.integers(0)]); // (1, 3, H, W)
  let size = sides;
  if (resize !== null) {
    size = resizedSides(graph, sides, resize);
    x =
      interpolation === 'nearest'
        ? resizeNearest(graph, x, sides, size)
        : resizeSmoothly(graph, x, sides, size, FILTERS[interpolation as keyof typeof FILTERS]);
  }
  const [left, top, right, bottom] = padding;
  let before = graph.integers(top, left);
  let after = graph.integers(bottom, right);
  const padded = graph.node('Add', [size, graph.integers(top + bottom, left + right)]);
  if (!crop) return pad(graph, x, before, after);
  // torchvision's CenterCrop pads a picture that is smaller than the crop: half of what is missing, rounded down, first.
  const side = graph.integers(imageSize);
  const missing = atLeastZero(graph, graph.node('Sub', [side, padded]));
  const half = graph.node('Div', [missing, graph.integers(2)]);
  before = graph.node('Add', [before, half]);
  after = graph.node('Add', [after, graph.node('Sub', [missing, half])]);
  x = pad(graph, x, before, after);
  const surplus = atLeastZero(graph, graph.node('Sub', [padded, side]));
  const start = cropOffset(graph, surplus, cropRounding);
  return graph.node('Slice', [x, start, graph.node('Add', [start, side]), graph.integers(2, 3)]);
}

/** Returns the sides after torchvision's Resize: where one number is given, the longer side is rounded down. */
function resizedSides(
  graph: Graph,
  sides: string,
  resize: NonNullable<PixelPreprocessing['resize']>,
): string {
  if (typeof resize !== 'number') return graph.integers(...resize);
  const short = graph.node('ReduceMin', [sides]);
  const scaled = graph.node('Mul', [sides, graph.integers(resize)]);
  return graph.node('Div', [scaled, short]);
}

/** Resizes as Pillow does: each side in a pass of its own. A pass whose side stays as it is changes nothing. */
function resizeSmoothly(
  graph: Graph,
  x: string,
  sides: string,
  size: string,
  filter: (typeof FILTERS)[keyof typeof FILTERS],
): string {
  const attributes = {
    ...filter,
    coordinate_transformation_mode: 'half_pixel',
    antialias: 1,
    exclude_outside: 1,
  };
  const pass = (from: string, to: string) => {
    const sizes = graph.node('Concat', [graph.integers(1, 3), to], { axis: 0 });
    return graph.node('Resize', [from, '', '', sizes], attributes);
  };
  // Height first if it loses more than twice of what the width loses.
  const loss = graph.node('Sub', [sides, size]);
  const [height, width] = [0, 1].map((side) => graph.node('Gather', [loss, graph.integers(side)]));
  const twice = graph.node('Mul', [width as string, graph.integers(2)]);
  const isHeightFirst = graph.node('Greater', [height as string, atLeastZero(graph, twice)]);
  const isFirst = graph.node('Equal', [isHeightFirst, graph.booleans(true, false)]);
  const first = graph.node('Where', [isFirst, size, sides]);
  return pass(pass(x, first), size);
}

/** Takes for each row and column the nearest, as Pillow finds it: by adding up the scale in float64. */
function resizeNearest(graph: Graph, x: string, sides: string, size: string): string {
  const to = TensorProto_DataType.DOUBLE;
  const [from, into] = [sides, size].map((of) => graph.node('Cast', [of], { to }));
  const scales = graph.node('Div', [from as string, into as string]);
  for (const side of [0, 1]) {
    const [scale, count] = [scales, size].map((of) =>
      graph.node('Gather', [of, graph.integers(side)]),
    ) as [string, string];
    const steps = graph.node('Expand', [scale, graph.node('Sub', [count, graph.integers(1)])]);
    const two = graph.node('Cast', [graph.integers(2)], { to });
    const first = graph.node('Div', [scale, two]);
    const all = graph.node('Concat', [first, steps], { axis: 0 });
    const places = graph.node('CumSum', [all, graph.integers(0)]);
    const indices = graph.node('Cast', [places], { to: TensorProto_DataType.INT64 });
    x = graph.node('Gather', [x, indices], { axis: 2 + side });
  }
  return x;
}

/** Surrounds pixels (1, 3, H, W) with black. */
function pad(graph: Graph, x: string, before: string, after: string): string {
  const rest = graph.integers(0, 0);
  const pads = graph.node('Concat', [rest, before, rest, after], { axis: 0 });
  return graph.node('Pad', [x, pads]);
}

/** Returns where a crop begins: at half of the surplus, rounded to the even number as by torchvision's CenterCrop, or down. */
function cropOffset(
  graph: Graph,
  surplus: string,
  rounding: PixelPreprocessing['cropRounding'],
): string {
  const two = graph.integers(2);
  const half = graph.node('Div', [surplus, two]);
  if (rounding === 'down') return half;
  const isOdd = [surplus, half].map((value) => graph.node('Mod', [value, two]));
  return graph.node('Add', [half, graph.node('Mul', isOdd)]);
}

function atLeastZero(graph: Graph, value: string): string {
  return graph.node('Max', [value, graph.integers(0)]);
}

/** Says the steps in words, such as `resizes the shorter side to 256 (bilinear)`. */
export function stepsOf({
  resize,
  interpolation,
  padding,
  crop,
  imageSize,
}: PixelPreprocessing): string {
  const sides =
    typeof resize === 'number' ? `the shorter side to ${resize}` : `to ${resize?.join(' x ')}`;
  const steps = [
    resize === null ? '' : `resizes ${sides} (${interpolation})`,
    padding.some((pixels) => pixels > 0) ? `adds black on each side (${padding.join(', ')})` : '',
    crop ? `takes the ${imageSize} x ${imageSize} in the middle` : '',
  ];
  return steps.filter(Boolean).join(', ');
}
