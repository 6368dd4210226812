/** Makes `batch_size`, `batch-size` and `batchSize` one. */
const squashed = (name: string) => name.replace(/[-_]/g, '').toLowerCase();

/**
 * Finds the option that another program's name stands for.
 *
 * @param options Options with their names in other programs, with a blank between two: the first that fits is meant.
 */
export function synonymOf(
  name: string,
  options: Iterable<readonly [option: string, synonyms: string]>,
): string | undefined {
  const wanted = squashed(name);
  const all = [...options];
  const [written] = all.find(([option]) => squashed(option) === wanted) ?? [];
  if (written) return written;
  return all.find(([, synonyms]) => synonyms.split(' ').map(squashed).includes(wanted))?.[0];
}
