import { stat } from 'node:fs/promises';
import { DistillError } from '../errors.js';
import { systemPath } from '../names.js';
import { entryPath } from './archive/entry.js';
import { archivesAt, readArchive } from './archive/index.js';
import { badArchive } from './archive/names.js';
import { filesBelow } from './folder.js';
import type { HiddenFile } from './hidden.js';
import { unreadHint } from './ignored.js';
import { byFolder, EXTENSIONS, isImage, reason } from './listing.js';
import type { ImageSource } from './source.js';

/** Adds the pictures of an archive, in the order of a folder. */
async function addArchive(file: string, found: FoundImages): Promise<void> {
  const { entries, hidden } = await readArchive(file);
  const images = entries.filter(({ name }) => isImage(name));
  if (images.length === 0) throw badArchive(file, null, 'holds no pictures');
  images.sort((a, b) => byFolder(a.name, b.name));
  for (const image of images) found.files.push(image);
  for (const entry of entries) if (!isImage(entry.name)) found.ignored.push(entryPath(entry));
  for (const one of hidden) found.hidden.push(one);
}

/** Pictures in files and folders. */
export interface FoundImages {
  /** In the order of the inputs. */
  files: ImageSource[];
  /** Files in folders that have none of the endings. */
  ignored: string[];
  /** Hidden files and folders in folders. */
  hidden: HiddenFile[];
}

/**
 * Finds the pictures of a list of inputs: a file is taken as it is, whatever its name; a folder stands for all
 * pictures below it, sorted as in a class's folder, hidden ones left out; an archive for those in it.
 *
 * @throws DistillError `ERR_IMAGES_NOT_FOUND` where an input does not exist, or is a folder without a picture.
 */
export async function scanImages(inputs: string | readonly string[]): Promise<FoundImages> {
  const found: FoundImages = { files: [], ignored: [], hidden: [] };
  for (const input of typeof inputs === 'string' ? [inputs] : inputs) {
    const archives = await archivesAt(input);
    if (archives) {
      for (const archive of archives) await addArchive(archive, found);
      continue;
    }
    const entry = await stat(systemPath(input)).catch((error: unknown) => {
      throw new DistillError(
        'ERR_IMAGES_NOT_FOUND',
        `Expected a picture or a folder of pictures at ${input}, but ${reason(error)}.`,
        { cause: error },
      );
    });
    const { images, ignored, hidden } = entry.isDirectory()
      ? await filesBelow(input)
      : { images: [input], ignored: [], hidden: [] };
    if (images.length === 0) {
      throw new DistillError(
        'ERR_IMAGES_NOT_FOUND',
        `Expected pictures (${EXTENSIONS.join(' ')}) in ${input}, but it has none.${unreadHint(ignored)}`,
      );
    }
    for (const image of images) found.files.push(image);
    for (const file of ignored) found.ignored.push(file);
    for (const file of hidden) found.hidden.push(file);
  }
  return found;
}
