import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../package.js';

/** A LibTorch as `distill setup` finds it. */
export interface FoundLibtorch {
  folder: string;
  /** Such as `2.13.0+cpu`; empty where the folder does not say. */
  version: string;
  /** Whether it is a CUDA build. */
  cuda: boolean;
  /** The reason why it cannot be used, such as `holds no lib/libc10.so`; empty where it can. */
  problem: string;
}

/** Functions of `distill setup` about an installation. Its scripts lie beside lib/ and dist/, and need neither. */
export interface Setup {
  /** Returns the LibTorch that the addon was last configured with; empty where it never was. */
  builtWith(root: string): string;
  inspect(folder: string): FoundLibtorch;
  /** Returns the command that installs what the system lacks. */
  installCommand(tools: 'libjpeg'[]): string;
}

/** Loads the scripts of `distill setup`. */
export async function loadSetup(): Promise<Setup> {
  const parts = ['build', 'inspect', 'packages'].map(
    (name) => import(pathToFileURL(path.join(packageRoot, 'scripts/setup', `${name}.js`)).href),
  );
  return Object.assign({}, ...(await Promise.all(parts)));
}
