// The process under test: it runs a program's `main()` with arguments that it is sent, over and over until it is killed.
import { pathToFileURL } from 'node:url';

/** @typedef {{ main: (args: string[]) => Promise<number> }} Program */
/** @typedef {{ code: number, written: string }} Ended An exit code, and what was written to standard output and error. */

let written = '';
for (const stream of [process.stdout, process.stderr]) {
  stream.write = (/** @type {string | Uint8Array} */ chunk, /** @type {unknown[]} */ ...rest) => {
    written += chunk;
    const done = rest.at(-1);
    if (typeof done === 'function') queueMicrotask(() => done());
    return true;
  };
}

const [program = ''] = process.argv.slice(2);
const { main } = /** @type {Program} */ (await import(pathToFileURL(program).href));
process.on('disconnect', () => process.exit());
process.on('message', async (/** @type {string[]} */ args) => {
  written = '';
  const code = await main(args);
  process.send?.({ code, written });
});
process.send?.('ready');
