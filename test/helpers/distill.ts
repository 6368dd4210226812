import { type DistillOptions, distill } from '../../lib/index.js';
import { numbersOf } from './results.js';

/** The numbers of each epoch. */
export async function epochsOf(given: DistillOptions) {
  const epochs = [];
  const run = distill(given).on('warning', () => {});
  for await (const epoch of run) epochs.push(numbersOf(epoch));
  return epochs;
}
