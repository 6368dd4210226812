// Takes exported programs apart and together again.
import { crc32, deflateRawSync } from 'node:zlib';

/**
 * Returns the records of a zip archive that stores them as they are, by name.
 *
 * @param {Buffer} bytes
 * @returns {Map<string, Buffer>}
 */
export function recordsOf(bytes) {
  const records = new Map();
  const end = bytes.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = bytes.readUInt16LE(at + 28);
    const behindName = bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    const local = bytes.readUInt32LE(at + 42);
    const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength);
    records.set(name, bytes.subarray(begin, begin + bytes.readUInt32LE(at + 20)));
    at += 46 + nameLength + behindName;
  }
  return records;
}

/**
 * Returns a zip archive that stores records as they are, with their right checksums. A record's header and its entry in
 * the directory say the same, also where `zip` has them say something else.
 *
 * @typedef {{ method?: number, stored?: number, length?: number, offset?: number }} Headers method: 8 deflates.
 * @param {Iterable<[name: string, data: Buffer, zip?: Headers]>} records
 */
export function archiveOf(records) {
  const parts = [];
  const directory = [];
  let at = 0;
  let count = 0;
  for (const [name, data, { method = 0, stored, length, offset } = {}] of records) {
    const packed = method === 8 ? deflateRawSync(data) : data;
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0); // version
    head.writeUInt16LE(0x800, 2); // names are UTF-8
    head.writeUInt16LE(method, 4);
    head.writeUInt32LE(crc32(data), 10);
    head.writeUInt32LE(stored ?? packed.length, 14);
    head.writeUInt32LE(length ?? data.length, 18);
    head.writeUInt16LE(Buffer.byteLength(name), 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset ?? at, 10);
    parts.push(Buffer.from('PK\x03\x04'), head, Buffer.from(name), packed);
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), head, rest, Buffer.from(name));
    at += 30 + Buffer.byteLength(name) + packed.length;
    count += 1;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...parts, listed, Buffer.from('PK\x05\x06'), end]);
}

/**
 * Returns the whole name of the record that ends so.
 *
 * @param {Map<string, Buffer>} records
 * @param {string} ending
 */
export function recordName(records, ending) {
  const name = [...records.keys()].find((each) => each.endsWith(ending));
  if (name === undefined) throw new Error(`there is no record '${ending}'`);
  return name;
}

/**
 * Returns the archive with records changed: by the end of a name, its new contents, or a function of its JSON that
 * changes it in place or returns another.
 *
 * @param {Buffer} bytes
 * @param {Record<string, Buffer | string | null | ((json: any) => unknown)>} changes null: the record goes.
 */
export function changed(bytes, changes) {
  const records = recordsOf(bytes);
  for (const [ending, change] of Object.entries(changes)) {
    if (change === null) {
      records.delete(recordName(records, ending));
    } else if (typeof change === 'function') {
      const name = recordName(records, ending);
      const json = JSON.parse(/** @type {Buffer} */ (records.get(name)).toString());
      records.set(name, Buffer.from(JSON.stringify(change(json) ?? json)));
    } else {
      const top = [...records.keys()][0]?.split('/')[0];
      const known = [...records.keys()].find((each) => each.endsWith(ending));
      records.set(known ?? `${top}/${ending}`, Buffer.from(/** @type {string} */ (change)));
    }
  }
  return archiveOf(records);
}
