import { loadAddon, native } from '../../lib/addon.js';
import { inspect } from '../../lib/index.js';

/** Every tensor of a file: shape, dtype and values, in the file's order. */
export async function readAll(file: string) {
  const { tensors } = await inspect(file);
  const read = [];
  for (const { name, shape, dtype } of tensors) {
    const { data } = await native(loadAddon().readTensor(file, name));
    read.push([name, { shape, dtype, data: Array.from(data) }] as const);
  }
  return Object.fromEntries(read);
}
