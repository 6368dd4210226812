import path from 'node:path';
import type { DistillWarning } from '../warnings.js';
import { count } from '../words.js';

// Files and folders that systems and programs leave in folders of pictures. Some are named as pictures or hold some, such as
// `._1.jpg` of macOS and Jupyter's `.ipynb_checkpoints`.

/** Names of hidden files and folders that do not begin with a dot, in lower case. */
const HIDDEN: ReadonlySet<string> = new Set([
  '__macosx',
  'thumbs.db',
  'ehthumbs.db',
  'desktop.ini',
  'icon\r',
  '@eadir',
  '#recycle',
  '$recycle.bin',
  'system volume information',
]);

/** Tells whether a file or a folder of this name, without what it lies in, is never a picture nor a class. */
export function isHidden(name: string): boolean {
  return name.startsWith('.') || HIDDEN.has(name.toLowerCase());
}

/** A hidden file or folder, which is passed over with all that it holds. */
export interface HiddenFile {
  path: string;
  /** True of a folder, and of a file that has a picture's ending: ImageFolder would take it for a class or a picture. */
  looksLikePicture: boolean;
}

/**
 * Returns the warning of hidden files that look like pictures or may hold some. A `.DS_Store`, which nobody would take for a
 * picture, is counted and not warned of alone.
 */
export function hiddenFiles(hidden: readonly HiddenFile[]): DistillWarning | null {
  const first = hidden.find(({ looksLikePicture }) => looksLikePicture);
  if (!first) return null;
  const names = new Set(hidden.map((file) => path.basename(file.path)));
  const shown = names.size > 1 ? `such as ${path.basename(first.path)}` : [...names][0];
  return {
    code: 'WARN_HIDDEN_FILES',
    message: `${count(hidden.length, 'hidden file or folder', 'hidden files and folders')} (${shown}; the first is ${first.path}) ${hidden.length === 1 ? 'is' : 'are'} passed over: rename what is to count.`,
    path: first.path,
  };
}
