import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

// Reads some fields of protobuf messages, and passes over the others: an ONNX model is mostly weights, of which not even a
// list is made.

/** Readers of a message's fields, by their number. */
export type Fields = Readonly<Record<number, (reader: BinaryReader, type: WireType) => void>>;

/** Messages within each other, at most. ONNX has graphs in attributes of nodes, which have such attributes again. */
const DEEPEST = 64;

/**
 * Reads a message's fields, in their order.
 *
 * @throws Error where the bytes are no such message.
 */
export function readFields(bytes: Uint8Array, fields: Fields, depth = 0): void {
  if (depth > DEEPEST) throw new Error('its messages are too deep within each other');
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const read = fields[field];
    if (read) read(reader, type);
    else reader.skip(type, field);
  }
}

/** Makes the reader of a field of bytes. */
export function bytesField(take: (bytes: Uint8Array) => void): Fields[number] {
  return (reader, type) => {
    if (type !== WireType.LengthDelimited) throw new Error('a field is of another type');
    take(reader.bytes());
  };
}

/** Makes the reader of a field of text. */
export function textField(take: (text: string) => void): Fields[number] {
  return bytesField((bytes) => take(new TextDecoder().decode(bytes)));
}

/** Makes the reader of a field of whole numbers, one or a packed list. */
export function numberField(take: (value: number) => void): Fields[number] {
  return (reader, type) => {
    if (type === WireType.Varint) {
      take(Number(reader.int64()));
      return;
    }
    if (type !== WireType.LengthDelimited) throw new Error('a field is of another type');
    const list = new BinaryReader(reader.bytes());
    while (list.pos < list.len) take(Number(list.int64()));
  };
}
