import type { Graph } from './graph.js';

// Changes of a whole model that leave its answers as they are.

type Node = Graph['nodes'][number];

/** Makes each BatchNorm part of the convolution before it, where nothing else reads that: (x * w + b - mean) * s + beta, with s = gamma / sqrt(var + eps). */
export function foldBatchNorms(graph: Graph, output: string): void {
  const readers = new Map<string, number>([[output, 1]]);
  for (const name of graph.nodes.flatMap(({ input }) => input ?? [])) {
    readers.set(name, (readers.get(name) ?? 0) + 1);
  }
  const makers = new Map(graph.nodes.map((node) => [node.output?.[0] ?? '', node]));
  const floats = new Map(graph.weights.map((weight) => [weight.name ?? '', weight]));
  const read = (name = '') => {
    const raw = floats.get(name)?.rawData;
    return raw && new Float32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4);
  };
  const folded = new Set<Node>();
  for (const norm of graph.nodes) {
    if (norm.opType !== 'BatchNormalization') continue;
    const conv = makers.get(norm.input?.[0] ?? '');
    if (conv?.opType !== 'Conv' || readers.get(conv.output?.[0] ?? '') !== 1) continue;
    const [x = '', kernel = '', bias] = conv.input ?? [];
    const weight = read(kernel);
    const shift = bias === undefined ? undefined : read(bias);
    const [gamma, beta, mean, variance] = (norm.input ?? []).slice(1).map(read);
    if (!weight || !gamma || !beta || !mean || !variance || (bias !== undefined && !shift))
      continue;
    const eps = norm.attribute?.[0]?.f ?? 0;
    const channels = gamma.length;
    const size = weight.length / channels; // of a filter
    const filters = new Float32Array(weight.length);
    const shifts = new Float32Array(channels);
    for (let c = 0; c < channels; c++) {
      const scale = (gamma[c] ?? 0) / Math.sqrt((variance[c] ?? 0) + eps);
      for (let i = c * size; i < (c + 1) * size; i++) filters[i] = (weight[i] ?? 0) * scale;
      shifts[c] = ((shift?.[c] ?? 0) - (mean[c] ?? 0)) * scale + (beta[c] ?? 0);
    }
    const dims = (floats.get(kernel)?.dims ?? []).map(Number);
    // A kernel that several convolutions share has a copy for each.
    const name = norm.output?.[0] ?? '';
    conv.input = [
      x,
      graph.weight(`${kernel}/${name}`, dims, filters),
      graph.weight(`${kernel}/${name}/bias`, [channels], shifts),
    ];
    conv.output = [name];
    folded.add(norm);
  }
  keep(graph.nodes, (node) => !folded.has(node));
}

/** Removes what the output does not depend on. */
export function removeUnused(graph: Graph, output: string): void {
  const used = new Set([output]);
  const needed = new Set<Node>();
  for (const node of [...graph.nodes].reverse()) {
    if (!node.output?.some((name) => used.has(name))) continue;
    needed.add(node);
    for (const name of node.input ?? []) used.add(name);
  }
  keep(graph.nodes, (node) => needed.has(node));
  keep(graph.weights, ({ name = '' }) => used.has(name));
}

function keep<T>(list: T[], test: (item: T) => boolean): void {
  list.splice(0, list.length, ...list.filter(test));
}
