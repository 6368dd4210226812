import path from 'node:path';
import type { DistillWarning } from '../warnings.js';
import { count } from '../words.js';
import { type HiddenFile, hiddenFiles } from './hidden.js';

/** Endings of picture files that a folder is not searched for: passed over, though they are often meant to count. */
const NOT_READ: ReadonlySet<string> = new Set(
  `.apng .gif .ico .j2k .jfif .jp2 .jpe .pbm .pnm .psd .svg .tga
   .arw .cr2 .cr3 .dng .nef .orf .raf .rw2`.split(/\s+/),
);

/**
 * Picks the files that look like pictures out of those that a search passed over.
 *
 * @returns The files, and a sentence about them; `null` where there are none.
 */
export function unreadImages(
  ignored: readonly string[],
): { files: [string, ...string[]]; message: string } | null {
  const endingOf = (file: string) => path.extname(file).toLowerCase();
  const [first, ...others] = ignored.filter((file) => NOT_READ.has(endingOf(file)));
  if (first === undefined) return null;
  const files: [string, ...string[]] = [first, ...others];
  const endings = [...new Set(files.map(endingOf))].sort().join(', ');
  const look = count(files.length, 'file that looks', 'files that look');
  const message = `${look} like a picture (${endings}; the first is ${first}) ${files.length === 1 ? 'is' : 'are'} passed over: convert to JPEG or PNG what is to count.`;
  return { files, message };
}

/** Returns the sentence of {@link unreadImages} to go on with in an error's message, or nothing. */
export function unreadHint(ignored: readonly string[]): string {
  const unread = unreadImages(ignored);
  return unread ? ` ${unread.message}` : '';
}

/** Returns the warnings of files that look like pictures, but are passed over, and of hidden ones: one of each kind at most. */
export function passedOver(
  ...searches: readonly { ignored: readonly string[]; hidden: readonly HiddenFile[] }[]
): DistillWarning[] {
  const unread = unreadImages(searches.flatMap(({ ignored }) => ignored));
  const hidden = hiddenFiles(searches.flatMap(({ hidden }) => hidden));
  return [
    ...(unread
      ? [{ code: 'WARN_FILES_IGNORED', message: unread.message, path: unread.files[0] } as const]
      : []),
    ...(hidden ? [hidden] : []),
  ];
}
