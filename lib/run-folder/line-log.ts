import { type FileHandle, open } from 'node:fs/promises';
import { loadAddon, native } from '../addon.js';
import { DistillError } from '../errors.js';

/** A file of JSON lines, such as one for each epoch: each is on the disk before the next one is written. */
export class LineLog {
  readonly #file: string;
  readonly #handle: FileHandle;
  #written: Promise<void> = Promise.resolve();

  private constructor(file: string, handle: FileHandle) {
    this.#file = file;
    this.#handle = handle;
  }

  /**
   * Begins the file with the lines that are known already, whatever it held before.
   *
   * @throws DistillError `ERR_WRITE`.
   */
  static async begin(file: string, lines: readonly object[]): Promise<LineLog> {
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await native(loadAddon().writeFile(file, new TextEncoder().encode(text)));
    const handle = await open(file, 'a').catch((cause: unknown) => {
      throw failure(file, cause);
    });
    return new LineLog(file, handle);
  }

  /** Appends a line; where that fails, `finish` says so as well. */
  append(line: object): Promise<void> {
    this.#written = this.#written.then(async () => {
      await this.#handle.appendFile(`${JSON.stringify(line)}\n`);
      await this.#handle.datasync();
    });
    this.#written.catch(() => {}); // until finish() is awaited
    return this.#written;
  }

  /**
   * Waits until all lines are on the disk, and closes the file.
   *
   * @throws DistillError `ERR_WRITE`.
   */
  async finish(): Promise<void> {
    try {
      await this.#written;
    } catch (cause) {
      throw failure(this.#file, cause);
    } finally {
      await this.#handle.close();
    }
  }
}

function failure(file: string, cause: unknown): DistillError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new DistillError(
    'ERR_WRITE',
    `'${file}' cannot be written (${code ?? message}); name another folder as \`runDir\`, on a disk with room.`,
    { cause },
  );
}
