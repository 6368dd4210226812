import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { systemPath } from '../names.js';
import type { HiddenFile } from './hidden.js';
import { byCodePoint, isImage, list } from './listing.js';
import type { FolderSurvey, Sample } from './samples.js';

/**
 * Searches a folder as torchvision's `ImageFolder` does: every folder in it (or link to one) is a
 * class, classes are sorted by code point, and a class has all files below it that end in .jpg .jpeg .png .ppm
 * .bmp .pgm .tif .tiff or .webp. The order is torchvision's. Links are followed, except into a folder that holds
 * them. Names that are not UTF-8 are held as lib/names.ts describes. Hidden files and folders (lib/data/hidden.ts) are no
 * pictures and no classes, which they are to torchvision.
 *
 * @throws {DistillError} `ERR_DATASET_NOT_FOUND` if there is no such folder.
 */
export async function surveyFolder(root: string): Promise<FolderSurvey> {
  const { folders, files, hidden } = await list(root);
  const classes = folders.sort(byCodePoint);
  const samples: Sample[] = [];
  const ignored: string[] = [];
  for (const [label, name] of classes.entries()) {
    const found = await filesBelow(path.join(root, name));
    for (const image of found.images) samples.push({ path: image, label });
    for (const file of found.ignored) ignored.push(file);
    for (const file of found.hidden) hidden.push(file);
  }
  const loose = files.filter(isImage).map((file) => path.join(root, file));
  return { root, classes, samples, loose, ignored, hidden };
}

/** The files below a folder. */
export interface FilesBelow {
  images: string[];
  /** Files that have none of the endings. */
  ignored: string[];
  hidden: HiddenFile[];
}

/** Finds the files below a folder: its folders sorted by their whole path, and in each the files by name. */
export async function filesBelow(root: string): Promise<FilesBelow> {
  const folders: { name: string; files: string[] }[] = [];
  const hidden: HiddenFile[] = [];
  const walk = async (folder: string, name: string, above: string[]): Promise<void> => {
    const entries = await list(folder);
    const real = await realpath(systemPath(folder), 'latin1'); // bytes, one by one
    if (above.includes(real)) return; // A link back to a folder that we are in.
    const files = entries.files.sort(byCodePoint).map((file) => path.join(folder, file));
    folders.push({ name, files });
    for (const file of entries.hidden) hidden.push(file);
    for (const inner of entries.folders) {
      await walk(path.join(folder, inner), `${name}/${inner}`, [...above, real]);
    }
  };
  await walk(root, '', []);
  folders.sort((a, b) => byCodePoint(a.name, b.name));
  const files = folders.flatMap((folder) => folder.files);
  return {
    images: files.filter(isImage),
    ignored: files.filter((file) => !isImage(file)),
    hidden,
  };
}
