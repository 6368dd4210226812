/**
 * Recognises by their content files that are not read though their names are a picture's. The sentences complete
 * "The picture … is not read: it" and say what mends it.
 */

const CONVERT = 'convert it to JPEG or PNG';
const ARCHIVE = 'is an archive or compressed: unpack it first';
const VIDEO = 'is a video: export its frames as JPEG or PNG';

/** The beginnings of files that are no pictures: where, in Latin-1, and what they are. */
const FOREIGN: readonly (readonly [at: number, magic: string, what: string])[] = [
  [
    0,
    'version https://git-lfs',
    'is a Git LFS pointer, not the picture itself: run `git lfs pull`',
  ],
  [0, '%PDF', 'is a PDF document: export its pages as PNG'],
  [0, '%!PS', `is PostScript: ${CONVERT}`],
  [0, 'PK\x03\x04', ARCHIVE],
  [0, '\x1f\x8b', ARCHIVE],
  [0, '7z\xbc\xaf', ARCHIVE],
  [0, 'Rar!', ARCHIVE],
  [0, 'BZh', ARCHIVE],
  [0, '\xfd7zXZ', ARCHIVE],
  [0, '\x28\xb5\x2f\xfd', ARCHIVE],
  [0, '\x1aE\xdf\xa3', VIDEO],
  [0, 'OggS', VIDEO],
  [0, 'FLV\x01', VIDEO],
  [0, '\0\0\x01\xba', VIDEO],
  [0, '\0\0\x01\xb3', VIDEO],
  [8, 'AVI LIST', VIDEO],
  [4, 'moov', VIDEO],
];

/** The beginnings of pictures that sharp's libvips does not read as it comes. */
const UNREAD: readonly (readonly [at: number, magic: string, name: string])[] = [
  [4, 'jP  \r\n', 'JPEG 2000'],
  [0, '\xff\x4f\xff\x51', 'JPEG 2000'],
  [0, 'II\xbc', 'JPEG XR'],
  [0, '8BPS', 'Photoshop'],
  [0, 'gimp xcf', 'GIMP'],
  [0, '\0\0\x01\0', 'ICO'],
  [0, '\0\0\x02\0', 'cursor'],
  [0, 'icns', 'ICNS'],
  [0, 'qoif', 'QOI'],
  [0, 'DDS ', 'DDS'],
  [0, '\x01\xda', 'SGI'],
  [0, '\x0a\x05', 'PCX'],
  [0, 'v/1\x01', 'OpenEXR'],
  [0, '#?RADIANCE', 'Radiance HDR'],
  [0, 'SIMPLE  =', 'FITS'],
  [0, 'P7\n', 'PAM'],
  [0, 'PF\n', 'PFM'],
  [0, 'Pf\n', 'PFM'],
  [8, 'CR\x02', 'raw (Canon CR2)'],
  [0, 'FUJIFILM', 'raw (Fujifilm RAF)'],
  [0, 'IIU\0', 'raw (Panasonic RW2)'],
  [0, 'IIRO', 'raw (Olympus ORF)'],
];

/** Compressions of TIFF that are not read, by their number in the file. */
const COMPRESSIONS: Readonly<Record<number, string>> = {
  6: 'old-style JPEG',
  34661: 'JBIG',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34925: 'LZMA',
  50000: 'ZSTD',
  50001: 'WebP',
  50002: 'JPEG XL',
};

/** Says what a file is whose beginning shows that it is no picture; `null` where it may be one. */
export function notAnImage(head: Uint8Array): string | null {
  const text = latin1(head);
  if (head.length > 0 && head.every((byte) => byte === 0)) {
    return 'is filled with zeros, as an unfinished download or copy leaves it: fetch it again';
  }
  const found = FOREIGN.find(([at, magic]) => text.startsWith(magic, at));
  if (found) return found[2];
  const brand = brandOf(text);
  if (brand !== null && !/^(heic|avif|crx )$/.test(brand)) return VIDEO;
  const start = text.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (/^<(!doctype html|html|head|body)/i.test(start)) {
    return "is a web page, often a server's error under a picture's name: download the picture itself";
  }
  if (start.startsWith('<') && !start.includes('<svg')) {
    return "is XML, often a server's error under a picture's name: download the picture itself";
  }
  if (/^(\{\s*"|\[\s*[{"])/.test(start)) {
    return "is JSON, often a server's error under a picture's name: download the picture itself";
  }
  return null;
}

/** The kinds for which a library can be installed beside the package. */
export type CodecKind = 'heic' | 'jxl';

/** Returns the kind of a file that is HEIC or JPEG XL; `null` for others. */
export function codecKind(data: Uint8Array): CodecKind | null {
  const text = latin1(data.subarray(0, 256));
  if (text.startsWith('\xff\x0a') || text.startsWith('JXL \r\n', 4)) return 'jxl';
  return brandOf(text) === 'heic' ? 'heic' : null;
}

/** Names the kind of a picture that could not be read, where that kind is not read; `null` where it may be damaged. */
export function unreadKind(data: Uint8Array): string | null {
  const text = latin1(data.subarray(0, 4096));
  const found = UNREAD.find(([at, magic]) => text.startsWith(magic, at));
  const brand = brandOf(text);
  const name = found?.[2] ?? (brand === 'crx ' ? 'raw (Canon CR3)' : null);
  if (name !== null) {
    return `is ${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name} picture, which is not read: ${CONVERT}`;
  }
  if (text.startsWith('\xff\xd8\xff')) return unreadJpeg(data);
  if (text.startsWith('CgBI', 12)) {
    return 'is a PNG in the form that Xcode gives them for iOS (CgBI), which is not read: take the one that it was made from';
  }
  if (text.startsWith('II') || text.startsWith('MM')) return unreadTiff(data);
  return null;
}

/** Tells whether a file begins as one of the kinds that sharp reads. */
export function beginsAsRead(data: Uint8Array): boolean {
  const text = latin1(data.subarray(0, 256));
  return (
    brandOf(text) === 'avif' ||
    /^(\xff\xd8\xff|\x89PNG|RIFF....WEBP|II\*\0|MM\0\*|GIF8)/s.test(text)
  );
}

/** Returns bytes as text in which each is a character. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** Returns the kind of an ISO media file: `heic`, `avif`, or its first brand; `null` for another file. */
function brandOf(text: string): string | null {
  if (!text.startsWith('ftyp', 4)) return null;
  // The first brand, a version, and the brands that it is compatible with.
  const brands = (
    text.slice(8, Math.min(text.charCodeAt(3) || 32, 256)).match(/.{4}/gs) ?? []
  ).join(' ');
  if (/avi[fs]/.test(brands)) return 'avif';
  if (/hei[cxms]|hev[cxms]|mif1|msf1/.test(brands)) return 'heic';
  return text.slice(8, 12);
}

/** Frames of JPEG that are not read, by the marker that begins them. */
function unreadJpeg(data: Uint8Array): string | null {
  for (let at = 2; at + 9 < data.length && data[at] === 0xff; ) {
    const marker = data[at + 1] ?? 0;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (marker === 0xf7) return `is a JPEG-LS picture, which is not read: ${CONVERT}`;
    if (isFrame) {
      const kind = [0xc3, 0xcb].includes(marker) ? 'lossless' : marker & 4 ? 'hierarchical' : null;
      if (kind)
        return `is a ${kind} JPEG, which is not read: convert it to an ordinary one or to PNG`;
      const bits = data[at + 4];
      return bits === 8
        ? null
        : `is a JPEG of ${bits} bits a sample, which is not read: convert it to one of 8 bits or to PNG`;
    }
    if (marker === 0xff) at += 1;
    else at += 2 + (data[at + 2] ?? 0) * 256 + (data[at + 3] ?? 0);
  }
  return null;
}

/** The compression of a TIFF's first page, where it is one that is not read. */
function unreadTiff(data: Uint8Array): string | null {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const little = data[0] === 0x49;
  try {
    const first = view.getUint32(4, little);
    const entries = view.getUint16(first, little);
    for (let i = 0; i < entries; i++) {
      const entry = first + 2 + 12 * i;
      if (view.getUint16(entry, little) !== 259) continue;
      const name = COMPRESSIONS[view.getUint16(entry + 8, little)];
      return name === undefined
        ? null
        : `is a TIFF compressed with ${name}, which is not read: save it with LZW or deflate, or as PNG`;
    }
  } catch {
    // The directory lies outside the file: it is damaged.
  }
  return null;
}
