/** Numbers at the limits of their types. */
const NUMBERS = [
  0,
  1,
  2,
  7,
  8,
  127,
  128,
  255,
  256,
  32767,
  32768,
  65535,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];

/** @param {number} limit */
function random(limit) {
  return Math.floor(Math.random() * limit);
}

/** @template T @param {readonly T[]} items */
function choose(items) {
  return /** @type {T} */ (items[random(items.length)]);
}

/**
 * The changes that a file goes through, those of libFuzzer: each returns another one.
 *
 * @type {((data: Buffer, words: readonly Uint8Array[], kept: readonly Uint8Array[]) => Buffer)[]}
 */
const CHANGES = [
  (data) => {
    const at = random(data.length);
    data[at] = (data[at] ?? 0) ^ (1 << random(8));
    return data;
  },
  (data) => {
    data[random(data.length)] = random(256);
    return data;
  },
  (data) => {
    const at = random(data.length);
    data[at] = (data[at] ?? 0) + choose([1, -1, 16, -16]);
    return data;
  },
  // A number in two or four bytes, in either order.
  (data) => {
    const bytes = choose([2, 4]);
    if (data.length < bytes) return data;
    const at = random(data.length - bytes + 1);
    const number = choose(NUMBERS) % 2 ** (8 * bytes);
    if (random(4)) data.writeUIntLE(number, at, bytes);
    else data.writeUIntBE(number, at, bytes);
    return data;
  },
  (data) => data.subarray(0, 1 + random(data.length)),
  // Leaves a part out, or repeats one.
  (data) => {
    const from = random(data.length);
    return Buffer.concat([data.subarray(0, from), data.subarray(from + 1 + random(16))]);
  },
  (data) => {
    const from = random(data.length);
    const end = from + 1 + random(64);
    return Buffer.concat([data.subarray(0, end), data.subarray(from)]);
  },
  // Puts a word in the place of others, or between them.
  (data, words) => {
    const word = words.length > 0 ? choose(words) : Buffer.of(random(256));
    const at = random(data.length + 1);
    return Buffer.concat([data.subarray(0, at), word, data.subarray(at + word.length * random(2))]);
  },
  // Goes on as another file does.
  (data, _, kept) => {
    const other = choose(kept);
    const at = random(data.length);
    return Buffer.concat([
      data.subarray(0, at),
      other.subarray(random(2) ? at : random(other.length)),
    ]);
  },
];

/**
 * Makes a file of one that was kept.
 *
 * @param {readonly Uint8Array[]} kept
 * @param {readonly Uint8Array[]} words
 * @param {number} longest
 * @returns {Uint8Array}
 */
export function mutate(kept, words, longest) {
  /** @type {Buffer} */
  let data = Buffer.from(choose(kept));
  for (let left = 1 + random(5); left > 0; left--) {
    if (data.length === 0) data = Buffer.of(random(256));
    data = choose(CHANGES)(data, words, kept).subarray(0, longest);
  }
  return data;
}
