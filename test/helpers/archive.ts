import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';

/** A file of an archive, and what its header says otherwise than its contents. */
export interface Packed {
  name: string;
  data?: Uint8Array | string;
  /** A tar's kind of entry. Default '0', a file. */
  kind?: string;
  /** The size that the header says. */
  size?: number | string;
  /** Fields of a zip's directory. */
  zip?: {
    flags?: number;
    method?: number;
    crc?: number;
    stored?: number;
    length?: number;
    offset?: number;
    mode?: number;
    extra?: Buffer;
  };
}

/** Packs files as a tar. */
export function tarOf(files: readonly Packed[], { end = true } = {}): Buffer {
  const blocks = files.flatMap(({ name, data = '', kind = '0', size }) => {
    const contents = Buffer.from(data as string);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, 'latin1');
    header.write('0000644\0', 100);
    const digits = size ?? contents.length;
    header.write(
      typeof digits === 'string' ? digits : `${digits.toString(8).padStart(11, '0')}\0`,
      124,
      12,
      'latin1',
    );
    header.write('        ', 148);
    header.write(kind, 156, 1, 'latin1');
    header.write('ustar\0' + '00', 257);
    const sum = header.reduce((sum, byte) => sum + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, contents, Buffer.alloc((512 - (contents.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(end ? 1024 : 0)]);
}

/** An extended header of pax with one record. */
export function pax(key: string, value: string): Packed {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length;
  return { name: 'pax', kind: 'x', data: `${length}${rest}` };
}

/** Packs files as a zip, deflated unless `zip.method` is 0. */
export function zipOf(files: readonly Packed[], { comment = '' } = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data = '', zip = {} } of files) {
    const contents = Buffer.from(data as string);
    const method = zip.method ?? 8;
    const stored = method === 8 ? deflateRawSync(contents) : contents;
    const bytes = Buffer.from(name, 'utf8');
    const extra = zip.extra ?? Buffer.alloc(0);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt16LE(bytes.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(0x0314, 4);
    entry.writeUInt16LE(zip.flags ?? 0x800, 8);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(zip.crc ?? crc32(contents), 16);
    entry.writeUInt32LE(zip.stored ?? stored.length, 20);
    entry.writeUInt32LE(zip.length ?? contents.length, 24);
    entry.writeUInt16LE(bytes.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(((zip.mode ?? 0o100644) << 16) >>> 0, 38);
    entry.writeUInt32LE(zip.offset ?? at, 42);
    directory.push(entry, bytes, extra);
    parts.push(local, bytes, stored);
    at += 30 + bytes.length + stored.length;
  }
  const size = Buffer.concat(directory).length;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, ...directory, end, Buffer.from(comment)]);
}

/** The files below a folder, with `/` between folders, in no order in particular. */
export function filesOf(folder: string): Packed[] {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  return names.reverse().map((name) => ({ name, data: readFileSync(path.join(folder, name)) }));
}

/** Writes a file; returns its path. */
export function writeTo(file: string, bytes: Uint8Array): string {
  writeFileSync(file, bytes);
  return file;
}
