import type { Call } from './call.js';
import { constant, filled, reduce, reshape, sizesOf } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Value } from './values.js';

export const NORMALIZATIONS: Operators = {
  batch_norm: batchNorm,
  _batch_norm_impl_index: batchNorm,
  native_batch_norm: batchNorm,
  cudnn_batch_norm: batchNorm,
  _native_batch_norm_legit: batchNorm,
  _native_batch_norm_legit_no_training: batchNorm,
  _native_batch_norm_legit_functional: batchNorm,
  _batch_norm_no_update: batchNorm,
  _batch_norm_with_update: batchNorm,
  _batch_norm_with_update_functional: batchNorm,
  layer_norm: layerNorm,
  native_layer_norm: layerNorm,
  group_norm: (call) => groupNorm(call, call.int('num_groups')),
  native_group_norm: (call) => groupNorm(call, call.int('group')),
  instance_norm: (call) => instanceNorm(call, call.x, call.number('eps', 1e-5)),
  rms_norm: rmsNorm,
  local_response_norm: localResponseNorm,
};

function channelsOf(call: Call): number {
  const channels = call.first.shape[1];
  if (typeof channels !== 'number') throw call.refuse('has an unknown number of channels');
  return channels;
}

/** Returns a parameter, or a vector of one number where there is none. */
function parameter(call: Call, name: string, length: number, preset: number): string {
  const value = call.optionalTensor(name);
  return value ? contentOf(value) : filled(call, length, preset);
}

/** BatchNorm in evaluation mode, whatever mode the file was exported in; by the batch's own statistics where it has no others. */
function batchNorm(call: Call): string[] {
  const channels = channelsOf(call);
  const eps = call.number('eps', 1e-5);
  const scale = parameter(call, 'weight', channels, 1);
  const shift = parameter(call, 'bias', channels, 0);
  if (!call.has('running_mean')) return [byBatch(call, scale, shift, eps)];
  const [mean, variance] = [call.content('running_mean'), call.content('running_var')];
  const inputs = [call.x, scale, shift, mean, variance];
  return [call.node('BatchNormalization', inputs, { epsilon: { float: eps } })];
}

/** Normalises by mean and variance over all dimensions but the channels', as weight standardization does with its weights. */
function byBatch(call: Call, scale: string, shift: string, eps: number): string {
  const { shape } = call.first;
  const axes = shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const perChannel = (x: string) =>
    call.node('Reshape', [
      x,
      call.graph.integers(...shape.map((_, axis) => (axis === 1 ? -1 : 1))),
    ]);
  const centred = call.node('Sub', [call.x, reduce(call, 'ReduceMean', call.x, axes, true)]);
  const squared = call.node('Mul', [centred, centred]);
  const variance = reduce(call, 'ReduceMean', squared, axes, true);
  const deviation = call.node('Sqrt', [call.node('Add', [variance, call.graph.float(eps)])]);
  const normalized = call.node('Div', [centred, deviation]);
  const scaled = call.node('Mul', [normalized, perChannel(scale)]);
  return call.node('Add', [scaled, perChannel(shift)]);
}

function layerNorm(call: Call): string[] {
  const shape = call.ints('normalized_shape');
  const weight = call.optionalTensor('weight');
  const bias = call.optionalTensor('bias');
  const elements = shape.reduce((product, side) => product * side, 1);
  const ones = () =>
    constant(call, `1_${shape.join('x')}`, shape, new Float32Array(elements).fill(1));
  const inputs = [call.x, weight ? contentOf(weight) : ones()];
  if (bias) inputs.push(contentOf(bias));
  const attributes = { axis: -shape.length, epsilon: { float: call.number('eps', 1e-5) } };
  return [call.node('LayerNormalization', inputs, attributes)];
}

/** GroupNorm: InstanceNorm of the groups, then each channel's scale and shift. ONNX's own came with opset 21. */
function groupNorm(call: Call, groups: number): string[] {
  const { shape } = call.first;
  const eps = call.number('eps', 1e-5);
  const grouped = call.node('Reshape', [call.x, call.graph.integers(0, groups, -1)]);
  const inputs = [grouped, filled(call, groups, 1), filled(call, groups, 0)];
  const normalized = call.node('InstanceNormalization', inputs, { epsilon: { float: eps } });
  const x = reshape(call, normalized, shape, () => sizesOf(call, call.first));
  const perChannel = (value: Value) =>
    call.node('Reshape', [
      contentOf(value),
      call.graph.integers(-1, ...shape.slice(2).map(() => 1)),
    ]);
  const [weight, bias] = [call.optionalTensor('weight'), call.optionalTensor('bias')];
  const scaled = weight ? call.node('Mul', [x, perChannel(weight)]) : x;
  return [bias ? call.node('Add', [scaled, perChannel(bias)]) : scaled];
}

function instanceNorm(call: Call, x: string, eps: number): string {
  const channels = channelsOf(call);
  if (call.has('running_mean')) throw call.refuse('keeps running statistics');
  const inputs = [x, parameter(call, 'weight', channels, 1), parameter(call, 'bias', channels, 0)];
  return call.node('InstanceNormalization', inputs, { epsilon: { float: eps } });
}

/** x / sqrt(mean(x^2) + eps) * weight. `eps` is float32's by default, 2^-23. */
function rmsNorm(call: Call): string {
  const axes = call.ints('normalized_shape').map((_, i, all) => i - all.length);
  const mean = reduce(call, 'ReduceMean', call.node('Mul', [call.x, call.x]), axes, true);
  const eps = call.graph.float(call.has('eps') ? call.number('eps') : 2 ** -23);
  const normalized = call.node('Div', [call.x, call.node('Sqrt', [call.node('Add', [mean, eps])])]);
  const weight = call.optionalTensor('weight');
  return weight ? call.node('Mul', [normalized, contentOf(weight)]) : normalized;
}

/** x / (k + alpha mean(x^2))^beta, of the channels around each. */
function localResponseNorm(call: Call): string {
  const size = call.int('size');
  if (size % 2 === 0) throw call.refuse('has an even `size`');
  return call.node('LRN', [call.x], {
    size,
    alpha: { float: call.number('alpha', 1e-4) },
    beta: { float: call.number('beta', 0.75) },
    bias: { float: call.number('k', 1) },
  });
}
