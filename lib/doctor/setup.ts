import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../package.js';

/** A LibTorch as `distill setup` sees it. */
export interface FoundLibtorch {
  folder: string;
  /** Such as `2.13.0+cpu`; empty where the folder does not say. */
  version: string;
  /** Whether it is a CUDA build. */
  cuda: boolean;
  /** Why it does not serve, such as `holds no lib/libc10.so`; empty where it does. */
  problem: string;
}

/** What `distill setup` knows of an installation. Its scripts lie beside lib/ and dist/, and need neither. */
export interface Setup {
  /** The LibTorch that the addon was last configured with; empty where it never was. */
  builtWith(root: string): string;
  inspect(folder: string): FoundLibtorch;
  /** The command that installs what the system lacks. */
  installCommand(tools: 'libjpeg'[]): string;
}

export async function loadSetup(): Promise<Setup> {
  const parts = ['build', 'inspect', 'packages'].map(
    (name) => import(pathToFileURL(path.join(packageRoot, 'scripts/setup', `${name}.js`)).href),
  );
  return Object.assign({}, ...(await Promise.all(parts)));
}
