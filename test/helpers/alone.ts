// The package where nothing else is installed but what it needs.
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../lib/package.js';

/** Copies the built package to a folder, without an onnxruntime; returns its module. */
export function copyAlone(to: string): string {
  const modules = path.join(to, 'node_modules');
  mkdirSync(modules, { recursive: true });
  for (const name of readdirSync(path.join(packageRoot, 'node_modules'))) {
    if (/^onnxruntime|^\./.test(name)) continue;
    symlinkSync(path.join(packageRoot, 'node_modules', name), path.join(modules, name));
  }
  cpSync(path.join(packageRoot, 'dist'), path.join(to, 'dist'), { recursive: true });
  cpSync(path.join(packageRoot, 'package.json'), path.join(to, 'package.json'));
  symlinkSync(path.join(packageRoot, 'scripts'), path.join(to, 'scripts'));
  const build = process.env.DISTILL_BUILD || 'build';
  symlinkSync(path.join(packageRoot, build), path.join(to, build));
  return pathToFileURL(path.join(to, 'dist/index.js')).href;
}
