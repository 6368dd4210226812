import { isUtf8 } from 'node:buffer';
import yauzl, { type Entry } from 'yauzl';
import type { DistillError } from '../../errors.js';
import { UnreadableFile } from '../../files.js';
import { type Archive, type ArchiveEntry, readEntry } from './entry.js';
import { badArchive, checkName, otherKind } from './names.js';
import type { FileWindow } from './window.js';

// The index of a zip, by yauzl, which knows zip64. Contents are read in place by entry.ts.

/** The most that deflate can make of a byte. */
const LARGEST_RATIO = 1032;
/** Bytes of a file that is read with the index, such as a label. */
const LARGEST_READ = 2 ** 20;
/** Bytes of a local header without its name. */
const LOCAL_HEADER = 30;
/** Kinds of files in Unix's modes. */
const KIND = 0o170000;
const [FILE, FOLDER, LINK] = [0o100000, 0o040000, 0o120000];

/** Reads for yauzl from the window. */
class Reader extends yauzl.RandomAccessReader {
  readonly #window: FileWindow;

  constructor(window: FileWindow) {
    super();
    this.#window = window;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.#window.read(position, length).then(
      (bytes) => callback(null, bytes.copy(buffer, offset)),
      (error) => callback(error),
    );
  }

  override _readStreamForRange(): never {
    throw new Error('contents are read in place');
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null);
  }
}

/**
 * Lists the files of a zip, in the order of its directory.
 *
 * @param onEntry Receives each one, with a function that reads its contents.
 * @throws DistillError `ERR_ARCHIVE`.
 */
export async function indexZip(
  archive: Archive,
  window: FileWindow,
  onEntry: (entry: ArchiveEntry, read: () => Promise<Uint8Array>) => Promise<void>,
): Promise<void> {
  const found: ArchiveEntry[] = [];
  try {
    const zip = await yauzl.fromRandomAccessReaderPromise(new Reader(window), archive.size, {
      autoClose: false,
      lazyEntries: true,
      decodeStrings: false,
    });
    for await (const raw of zip.eachEntry()) {
      const entry = entryOf(archive, raw as unknown as RawEntry);
      if (entry) found.push(entry);
    }
  } catch (error) {
    if ((error as DistillError).code === 'ERR_ARCHIVE') throw error;
    const head = await window.read(0, 16);
    const what = otherKind(head) ?? `is no zip archive, or damaged (${(error as Error).message})`;
    throw badArchive(archive.path, null, what, error);
  }
  refuseOverlaps(archive, found);
  for (const entry of found) {
    await onEntry(entry, () =>
      readEntry(entry, { limit: LARGEST_READ }).catch((error) => {
        if (!(error instanceof UnreadableFile)) throw error;
        throw badArchive(archive.path, entry.name, error.message, error);
      }),
    );
  }
}

/** An entry whose texts are bytes. */
type RawEntry = Omit<Entry, 'fileName'> & { fileName: Buffer; fileNameRaw: Buffer };

/** Checks an entry of the directory; `null` of a folder. */
function entryOf(archive: Archive, raw: RawEntry): ArchiveEntry | null {
  const shown = nameIn(raw);
  const refuse = (what: string) => badArchive(archive.path, shown, what);
  const name = checkName(archive.path, shown);
  const mode = (raw.externalFileAttributes >>> 16) & KIND;
  const { compressedSize: stored, uncompressedSize: length, compressionMethod } = raw;
  const offset = raw.relativeOffsetOfLocalHeader;
  if ((raw.generalPurposeBitFlag & 0x2001) !== 0) {
    throw refuse('is encrypted; pack it again without a password');
  }
  if (mode === LINK) throw refuse('is a link; pack the files themselves');
  if (mode !== 0 && mode !== FILE && mode !== FOLDER) throw refuse('is a device or a pipe');
  if (![stored, length, offset].every(Number.isSafeInteger)) throw refuse('has no real size');
  if (offset + LOCAL_HEADER + stored > archive.size) {
    throw refuse('ends beyond the archive, which is cut short');
  }
  if (shown.endsWith('/')) return null;
  if (name === '') throw refuse('has no name');
  if (compressionMethod !== 0 && compressionMethod !== 8) {
    throw refuse(
      `is compressed by method ${compressionMethod}, which is not read; pack it again with deflate`,
    );
  }
  if (length > (stored + 1) * LARGEST_RATIO) {
    throw refuse(`claims ${length} bytes out of ${stored}, which deflate cannot make`);
  }
  return {
    archive,
    name,
    offset,
    stored,
    length,
    method: compressionMethod === 0 ? 'zip-stored' : 'zip-deflated',
    crc32: raw.crc32,
  };
}

/** Returns a name: UTF-8 where it is that, flagged or not, as macOS leaves the flag out; else code page 437. */
function nameIn({ generalPurposeBitFlag, fileNameRaw, extraFields }: RawEntry): string {
  const flags = isUtf8(fileNameRaw) ? generalPurposeBitFlag | 0x800 : generalPurposeBitFlag;
  return yauzl.getFileNameLowLevel(flags, fileNameRaw, extraFields, true);
}

/** Refuses entries that share bytes, by which a small archive can claim to hold very much. */
function refuseOverlaps(archive: Archive, entries: readonly ArchiveEntry[]): void {
  const sorted = entries.toSorted((a, b) => a.offset - b.offset);
  for (const [i, entry] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next && entry.offset + LOCAL_HEADER + entry.stored > next.offset) {
      const what = `lies over another, '${entry.name}'; pack it again`;
      throw badArchive(archive.path, next.name, what);
    }
  }
}
