import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import yauzl from 'yauzl';
import { needRoom } from './cache.js';
import { sentence } from './failure.js';
import { progress, size } from './progress.js';

/** Files written at once: LibTorch has nine thousand small headers. */
const WRITERS = 8;

/**
 * Unpacks a zip archive, as a wheel is one too. An archive with an entry that would escape the
 * folder (`../`, an absolute name, a link) is refused whole, and every file's checksum is compared.
 *
 * @param {string} file
 * @param {string} folder must exist
 * @param {(name: string) => string | undefined} place where in `folder` an entry goes; undefined
 *   leaves it out
 */
export async function unpack(file, folder, place) {
  try {
    const zip = await yauzl.openPromise(file, { autoClose: false });
    try {
      await extract(zip, folder, place);
    } finally {
      zip.close();
    }
  } catch (error) {
    throw new Error(`${path.basename(file)} cannot be unpacked: ${sentence(error)}`);
  }
}

/**
 * @param {import('yauzl').ZipFile} zip
 * @param {string} folder
 * @param {(name: string) => string | undefined} place
 */
async function extract(zip, folder, place) {
  /** @type {{ entry: import('yauzl').Entry, target: string }[]} */
  const wanted = [];
  let bytes = 0;
  // yauzl itself throws at names that are absolute or climb out with `..`.
  for await (const entry of zip.eachEntry()) {
    const type = (entry.externalFileAttributes >>> 16) & 0o170000;
    if (type === 0o120000) throw new Error(`its entry ${entry.fileName} is a link`);
    if (entry.fileName.endsWith('/')) continue;
    const target = place(entry.fileName);
    if (target === undefined) continue;
    wanted.push({ entry, target: path.join(folder, target) });
    bytes += entry.uncompressedSize;
  }
  await needRoom(folder, bytes);

  for (const parent of new Set(wanted.map(({ target }) => path.dirname(target)))) {
    await mkdir(parent, { recursive: true });
  }
  let done = 0;
  let failed = false;
  const queue = wanted.values();
  const write = async () => {
    for (const { entry, target } of queue) {
      if (failed) return;
      try {
        const source = await zip.openReadStreamPromise(entry);
        await pipeline(source, checked(entry), createWriteStream(target, { flags: 'wx' }));
      } catch (error) {
        failed = true;
        throw error;
      }
      done += entry.uncompressedSize;
      progress(`unpacking: ${size(done)} of ${size(bytes)}`);
    }
  };
  // Every writer has ended before this one does: the caller removes the folder after a failure.
  const writers = await Promise.allSettled(Array.from({ length: WRITERS }, write));
  const failure = writers.find((writer) => writer.status === 'rejected');
  if (failure) throw failure.reason;
}

/**
 * Passes an entry's bytes on and fails when their checksum is not the archive's; yauzl leaves that
 * to its caller.
 *
 * @param {import('yauzl').Entry} entry
 */
function checked(entry) {
  let sum = 0;
  return new Transform({
    transform(chunk, _encoding, done) {
      sum = crc32(chunk, sum);
      done(null, chunk);
    },
    flush(done) {
      done(sum === entry.crc32 ? null : new Error(`its entry ${entry.fileName} is damaged`));
    },
  });
}
