// Loads the native addons, and calls them. native.ts describes what they offer.
import { createRequire } from 'node:module';
import path from 'node:path';
import type Bindings from 'bindings';
import { DistillError, toDistillError } from './errors.js';
import type { NativeAddon, NativeJpeg, NativePixels } from './native.js';
import { packageRoot } from './package.js';

let addon: NativeAddon | undefined;

/**
 * The addon, loaded at the first call, so that importing the package needs none.
 *
 * @throws DistillError `ERR_ADDON_MISSING` where it has not been built or does not load.
 */
export function loadAddon(): NativeAddon {
  if (addon) return addon;
  const loaded = loadNeeded('distill') as NativeAddon;
  process.on('exit', () => loaded.shutDown());
  addon = loaded;
  return addon;
}

let pixelsAddon: NativePixels | undefined;

/**
 * The addon that resamples pictures, loaded at the first call.
 *
 * @throws DistillError `ERR_ADDON_MISSING` as {@link loadAddon}.
 */
export function loadPixelsAddon(): NativePixels {
  pixelsAddon ??= loadNeeded('pixels') as NativePixels;
  return pixelsAddon;
}

let jpegAddon: NativeJpeg | null | undefined;

/** The addon for JPEGs, loaded at the first call; null where it was not built, or libjpeg-turbo has gone since. */
export function loadJpegAddon(): NativeJpeg | null {
  if (jpegAddon === undefined) {
    try {
      jpegAddon = load('jpeg') as NativeJpeg;
    } catch {
      jpegAddon = null;
    }
  }
  return jpegAddon;
}

function loadNeeded(name: string): unknown {
  try {
    return load(name);
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    const state = reason?.startsWith('Could not locate')
      ? 'the native addon has not been built'
      : `the native addon does not load (${reason})`;
    throw new DistillError('ERR_ADDON_MISSING', `${state}; run \`npx distill setup\``, { cause });
  }
}

function load(name: string): unknown {
  // CommonJS, so that only a call, never an import, depends on it.
  const bindings: typeof Bindings = createRequire(import.meta.url)('bindings');
  const folder = path.resolve(packageRoot, process.env.DISTILL_BUILD || 'build');
  return bindings({
    bindings: name,
    module_root: folder,
    try: [['module_root', 'Release', 'bindings']],
  });
}

/** Awaits a call of the addon, and turns its rejection into a DistillError with a code of lib/errors.ts. */
export async function native<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw toDistillError(error);
  }
}
