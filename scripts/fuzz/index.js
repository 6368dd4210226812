// `npm run check:fuzz -- [--seconds N] [--slack MiB] [--folder F] [reader …]`: gives files that a fuzzer makes up, guided by
// the branches that they reach, to everything that reads files. A reader may answer or refuse with a code. A file by which it
// crashes, throws anything else, takes more than five seconds of the processor's time, or more memory than four times the
// file and 64 MiB, is kept in the folder's findings/, and the exit code is 1. What reaches new branches is kept in its corpus/,
// from which the next run goes on. `--seconds 0` only reads what there is.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.js';
import { BUILD, FuzzFailure, makeProgram } from './program.js';
import { READERS } from './readers.js';

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' }, // of each reader
    slack: { type: 'string', default: '64' }, // MiB beside four times the file's size
    folder: { type: 'string', default: BUILD },
  },
  allowPositionals: true,
});
const names = READERS.map(({ name }) => name);
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`check:fuzz: no reader '${unknown[0]}'; there are ${names.join(', ')}`);
  process.exit(2);
}
const chosen = READERS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));

try {
  if (chosen.some(({ kind }) => kind === 'native')) makeProgram();
} catch (error) {
  if (!(error instanceof FuzzFailure)) throw error;
  console.error(`check:fuzz: ${error.message}`);
  process.exit(2);
}
let found = 0;
for (const reader of chosen) {
  const { seconds, executions, coverage, findings } = await fuzz(reader, {
    seconds: Number(values.seconds),
    slack: Number(values.slack),
    folder: path.resolve(values.folder),
  });
  console.log(
    `${reader.name}: ${executions} files in ${seconds.toFixed(0)} s, ${coverage} branches, ${findings.length} findings`,
  );
  for (const { file, reason } of findings) console.log(`  ${file}: ${reason}`);
  found += findings.length;
}
process.exitCode = found > 0 ? 1 : 0;
