import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { type TeachOptions, teach } from '../../lib/index.js';
import { temporaryFolder, writeDataset } from './dataset.js';
import { refusalOf } from './results.js';

export const judge = fileURLToPath(new URL('../parity/judge/teacher.py', import.meta.url));
export const folder = temporaryFolder();
export let dataset: string;

beforeAll(async () => {
  dataset = await writeDataset(path.join(folder, 'dataset'));
});

let count = 0;
/** Options for a run of moments, with a teacher's file of its own. */
export function options<More extends Partial<TeachOptions>>(more: More = {} as More) {
  return {
    teacher: path.join(folder, `teacher-${count++}.pth`),
    dataset,
    imageSize: 32,
    epochs: 2,
    batchSize: 4,
    seed: 1,
    // One thread and the CPU give the same numbers on every machine and beside other runs.
    device: 'cpu',
    threads: 1,
    ...more,
  } satisfies TeachOptions;
}

/** Reads tensors of a checkpoint by name. */
export async function tensorsOf(file: string, names: string[]) {
  const entries = names.map(async (name) => {
    const { data } = await loadAddon().readTensor(file, name);
    return [name, [...data]] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The error that a run is refused with. */
export const refusal = (given: TeachOptions) => refusalOf(teach(given));

/** Returns noise: uint8 RGB (count, size, size, 3). */
export function noise(count: number, size: number): Uint8Array {
  return Uint8Array.from({ length: count * size * size * 3 }, (_, i) =>
    Math.floor(((i * i * 31 + i * 17) % 65521) / 256),
  );
}
