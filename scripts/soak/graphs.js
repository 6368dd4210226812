// `npm run soak:graphs`: thousands of mutated exported programs, each of which must be refused with a code or answered.
import { parseArgs } from 'node:util';
import { soakGraphs } from './graphs/run.js';

const { values } = parseArgs({
  options: {
    mutations: { type: 'string', default: '20000' },
    first: { type: 'string', default: '0' }, // the first one's seed
  },
});

const began = performance.now();
let shown = 0;
const { done, codes, failures, peak, slowest } = await soakGraphs({
  first: Number(values.first),
  count: Number(values.mutations),
  onDone: ({ done, failures, peak }) => {
    for (; shown < failures.length; shown++) console.log(failures[shown]);
    if (done % 1000 === 0) {
      console.log(`${done} mutations, ${failures.length} failures, at most ${peak.toFixed(0)} MiB`);
    }
  },
});
console.log(`${done} mutations in ${((performance.now() - began) / 1000).toFixed(0)} s`);
console.log(codes);
console.log(
  `at most ${peak.toFixed(0)} MiB; the slowest took ${slowest.seconds.toFixed(1)} s (seed ${slowest.seed})`,
);
for (; shown < failures.length; shown++) console.log(failures[shown]);
process.exitCode = failures.length ? 1 : 0;
