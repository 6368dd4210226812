// Makes one call, `{ call, options }` in JSON as its argument, and prints a line when it is over.
import { readFileSync } from 'node:fs';

const { call, options } = JSON.parse(readFileSync(0, 'utf8'));
const calls = await import(new URL('../../dist/index.js', import.meta.url).href);
const result = await calls[call](options).on('warning', () => {});
console.log(JSON.stringify({ stopReason: result.stopReason }));
