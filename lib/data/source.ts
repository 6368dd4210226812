import { readFile } from '../files.js';
import { type ArchiveEntry, entryPath, readEntry } from './archive/entry.js';

/** Where a picture's bytes are: a file's path, the bytes themselves, or an entry of an archive. */
export type ImageSource = string | Uint8Array | ArchiveEntry;

/** Bytes that a picture's file may have: those of any picture within the limit of pixels, and far above others. */
export const LARGEST_FILE = 2 ** 30;

export function isEntry(source: ImageSource): source is ArchiveEntry {
  return typeof source !== 'string' && !(source instanceof Uint8Array);
}

/** Returns a picture's path as messages have it; `null` of bytes. */
export function sourcePath(source: ImageSource): string | null {
  if (typeof source === 'string') return source;
  return isEntry(source) ? entryPath(source) : null;
}

/**
 * Reads a picture's bytes.
 *
 * @param given.check Is called with the beginning before the rest of a file is read; an error that it throws ends the reading.
 * @throws UnreadableFile As {@link readFile} and {@link readEntry}; and what `check` throws.
 */
export async function readSource(
  source: ImageSource,
  {
    check,
    signal,
  }: { check?: (beginning: Uint8Array) => void; signal?: AbortSignal | undefined } = {},
): Promise<Uint8Array> {
  if (typeof source === 'string') {
    return readFile(source, { limit: LARGEST_FILE, ...(check && { check }), signal });
  }
  const bytes = isEntry(source) ? await readEntry(source, { limit: LARGEST_FILE }) : source;
  check?.(bytes);
  return bytes;
}
