// No contestant: what the convolutions of a step take by themselves.
import { readFileSync } from 'node:fs';
import { loadAddonModule } from '../product.js';
import { serve } from './serve.js';

/** @import { Precision, Task } from '../types.js' */

/** @type {Task} */
let task;
await serve({
  /** @param {{ taskFile: string }} parameters */
  setup({ taskFile }) {
    task = JSON.parse(readFileSync(taskFile, 'utf8'));
  },
  /** @param {{ precision: Precision, repeats: number }} parameters */
  async rates(parameters) {
    const { loadAddon, native } = await loadAddonModule();
    const { batchSize, imageSize, threads } = task;
    return native(loadAddon().convolutionRates({ ...parameters, batchSize, imageSize, threads }));
  },
});
