import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { systemPath } from './names.js';
import { size } from './words.js';

/** Why a file is not read: `message` is a phrase such as "it is a folder", or the system's code, such as "ENOENT". */
export class UnreadableFile extends Error {}

/** An open regular file. */
export interface OpenFile {
  handle: FileHandle;
  /** Bytes, when it was opened. */
  size: number;
}

/**
 * Opens a file for reading; here alone is one opened. Only a regular one is: a pipe or a device could wait for ever, never
 * end, or do something.
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
      return { handle, size: status.size };
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
 * @param given.signal Ends the reading: the promise rejects with its reason.
 * @throws UnreadableFile As {@link openFile}, and where the file is larger.
 */
export async function readFile(
  path: string,
  { limit, signal }: { limit: number; signal?: AbortSignal | undefined },
): Promise<Buffer<ArrayBuffer>> {
  const { handle, size: announced } = await openFile(path);
  try {
    const tooLarge = () => new UnreadableFile(`it is larger than ${size(limit)}`);
    if (announced > limit) throw tooLarge();
    // A byte more than it is to have, which shows that it has grown; some say that they are empty, and are not.
    let bytes = Buffer.allocUnsafeSlow(announced + 1);
    let length = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(
        bytes,
        length,
        Math.min(bytes.length - length, CHUNK),
      );
      length += bytesRead;
      if (length > limit) throw tooLarge();
      if (bytesRead === 0) return bytes.subarray(0, length);
      if (length === bytes.length) {
        const grown = Buffer.allocUnsafeSlow(Math.min(2 * length + CHUNK, limit + 1));
        grown.set(bytes);
        bytes = grown;
      }
    }
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw asUnreadable(cause);
  } finally {
    await handle.close();
  }
}

/** Bytes between two looks at the signal. */
const CHUNK = 16 * 2 ** 20;

function expectRegular(status: { isFile(): boolean; isDirectory(): boolean }): void {
  if (status.isDirectory()) throw new UnreadableFile('it is a folder');
  if (!status.isFile()) throw new UnreadableFile('it is a device or a pipe');
}

function asUnreadable(cause: unknown): UnreadableFile {
  if (cause instanceof UnreadableFile) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  return new UnreadableFile(code ?? String(cause), { cause });
}
