import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DistillError } from '../errors.js';
import { nameOf, systemPath } from '../names.js';

/** Endings of the files that ImageFolder takes for pictures, in upper or lower case. The content is not looked at. */
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
];

export function isImage(name: string): boolean {
  const lower = name.toLowerCase();
  return EXTENSIONS.some((extension) => lower.endsWith(extension));
}

/**
 * Lists what a folder holds; links count as what they lead to, and as files if that is nothing.
 *
 * @throws DistillError `ERR_DATASET_NOT_FOUND` where it is no folder that can be read.
 */
export async function list(folder: string): Promise<{ folders: string[]; files: string[] }> {
  try {
    const folders: string[] = [];
    const files: string[] = [];
    const entries = await readdir(systemPath(folder), { withFileTypes: true, encoding: 'buffer' });
    for (const entry of entries) {
      const name = nameOf(entry.name);
      const isFolder = entry.isSymbolicLink()
        ? await stat(systemPath(path.join(folder, name))).then(
            (target) => target.isDirectory(),
            () => false,
          )
        : entry.isDirectory();
      (isFolder ? folders : files).push(name);
    }
    return { folders, files };
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
