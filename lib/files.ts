import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { systemPath } from './names.js';
import { size } from './words.js';

/** The reason why a file is not read: `message` goes on from its name, such as "does not exist". */
export class UnreadableFile extends Error {}

/** An open regular file. */
export interface OpenFile {
  handle: FileHandle;
  /** Bytes, and milliseconds since 1970, when it was opened. */
  size: number;
  mtimeMs: number;
}

/**
 * Opens a file for reading, as the only place that does. A pipe or a device is refused: it could wait for ever, never end,
 * or act on being opened.
 *
 * @throws UnreadableFile with what the file system reported as its cause.
 */
export async function openFile(path: string): Promise<OpenFile> {
  try {
    // Looked at before it is opened, which may be an action in itself, and again behind the descriptor.
    const place = systemPath(path);
    expectRegular(await stat(place));
    const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
    const handle = await open(place, flags);
    try {
      const status = await handle.stat();
      expectRegular(status);
      return { handle, size: status.size, mtimeMs: status.mtimeMs };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (cause) {
    throw asUnreadable(cause);
  }
}

/**
 * Reads a whole file.
 *
 * @param given.limit Bytes that it may have at most.
 * @param given.check Is called with the beginning before the rest is read; an error that it throws ends the reading.
 * @param given.signal Ends the reading: the promise rejects with its reason.
 * @throws UnreadableFile As {@link openFile}, and where the file is larger.
 */
export async function readFile(
  path: string,
  {
    limit,
    check,
    signal,
  }: {
    limit: number;
    check?: (beginning: Uint8Array) => void;
    signal?: AbortSignal | undefined;
  },
): Promise<Buffer<ArrayBuffer>> {
  const { handle, size: announced } = await openFile(path);
  try {
    const tooLarge = () => new UnreadableFile(`is larger than ${size(limit)}: give a smaller one`);
    if (announced > limit) throw tooLarge();
    // A byte more than it is to have, which shows that it has grown; some say that they are empty, and are not.
    let bytes = Buffer.allocUnsafeSlow(announced + 1);
    let length = 0;
    for (let most = BEGINNING; ; most = CHUNK) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(bytes, length, Math.min(bytes.length - length, most));
      if (length === 0) check?.(bytes.subarray(0, bytesRead));
      length += bytesRead;
      if (length > limit) throw tooLarge();
      if (bytesRead === 0) return bytes.subarray(0, length);
      if (length === bytes.length) {
        const grown = Buffer.allocUnsafeSlow(Math.min(2 * length + BEGINNING, limit + 1));
        grown.set(bytes);
        bytes = grown;
      }
    }
  } catch (cause) {
    throw asUnreadable(cause);
  } finally {
    await handle.close();
  }
}

/**
 * Reads the first bytes of a file, at most so many.
 *
 * @throws UnreadableFile As {@link openFile}.
 */
export async function readBeginning(path: string, most: number): Promise<Buffer<ArrayBuffer>> {
  const { handle } = await openFile(path);
  try {
    const bytes = Buffer.allocUnsafeSlow(most);
    const { bytesRead } = await handle.read(bytes, 0, most, 0);
    return bytes.subarray(0, bytesRead);
  } catch (cause) {
    throw asUnreadable(cause);
  } finally {
    await handle.close();
  }
}

/** Returns the SHA-256 of a file, as long as it is when it is opened, in hexadecimal; an aborted signal ends it with its reason. */
export async function sha256(file: string, signal?: AbortSignal): Promise<string> {
  const { handle, size } = await openFile(file);
  const hash = createHash('sha256');
  try {
    const bytes = handle.createReadStream({ end: Math.max(size, 1) - 1 });
    await pipeline(bytes, hash, signal ? { signal } : {});
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

/** Bytes that are read first, which are all of most files, and between two looks at the signal. */
const BEGINNING = 2 ** 16;
const CHUNK = 2 ** 24;

function expectRegular(status: { isFile(): boolean; isDirectory(): boolean }): void {
  if (status.isDirectory()) throw new UnreadableFile('is not a file but a folder');
  if (!status.isFile()) throw new UnreadableFile('is not a file but a device or a pipe');
}

/** Returns a system's error as an {@link UnreadableFile}; any other error stays as it is. */
function asUnreadable(cause: unknown): unknown {
  const { code, syscall } = cause as NodeJS.ErrnoException;
  if (syscall === undefined) return cause;
  const what = code === 'ENOENT' ? 'does not exist' : `cannot be opened (${code})`;
  return new UnreadableFile(what, { cause });
}
