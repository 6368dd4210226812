import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DistillError } from '../errors.js';
import { nameOf, systemPath } from '../names.js';
import { type HiddenFile, isHidden } from './hidden.js';

/**
 * Endings of the files that count as pictures, in upper or lower case: those of torchvision's ImageFolder, and four more.
 * The content is not looked at, nor what this machine reads: a dataset is the same everywhere.
 */
export const EXTENSIONS = [
  '.jpg',
  '.jpeg',
  '.png',
  '.ppm',
  '.bmp',
  '.pgm',
  '.tif',
  '.tiff',
  '.webp',
  '.avif',
  '.heic',
  '.heif',
  '.jxl',
];

export function isImage(name: string): boolean {
  const lower = name.toLowerCase();
  return EXTENSIONS.some((extension) => lower.endsWith(extension));
}

/** The contents of a folder. */
export interface Listing {
  folders: string[];
  files: string[];
  /** Hidden files and folders, which are in neither of the others; sorted. */
  hidden: HiddenFile[];
}

/**
 * Lists what a folder holds; links count as what they lead to, and as files if that is nothing.
 *
 * @throws DistillError `ERR_DATASET_NOT_FOUND` where it is no folder that can be read.
 */
export async function list(folder: string): Promise<Listing> {
  try {
    const folders: string[] = [];
    const files: string[] = [];
    const hidden: HiddenFile[] = [];
    const entries = await readdir(systemPath(folder), { withFileTypes: true, encoding: 'buffer' });
    for (const entry of entries) {
      const name = nameOf(entry.name);
      const isFolder = entry.isSymbolicLink()
        ? await stat(systemPath(path.join(folder, name))).then(
            (target) => target.isDirectory(),
            () => false,
          )
        : entry.isDirectory();
      if (isHidden(name)) {
        const looksLikePicture = isFolder || isImage(name);
        hidden.push({ path: path.join(folder, name), looksLikePicture });
      } else {
        (isFolder ? folders : files).push(name);
      }
    }
    hidden.sort((a, b) => byCodePoint(a.path, b.path));
    return { folders, files, hidden };
  } catch (error) {
    throw new DistillError(
      'ERR_DATASET_NOT_FOUND',
      `Expected a folder at ${folder}, but ${reason(error)}.`,
      { cause: error },
    );
  }
}

/** Says why a path cannot be used, to follow a `but`. */
export function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'there is nothing';
  if (code === 'ENOTDIR') return 'that is a file';
  return `it cannot be read (${code ?? String(error)})`;
}

/** Compares strings as Python does; JavaScript compares UTF-16 units, and a locale would change the classes. */
export function byCodePoint(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  // In the middle of two pairs of surrogates, the second halves have the order of the characters.
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}

/** Compares paths as a folder is searched: by their folders, and in one folder by the names of the files. */
export function byFolder(a: string, b: string): number {
  const [ofA, ofB] = [a.lastIndexOf('/'), b.lastIndexOf('/')];
  return (
    byCodePoint(a.slice(0, Math.max(0, ofA)), b.slice(0, Math.max(0, ofB))) ||
    byCodePoint(a.slice(ofA + 1), b.slice(ofB + 1))
  );
}
