import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The package's folder: lib/ and dist/ lie in it side by side. */
export const packageRoot = fileURLToPath(new URL('..', import.meta.url));

/** The package's version. */
export const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
