import type { Call } from './call.js';
import { knownSize } from './emit.js';
import type { Operators } from './operators.js';
import { contentOf, type Value } from './values.js';

export const ATTENTIONS: Operators = {
  scaled_dot_product_attention: attention,
  _scaled_dot_product_attention_math: (call) => [attention(call)],
  _scaled_dot_product_flash_attention_for_cpu: (call) => [attention(call)],
  _scaled_dot_product_flash_attention: (call) => [attention(call)],
  _scaled_dot_product_efficient_attention: (call) => [attention(call)],
};

/** softmax(q k^T scale + mask) v, of queries, keys and values (..., length, size). */
function attention(call: Call): string {
  const [query, key] = [call.tensor('query'), call.tensor('key')];
  if (call.flag('is_causal')) throw call.refuse('is causal');
  if (call.flag('enable_gqa')) throw call.refuse('shares keys among groups of queries');
  const scale = call.has('scale') ? call.number('scale') : knownSize(call, query, -1) ** -0.5;
  const { length } = key.shape;
  const last = [length - 1, length - 2];
  const perm = [...key.shape.keys()].slice(0, -2).concat(last);
  const transposed = call.node('Transpose', [contentOf(key)], { perm });
  // The root goes to both sides, as in PyTorch, so that the products stay small.
  const root = call.graph.float(Math.sqrt(scale));
  const q = call.node('Mul', [contentOf(query), root]);
  const scores = call.node('MatMul', [q, call.node('Mul', [transposed, root])]);
  const mask = call.optionalTensor('attn_mask') ?? call.optionalTensor('attn_bias');
  const weights = call.node('Softmax', [mask ? masked(call, scores, mask) : scores], { axis: -1 });
  return call.node('MatMul', [weights, call.content('value')]);
}

/** Adds a mask of numbers; one of booleans is where to attend. */
function masked(call: Call, scores: string, mask: Value): string {
  const content = contentOf(mask);
  return mask.kind === 'bool'
    ? call.node('Where', [content, scores, call.graph.float(Number.NEGATIVE_INFINITY)])
    : call.node('Add', [scores, content]);
}
