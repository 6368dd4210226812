/**
 * Finds a cycle among rooms that use each other.
 *
 * @param uses The rooms that each room uses.
 * @returns The first cycle, such as 'kernels → models → kernels'; `null` if there is none.
 */
export function findCycle(uses: ReadonlyMap<string, ReadonlySet<string>>): string | null {
  const finished = new Set<string>();
  const visit = (room: string, trail: readonly string[]): string | null => {
    const start = trail.indexOf(room);
    if (start >= 0) return [...trail.slice(start), room].join(' → ');
    if (finished.has(room)) return null;
    for (const used of uses.get(room) ?? []) {
      const cycle = visit(used, [...trail, room]);
      if (cycle) return cycle;
    }
    finished.add(room);
    return null;
  };
  for (const room of uses.keys()) {
    const cycle = visit(room, []);
    if (cycle) return cycle;
  }
  return null;
}
