import { isUtf8 } from 'node:buffer';

// On most systems a file's name is bytes, which need not be UTF-8. A name that is not is held here as Python holds it: each byte that belongs to no character is a lone surrogate, U+DC80 to U+DCFF. So no two names are
// one string, and each string leads back to its file.

/** Tells whether a text has no lone surrogate, so that it can be written as UTF-8. */
export function isUnicode(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

/** Tells whether a text can be a file's name: characters, and the lone surrogates that stand for bytes. */
export function isName(text: string): boolean {
  return isUnicode(text.replace(/[\udc80-\udcff]/gu, ''));
}

/** Returns a name of the file system as a string. */
export function nameOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString();
  let name = '';
  for (let i = 0; i < bytes.length; ) {
    const character = [1, 2, 3, 4]
      .map((length) => bytes.subarray(i, i + length))
      .find((sequence) => isUtf8(sequence));
    name += character?.toString() ?? String.fromCharCode(0xdc00 + (bytes[i] as number));
    i += character?.length ?? 1;
  }
  return name;
}

/** Returns a path as the file system takes it. */
export function systemPath(path: string): string | Buffer {
  if (isUnicode(path)) return path;
  const parts = path.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part) =>
      isUnicode(part) ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - 0xdc00]),
    ),
  );
}
