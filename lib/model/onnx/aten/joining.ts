import type { Call } from './call.js';
import {
  axisOf,
  cast,
  concat,
  knownSize,
  reshape,
  sizesOf,
  slice,
  unsqueeze,
  vector,
} from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Size } from './values.js';

export const JOININGS: Operators = {
  cat: (call) => joined(call, call.int('dim', 0)),
  concat: (call) => joined(call, call.int('dim', 0)),
  hstack: (call) => joined(call, call.output().shape.length > 1 ? 1 : 0),
  vstack: (call) => joined(call, 0),
  stack: (call) => {
    const axis = axisOf(call.int('dim', 0), call.output().shape.length);
    const parts = call.tensors('tensors').map((value) => unsqueeze(call, contentOf(value), axis));
    return concat(call, parts, axis);
  },
  repeat: (call) => tiled(call, call.sizes('repeats')),
  tile: (call) => tiled(call, call.sizes('dims')),
  repeat_interleave: repeatEach,
  roll: rolled,
  flip: flipped,
  constant_pad_nd: (call) => padded(call, 'constant'),
  pad: (call) => padded(call, call.text('mode', 'constant')),
  reflection_pad1d: (call) => padded(call, 'reflect', 'padding'),
  reflection_pad2d: (call) => padded(call, 'reflect', 'padding'),
  replication_pad1d: (call) => padded(call, 'replicate', 'padding'),
  replication_pad2d: (call) => padded(call, 'replicate', 'padding'),
  pixel_shuffle: (call) => pixelShuffle(call),
  pixel_unshuffle: (call) => pixelUnshuffle(call),
  channel_shuffle: channelShuffle,
  tril: (call) => triangle(call, 0),
  triu: (call) => triangle(call, 1),
};

function joined(call: Call, axis: number): string {
  const { kind } = call.output();
  // PyTorch passes over an empty vector among tensors of more dimensions.
  const parts = call
    .tensors('tensors')
    .filter(({ shape }) => !(shape.length === 1 && shape[0] === 0))
    .map((value) => cast(call, contentOf(value), value.kind, kind));
  return concat(call, parts, axis);
}

function tiled(call: Call, repeats: readonly Size[]): string {
  const { length } = call.first.shape;
  const missing = Math.max(0, repeats.length - length);
  const leading = Array.from({ length: missing }, (_, axis) => axis);
  const x = missing === 0 ? call.x : unsqueeze(call, call.x, ...leading);
  const all = [...Array<Size>(Math.max(0, length - repeats.length)).fill(1), ...repeats];
  return call.node('Tile', [x, vector(call, all)]);
}

/** Repeats each element along a dimension. */
function repeatEach(call: Call): string {
  const { shape } = call.first;
  if (!call.has('dim')) throw call.refuse('flattens its input');
  const axis = axisOf(call.int('dim'), shape.length);
  const repeats = call.int('repeats');
  const each = shape.map(() => 1);
  each.splice(axis + 1, 0, repeats);
  const tiles = call.node('Tile', [unsqueeze(call, call.x, axis + 1), vector(call, each)]);
  return reshape(call, tiles, call.output().shape, () => {
    const sizes = sizesOf(call, call.first);
    sizes[axis] = -1;
    return sizes;
  });
}

/** Moves elements along dimensions; those that leave at one end enter at the other. */
function rolled(call: Call): string {
  const shifts = call.ints('shifts');
  const dims = call.ints('dims', []);
  if (dims.length !== shifts.length) throw call.refuse('rolls all dimensions as one');
  return dims.reduce((x, dim, i) => {
    const axis = axisOf(dim, call.first.shape.length);
    const size = knownSize(call, call.first, axis);
    const shift = (((shifts[i] ?? 0) % size) + size) % size;
    if (shift === 0) return x;
    const [head, tail] = [
      slice(call, x, axis, 0, size - shift),
      slice(call, x, axis, size - shift),
    ];
    return concat(call, [tail, head], axis);
  }, call.x);
}

function flipped(call: Call): string {
  return call.ints('dims').reduce((x, dim) => {
    const axis = axisOf(dim, call.first.shape.length);
    return slice(call, x, axis, -1, -Number.MAX_SAFE_INTEGER, -1);
  }, call.x);
}

const MODES: Readonly<Record<string, string>> = {
  constant: 'constant',
  reflect: 'reflect',
  replicate: 'edge',
};

/** Pads dimensions; PyTorch lists both sides of the last one first. */
function padded(call: Call, mode: string, list = 'pad'): string {
  const { length } = call.first.shape;
  const pads = call.sizes(list);
  const before = Array<Size>(length).fill(0);
  const after = Array<Size>(length).fill(0);
  for (let i = 0; i < pads.length / 2; i++) {
    before[length - 1 - i] = pads[2 * i] ?? 0;
    after[length - 1 - i] = pads[2 * i + 1] ?? 0;
  }
  const type = Object.hasOwn(MODES, mode) ? MODES[mode] : undefined;
  if (type === undefined) throw call.refuse(`pads in the mode '${mode}'`);
  const inputs = [call.x, vector(call, [...before, ...after])];
  const value = call.has('value') ? call.number('value') : 0;
  if (value !== 0) inputs.push(call.graph.float(value));
  return call.node('Pad', inputs, { mode: type });
}

function pixelShuffle(call: Call): string {
  const attributes = { blocksize: call.int('upscale_factor'), mode: 'CRD' };
  return call.node('DepthToSpace', [call.x], attributes);
}

/** (B, C, H r, W r) to (B, C r r, H, W); ONNX's SpaceToDepth has the channels last among them. */
function pixelUnshuffle(call: Call): string {
  const factor = call.int('downscale_factor');
  const [channels, height, width] = [1, 2, 3].map((dim) => knownSize(call, call.first, dim)) as [
    number,
    number,
    number,
  ];
  const [rows, columns] = [height / factor, width / factor];
  const cut = call.graph.integers(-1, channels, rows, factor, columns, factor);
  const cells = call.node('Reshape', [call.x, cut]);
  const moved = call.node('Transpose', [cells], { perm: [0, 1, 3, 5, 2, 4] });
  const target = call.graph.integers(-1, channels * factor * factor, rows, columns);
  return call.node('Reshape', [moved, target]);
}

/** (B, g c, H, W) to (B, c g, H, W). */
function channelShuffle(call: Call): string {
  const groups = call.int('groups');
  const [channels, height, width] = [1, 2, 3].map((dim) => knownSize(call, call.first, dim)) as [
    number,
    number,
    number,
  ];
  const cut = call.graph.integers(-1, groups, channels / groups, height, width);
  const moved = call.node('Transpose', [call.node('Reshape', [call.x, cut])], {
    perm: [0, 2, 1, 3, 4],
  });
  return call.node('Reshape', [moved, call.graph.integers(-1, channels, height, width)]);
}

function triangle(call: Call, upper: number): string {
  const diagonal = call.graph.integer(call.int('diagonal', 0));
  return call.node('Trilu', [call.x, diagonal], { upper });
}
