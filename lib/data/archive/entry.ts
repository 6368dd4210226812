import { crc32, inflateRaw } from 'node:zlib';
import { openFile, UnreadableFile } from '../../files.js';
import { size } from '../../words.js';

/** An archive whose index has been read. */
export interface Archive {
  /** The path of its file. */
  path: string;
  /** Bytes, and milliseconds since 1970, when its index was read. */
  size: number;
  mtimeMs: number;
}

/** A file in an archive, which is read in place. */
export interface ArchiveEntry {
  archive: Archive;
  /** Its name there, with `/` between folders; none is empty, `.` or `..`. */
  name: string;
  /** The first byte of its contents (tar), or of its local header (zip). */
  offset: number;
  /** Bytes in the archive. */
  stored: number;
  /** Bytes of its contents. */
  length: number;
  method: 'tar' | 'zip-stored' | 'zip-deflated';
  /** The checksum of its contents; `null` in a tar, which has none. */
  crc32: number | null;
}

/** Bytes of a zip's local header, before the name and what follows it. */
const LOCAL_HEADER = 30;
const LOCAL_SIGNATURE = 0x04034b50;

/** Returns an entry's path as messages have it: that of the archive, and the name in it. */
export function entryPath({ archive, name }: Pick<ArchiveEntry, 'archive' | 'name'>): string {
  return `${archive.path}/${name}`;
}

/**
 * Reads an entry's contents.
 *
 * @param given.limit Bytes that it may have at most.
 * @throws UnreadableFile where the archive has changed since its index was read, or the entry is damaged.
 */
export async function readEntry(
  entry: ArchiveEntry,
  { limit }: { limit: number },
): Promise<Buffer<ArrayBuffer>> {
  const { archive, stored, length, method } = entry;
  if (Math.max(stored, length) > limit) {
    throw new UnreadableFile(`is larger than ${size(limit)}: give a smaller one`);
  }
  const { handle, size: bytes, mtimeMs } = await openFile(archive.path);
  try {
    if (bytes !== archive.size || mtimeMs !== archive.mtimeMs) {
      throw new UnreadableFile(
        'lies in an archive that has changed since it was listed: run again',
      );
    }
    const read = async (position: number, wanted: number) => {
      const buffer = Buffer.allocUnsafeSlow(wanted);
      let done = 0;
      while (done < wanted) {
        const { bytesRead } = await handle.read(buffer, done, wanted - done, position + done);
        if (bytesRead === 0)
          throw new UnreadableFile('ends beyond its archive, which is cut short');
        done += bytesRead;
      }
      return buffer;
    };
    if (method === 'tar') return await read(entry.offset, stored);
    const header = await read(entry.offset, LOCAL_HEADER);
    if (header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw damaged('its local header is not there');
    const start = entry.offset + LOCAL_HEADER + header.readUInt16LE(26) + header.readUInt16LE(28);
    const data = await read(start, stored);
    const contents = method === 'zip-stored' ? data : await inflate(data, length);
    if (contents.length !== length) {
      throw damaged(`it has ${contents.length} bytes, not the ${length} that the archive says`);
    }
    if (crc32(contents) !== entry.crc32) throw damaged("its checksum is not the archive's");
    return contents;
  } finally {
    await handle.close();
  }
}

/** Inflates data that must not be longer than announced: nothing is allocated for more. */
function inflate(data: Buffer, length: number): Promise<Buffer<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    inflateRaw(data, { maxOutputLength: Math.max(1, length) }, (cause, contents) => {
      if (cause) {
        const isLonger = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
        const what = isLonger
          ? `it has more than the ${length} bytes that the archive says`
          : `it does not inflate (${cause.message})`;
        reject(damaged(what, cause));
      } else {
        resolve(contents as Buffer<ArrayBuffer>);
      }
    });
  });
}

function damaged(what: string, cause?: unknown): UnreadableFile {
  return new UnreadableFile(`is damaged in its archive: ${what}`, { cause });
}
