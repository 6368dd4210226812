#!/usr/bin/env node
// The command `distill`. Setup needs neither dist/ nor the addon: it is what brings the addon.
import { existsSync } from 'node:fs';

const [command, ...rest] = process.argv.slice(2);

if (command === 'setup') {
  const { main } = await import('./setup/index.js');
  process.exitCode = await main(rest);
} else {
  const cli = new URL('../dist/cli/main.js', import.meta.url);
  if (existsSync(cli)) {
    /** @type {{ main: (argv: string[]) => Promise<number> }} */
    const { main } = await import(cli.href);
    process.exitCode = await main(process.argv.slice(2));
  } else {
    console.error('distill: dist/ is missing; to make it: npm run build');
    process.exitCode = 1;
  }
}
