import { writeFileSync } from 'node:fs';
import { zip } from './pth.js';

/** A tensor's description in an exported program: what torch/_export/serde/schema.py calls PayloadMeta. */
export interface Payload {
  path_name: string;
  is_param: boolean;
  use_pickle: boolean;
  tensor_meta: Record<string, unknown> | null;
}

/** The smallest graph that a reader of the archive looks into. */
export const emptyGraph = {
  graph_module: {},
  opset_version: { aten: 10 },
  range_constraints: {},
  schema_version: { major: 8, minor: 20 },
  torch_version: '2.13.0',
};

/** Returns the description of a float32 tensor in `path_name`, contiguous unless `more` says otherwise. */
export function payload(path_name: string, shape: number[], more: Record<string, unknown> = {}) {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const symInts = (values: number[]) => values.map((value) => ({ as_int: value }));
  const { use_pickle = false, ...meta } = more;
  return {
    path_name,
    is_param: true,
    use_pickle,
    tensor_meta: {
      dtype: 7,
      sizes: symInts(shape),
      requires_grad: true,
      device: { type: 'cpu', index: null },
      strides: symInts(strides),
      storage_offset: { as_int: 0 },
      layout: 7,
      ...meta,
    },
  } as Payload;
}

/** Records of an archive as torch.export.save writes it, with two weights and one constant; `more` adds or replaces. */
export function pt2Records(
  more: Record<string, Buffer | string | null> = {},
): Record<string, Buffer | string> {
  const config = (entries: Record<string, Payload>) => JSON.stringify({ config: entries });
  const records: Record<string, Buffer | string | null> = {
    'data/weights/weight_0': floats([1, 2, 3, 4, 5, 6]),
    'data/weights/weight_1': floats([7, 8]),
    'data/weights/model_weights_config.json': config({
      'fc.weight': payload('weight_0', [2, 3]),
      'fc.bias': payload('weight_1', [2]),
    }),
    'data/constants/tensor_0': floats([9]),
    'data/constants/model_constants_config.json': config({ scale: payload('tensor_0', [1]) }),
    'models/model.json': JSON.stringify(emptyGraph),
    archive_format: 'pt2',
    archive_version: '0',
    byteorder: 'little',
    ...more,
  };
  return Object.fromEntries(
    Object.entries(records).filter(
      (entry): entry is [string, Buffer | string] => entry[1] !== null,
    ),
  );
}

/** Writes such an archive. */
export async function writePt2(
  file: string,
  more: Record<string, Buffer | string | null> = {},
): Promise<string> {
  writeFileSync(file, await zip(pt2Records(more), { folder: 'model/' }));
  return file;
}

/** The records' names and their config with these weights. */
export const weightsConfig = (entries: Record<string, unknown>) => ({
  'data/weights/model_weights_config.json': JSON.stringify({ config: entries }),
});

export const floats = (values: number[]) => Buffer.from(Float32Array.from(values).buffer);
