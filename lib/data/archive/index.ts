import { stat } from 'node:fs/promises';
import path from 'node:path';
import { openFile, UnreadableFile } from '../../files.js';
import { systemPath } from '../../names.js';
import { type HiddenFile, isHidden } from '../hidden.js';
import { isImage, list } from '../listing.js';
import { type ArchiveEntry, entryPath } from './entry.js';
import { badArchive } from './names.js';
import { indexTar } from './tar.js';
import { FileWindow } from './window.js';
import { indexZip } from './zip.js';

/** The indexers of archives by the file's ending. */
const INDEXERS: Readonly<Record<string, typeof indexTar>> = { '.tar': indexTar, '.zip': indexZip };

/** Endings of archives that cannot be read in place, and what to do. */
const NOT_READ: readonly (readonly [ending: RegExp, what: string])[] = [
  [
    /\.(tar\.gz|tgz)$/i,
    'is compressed with gzip, and cannot be read in place: gunzip it to a .tar',
  ],
  [
    /\.(tar\.(bz2|xz|zst)|tbz2?|txz|tzst)$/i,
    'is compressed as a whole, and cannot be read in place: unpack it to a .tar',
  ],
  [/\.(7z|rar)$/i, 'is of a kind that is not read: pack it as a .tar or .zip'],
];

/** The most shards that a pattern stands for. */
const MOST_SHARDS = 100_000;

/** The files of an archive. */
export interface ArchiveIndex {
  /** Files that are not hidden, in the archive's order. */
  entries: ArchiveEntry[];
  /** Hidden files and folders, each once. */
  hidden: HiddenFile[];
}

/**
 * Returns the archives that a path stands for: itself (`.tar`, `.zip`), those of a pattern (`photos-{000..009}.tar`, `{a,b}.zip`),
 * or those of a folder that holds archives and no folders.
 *
 * @returns `null` where it is none of these.
 * @throws DistillError `ERR_ARCHIVE` of an archive that cannot be read in place.
 */
export async function archivesAt(place: string): Promise<string[] | null> {
  const found = await stat(systemPath(place)).catch(() => null);
  if (found?.isDirectory()) return archivesIn(place);
  const refused = NOT_READ.find(([ending]) => ending.test(place));
  if (refused) throw badArchive(place, null, refused[1]);
  if (!isArchive(place)) return null;
  return found ? [place] : expandBraces(place);
}

function isArchive(file: string): boolean {
  return path.extname(file).toLowerCase() in INDEXERS;
}

async function archivesIn(folder: string): Promise<string[] | null> {
  const { folders, files } = await list(folder).catch(() => ({ folders: [], files: [] }));
  const archives = files.filter(isArchive).sort();
  const isShards = folders.length === 0 && archives.length > 0 && !files.some(isImage);
  return isShards ? archives.map((file) => path.join(folder, file)) : null;
}

/** Returns the paths that a pattern of a shell's braces stands for, in its order. */
export function expandBraces(pattern: string): string[] {
  const [all, before, inside, after] = /^(.*?)\{([^{}]*)\}(.*)$/.exec(pattern) ?? [];
  if (all === undefined) return [pattern];
  const [, first, last] = /^(\d{1,15})\.\.(\d{1,15})$/.exec(inside as string) ?? [];
  const words: string[] = [];
  if (first === undefined || last === undefined) words.push(...(inside as string).split(','));
  else {
    if (Number(last) - Number(first) >= MOST_SHARDS || Number(last) < Number(first)) {
      throw badArchive(pattern, null, `stands for none, or for more than ${MOST_SHARDS} files`);
    }
    for (let i = Number(first); i <= Number(last); i++) {
      words.push(`${i}`.padStart(first.length, '0'));
    }
  }
  const rest = expandBraces(after as string);
  if (words.length * rest.length > MOST_SHARDS) {
    throw badArchive(pattern, null, `stands for more than ${MOST_SHARDS} files`);
  }
  return words.flatMap((word) => rest.map((end) => `${before}${word}${end}`));
}

/**
 * Reads the index of an archive. Nothing is unpacked.
 *
 * @param onFile Receives each file that is not hidden, with a function that reads its contents.
 * @throws DistillError `ERR_ARCHIVE` where it is damaged, or an entry is not taken: one whose path leads elsewhere, a link or a
 *   device, an archive in it, a name that another has, or one that is encrypted.
 */
export async function readArchive(
  file: string,
  onFile?: (entry: ArchiveEntry, read: () => Promise<Uint8Array>) => Promise<void>,
): Promise<ArchiveIndex> {
  const opened = await openFile(file).catch((error) => {
    if (error instanceof UnreadableFile) throw badArchive(file, null, error.message, error);
    throw error;
  });
  const { handle, size, mtimeMs } = opened;
  try {
    const entries: ArchiveEntry[] = [];
    const hidden = new Map<string, HiddenFile>();
    const names = new Set<string>();
    const index = INDEXERS[path.extname(file).toLowerCase()] as typeof indexTar;
    await index({ path: file, size, mtimeMs }, new FileWindow(handle), async (entry, read) => {
      const { name } = entry;
      if (names.has(name)) throw badArchive(file, name, 'is there twice; leave one of them');
      names.add(name);
      const concealed = hiddenPart(name);
      if (concealed !== null) {
        const looksLikePicture = concealed !== name || isImage(name);
        const at = entryPath({ archive: entry.archive, name: concealed });
        if (!hidden.has(at)) hidden.set(at, { path: at, looksLikePicture });
        return;
      }
      if (isArchive(name) || NOT_READ.some(([ending]) => ending.test(name))) {
        throw badArchive(file, name, 'is an archive itself; unpack it, or leave it out');
      }
      entries.push(entry);
      await onFile?.(entry, read);
    });
    return { entries, hidden: [...hidden.values()] };
  } finally {
    await handle.close();
  }
}

/** Returns the path of the first part of a name that is hidden; `null` where none is. */
function hiddenPart(name: string): string | null {
  const parts = name.split('/');
  const first = parts.findIndex(isHidden);
  return first < 0 ? null : parts.slice(0, first + 1).join('/');
}
