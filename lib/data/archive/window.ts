import type { FileHandle } from 'node:fs/promises';

/** Bytes that are read at once: small files and their headers come together, of large ones little is read in vain. */
const WINDOW = 2 ** 16;

/** Reads small parts of a file from larger ones. */
export class FileWindow {
  readonly #handle: FileHandle;
  #bytes = Buffer.alloc(0);
  #start = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Returns bytes that stay as they are until the next call: fewer than wanted where the file ends. */
  async read(position: number, length: number): Promise<Buffer> {
    const from = position - this.#start;
    if (from < 0 || from + length > this.#bytes.length) await this.#fill(position, length);
    const at = position - this.#start;
    return this.#bytes.subarray(at, at + length);
  }

  async #fill(position: number, length: number): Promise<void> {
    const bytes = Buffer.allocUnsafe(Math.max(WINDOW, length));
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#handle.read(
        bytes,
        done,
        bytes.length - done,
        position + done,
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    this.#bytes = bytes.subarray(0, done);
    this.#start = position;
  }
}
