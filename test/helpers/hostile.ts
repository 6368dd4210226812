import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { loadAddon, native } from '../../lib/addon.js';
import { inspect } from '../../lib/index.js';
import { changed } from '../../scripts/soak/graphs/archive.js';
import { refusalOf } from './results.js';

/** A small exported program: sub, div, conv2d, batch_norm, relu, adaptive_avg_pool2d, flatten, linear. */
export const tiny = readFileSync(
  fileURLToPath(new URL('../fixtures/pt2/torch-2.13.pt2', import.meta.url)),
);

// biome-ignore lint/suspicious/noExplicitAny: JSON that is to be wrong in any way
export type Json = any;

/** Numbers that JavaScript would round. */
const LARGE = /"(-?\d{16,})"/g;

/** The archive with its graph changed in place. Strings of 16 digits and more become numbers. */
export const graphOf = (edit: (graph: Json, json: Json) => void): Buffer =>
  changed(tiny, {
    'models/model.json': (json: Json) => {
      edit(json.graph_module.graph, json);
      return json;
    },
  });

/** As `graphOf`, with numbers of any size. */
export function largeGraphOf(edit: (graph: Json, json: Json) => void): Buffer {
  const text = JSON.stringify(jsonOf(edit)).replace(LARGE, '$1');
  return changed(tiny, { 'models/model.json': text });
}

export function jsonOf(edit: (graph: Json, json: Json) => void): Json {
  let result: Json;
  changed(tiny, {
    'models/model.json': (json: Json) => {
      edit(json.graph_module.graph, json);
      result = json;
    },
  });
  return result;
}

export const value = (name: string) => ({ as_tensor: { name } });
export const int = (number: number | string) => ({ as_int: number });
export const ints = (...numbers: (number | string)[]) => ({ as_ints: numbers });
export const float = (number: number | string) => ({ as_float: number });

/** A node that calls an operator of ATen, or another target where there is a colon or two dots in front. */
export function node(
  target: string,
  args: Record<string, Json>,
  outputs: Json[] = [value('bad')],
): Json {
  return {
    target: /^(torch|_operator|math)/.test(target) ? target : `torch.ops.aten.${target}`,
    inputs: Object.entries(args).map(([name, arg]) => ({ name, arg, kind: 1 })),
    outputs,
    metadata: {},
    name: 'bad',
  };
}

/** Calls before the last layer; the mean of the value 'bad' is added to its input. */
export function withCalls(...calls: Json[]): Buffer {
  return largeGraphOf(({ nodes }) => {
    const named = (name: string, call: Json) => ({ ...call, name, outputs: [value(name)] });
    nodes.splice(
      -1,
      0,
      ...calls,
      named('as_float', node('to.dtype', { self: value('bad'), dtype: { as_scalar_type: 7 } })),
      named('mean', node('mean.default', { self: value('as_float') })),
      named('sum', node('add.Tensor', { self: value('flatten'), other: value('mean') })),
    );
    nodes.at(-1).inputs[0].arg = value('sum');
  });
}

/** The archive with the description of one weight changed. */
export const weightOf = (name: string, edit: (payload: Json) => void): Buffer =>
  changed(tiny, { 'model_weights_config.json': (json: Json) => edit(json.config[name]) });

const folder = mkdtempSync(path.join(tmpdir(), 'distill-hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** Writes an archive; returns its path. */
export function write(bytes: Buffer): string {
  const file = path.join(folder, `${++files}.pt2`);
  writeFileSync(file, bytes);
  return file;
}

const numbers = { imageSize: 8, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
const execution = { device: 'cpu', precision: 'fp32', threads: 1 } as const;

/** The logits of a grey picture. */
export async function classify(model: string): Promise<Float32Array> {
  const classifier = new (loadAddon().Classifier)({
    model,
    averaged: false,
    ...numbers,
    ...execution,
  });
  try {
    await native(classifier.load());
    return await native(classifier.logits(new Uint8Array(8 * 8 * 3).fill(128)));
  } finally {
    await classifier.close();
  }
}

async function teach(model: string): Promise<unknown> {
  const session = new (loadAddon().Session)({ ...numbers, ...execution });
  try {
    await native(session.open());
    return await native(session.loadTeacher(model, false));
  } finally {
    await session.close();
  }
}

/** Expects a refusal by whoever computes with the file, and by inspect() where it looks that far. */
export async function expectRefusal(bytes: Buffer, code: string, ...says: string[]): Promise<void> {
  const file = write(bytes);
  for (const call of [() => classify(file), () => teach(file)]) {
    const error = await refusalOf(call());
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(`'${file}'`)]);
    for (const text of says) expect(error.message).toContain(text);
  }
  await inspect(file).catch((error) => expect(error).toMatchObject({ code }));
  rmSync(file);
}
