import { nameOf } from '../../names.js';
import type { Archive, ArchiveEntry } from './entry.js';
import { badArchive, checkName, otherKind } from './names.js';
import type { FileWindow } from './window.js';

// The index of a tar: POSIX ustar and pax, and GNU's long names. A library that unpacks streams would read all of the
// contents to find the next header; this reads the headers alone, and says where the contents are.

const BLOCK = 512;
/** Bytes of a long name or of an extended header. */
const LARGEST_HEADER = 2 ** 20;

/** Kinds of entries that are refused, by the letter in the header. */
const REFUSED: Readonly<Record<string, string>> = {
  1: 'is a link; pack the files themselves (tar --hard-dereference)',
  2: 'is a link; pack the files themselves (tar --dereference)',
  3: 'is a device',
  4: 'is a device',
  6: 'is a pipe',
  S: 'is a sparse file, which is not read; pack it as an ordinary one',
  M: 'goes on from another volume, which is not read',
};

/** What an extended header says of the next entry. */
interface Extended {
  path?: string;
  size?: number;
}

/**
 * Lists the files of a tar, in its order.
 *
 * @param onEntry Receives each one, with a function that reads its contents.
 * @throws DistillError `ERR_ARCHIVE`.
 */
export async function indexTar(
  archive: Archive,
  window: FileWindow,
  onEntry: (entry: ArchiveEntry, read: () => Promise<Uint8Array>) => Promise<void>,
): Promise<void> {
  const refuse = (entry: string | null, what: string) => badArchive(archive.path, entry, what);
  let extended: Extended = {};
  for (let at = 0; ; ) {
    const header = await window.read(at, BLOCK);
    const other = at === 0 ? otherKind(header) : null;
    if (other !== null) throw refuse(null, other);
    if (header.length < BLOCK) throw refuse(null, 'ends without its end mark: it is cut short');
    if (header.every((byte) => byte === 0)) return;
    if (!hasChecksum(header)) {
      throw refuse(
        null,
        at === 0
          ? 'is no tar archive'
          : `is damaged: the header at byte ${at} has another checksum`,
      );
    }
    const kind = String.fromCharCode(header[156] ?? 0);
    const own = headerName(header);
    const size = extended.size ?? numberIn(header, 124, 12);
    const shown = extended.path ?? own;
    if (size === null) throw refuse(shown, 'has a size that is no number');
    const start = at + BLOCK;
    const end = start + (kind === '5' ? 0 : size);
    if (end > archive.size) throw refuse(shown, 'ends beyond the archive, which is cut short');
    at = start + Math.ceil((end - start) / BLOCK) * BLOCK;

    if (kind === 'x' || kind === 'g' || kind === 'L' || kind === 'K') {
      if (size > LARGEST_HEADER) throw refuse(shown, `has a header of ${size} bytes`);
      // A copy, as the next read overwrites it.
      const data = Buffer.from(await window.read(start, size));
      if (kind === 'L') extended = { ...extended, path: untilNul(data) };
      if (kind === 'x') extended = { ...extended, ...paxOf(data, refuse) };
      if (kind === 'g' && Object.keys(paxOf(data, refuse)).length > 0) {
        throw refuse(null, 'gives all of its entries one name or size, which is not read');
      }
      continue;
    }
    extended = {};
    const name = checkName(archive.path, shown);
    if (kind === 'V' || kind === '5' || (kind === '\0' && shown.endsWith('/'))) continue;
    if (!['0', '\0', '7'].includes(kind)) {
      throw refuse(shown, REFUSED[kind] ?? `is of a kind that is not read ('${kind}')`);
    }
    if (name === '') throw refuse(shown, 'has no name');
    const entry: ArchiveEntry = {
      archive,
      name,
      offset: start,
      stored: size,
      length: size,
      method: 'tar',
      crc32: null,
    };
    await onEntry(entry, () => window.read(start, size));
  }
}

function hasChecksum(header: Buffer): boolean {
  const expected = numberIn(header, 148, 8);
  let unsigned = 8 * 0x20; // the checksum's own place counts as blanks
  let signed = unsigned;
  for (const [i, byte] of header.entries()) {
    if (i >= 148 && i < 156) continue;
    unsigned += byte;
    signed += (byte << 24) >> 24;
  }
  return expected === unsigned || expected === signed;
}

/** Returns a number of octal digits or, where the first bit is set, of bytes; `null` where it is neither. */
function numberIn(header: Buffer, at: number, length: number): number | null {
  const field = header.subarray(at, at + length);
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : null;
  }
  const text = untilNul(field).trim();
  if (text === '') return 0;
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : null;
}

function headerName(header: Buffer): string {
  const name = untilNul(header.subarray(0, 100));
  const isPosix = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? untilNul(header.subarray(345, 500)) : '';
  return prefix ? `${prefix}/${name}` : name;
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return nameOf(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Returns what an extended header of pax says; its records are `length key=value\n`, of that length in all. */
function paxOf(data: Buffer, refuse: (entry: null, what: string) => Error): Extended {
  const found: Extended = {};
  for (let at = 0; at < data.length; ) {
    const blank = data.indexOf(0x20, at);
    const length = Number(data.toString('latin1', at, Math.min(blank, at + 8)));
    const end = at + length;
    const equals = data.indexOf(0x3d, blank);
    const isRecord =
      blank > at &&
      Number.isInteger(length) &&
      end > equals &&
      equals > blank &&
      end <= data.length &&
      data[end - 1] === 0x0a;
    if (!isRecord) throw refuse(null, 'is damaged: an extended header is none');
    const key = data.toString('latin1', blank + 1, equals);
    const value = data.subarray(equals + 1, end - 1);
    at = end;
    if (key.startsWith('GNU.sparse')) throw refuse(null, 'holds a sparse file, which is not read');
    if (key === 'path') found.path = nameOf(value);
    if (key === 'size') {
      const size = Number(value.toString('latin1'));
      if (!/^\d+$/.test(value.toString('latin1')) || !Number.isSafeInteger(size)) {
        throw refuse(null, 'is damaged: an extended header has a size that is no number');
      }
      found.size = size;
    }
  }
  return found;
}
