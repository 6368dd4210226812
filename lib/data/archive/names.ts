import { DistillError } from '../../errors.js';
import { printable } from '../../words.js';

/** Characters that an entry's name may have, as far as any system's paths go. */
const LONGEST_NAME = 4096;

/** Returns the refusal of an archive, or of an entry of it. */
export function badArchive(
  archive: string,
  entry: string | null,
  what: string,
  cause?: unknown,
): DistillError {
  const place = entry === null ? 'it' : `its entry '${printable(entry.slice(0, 200))}'`;
  return new DistillError(
    'ERR_ARCHIVE',
    `The archive '${printable(archive)}' is not read: ${place} ${what}.`,
    { cause },
  );
}

/**
 * Returns an entry's name with `/` between its parts, none of which is empty or `.`; empty of the archive's own folder.
 *
 * @throws DistillError `ERR_ARCHIVE` where it could lead out of a folder that the archive is unpacked in.
 */
export function checkName(archive: string, name: string): string {
  const refuse = (what: string) => badArchive(archive, name, what);
  if (name.length > LONGEST_NAME) throw refuse(`has a name of ${name.length} characters`);
  if (name.includes('\0')) throw refuse('has a NUL in its name');
  if (name.includes('\\')) throw refuse('has a backslash in its name; pack it again with slashes');
  if (/^(\/|[a-z]:)/i.test(name)) throw refuse('has an absolute path; pack it again without');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse('leads out of the archive; pack it again without ..');
  return parts.join('/');
}

/** What is wrong with an archive of another kind, by its first bytes and what it is. */
const COMPRESSED: readonly (readonly [magic: string, what: string])[] = [
  ['\x1f\x8b', 'is compressed with gzip, and cannot be read in place: gunzip it to a .tar'],
  ['BZh', 'is compressed with bzip2, and cannot be read in place: bunzip2 it to a .tar'],
  ['\xfd7zXZ\0', 'is compressed with xz, and cannot be read in place: unxz it to a .tar'],
  ['\x28\xb5\x2f\xfd', 'is compressed with zstd, and cannot be read in place: unzstd it to a .tar'],
  ["7z\xbc\xaf'\x1c", 'is a 7z archive, which is not read: pack it as a .tar or .zip'],
  ['Rar!', 'is a RAR archive, which is not read: pack it as a .tar or .zip'],
];

/** Says what a file is that begins otherwise than its ending says; `null` where that is not known. */
export function otherKind(head: Uint8Array): string | null {
  const text = Buffer.from(head.subarray(0, 16)).toString('latin1');
  return COMPRESSED.find(([magic]) => text.startsWith(magic))?.[1] ?? null;
}
