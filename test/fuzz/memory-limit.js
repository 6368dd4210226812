/** Bytes of array buffers that the input may still ask for, and whether it has asked for more. */
let left = Number.POSITIVE_INFINITY;
let isExceeded = false;

/**
 * Returns a reader that throws where an input asks for more memory than four times its size and 64 MiB. Counted are the bytes
 * of all array buffers that JavaScript asks for, given back or not; what lies on the heap, node's limit bounds.
 *
 * @template {void | Promise<void>} Done
 * @param {(data: Uint8Array) => Done} read
 * @returns {(data: Uint8Array) => Done}
 */
export function limited(read) {
  const slack = Number(process.env.DISTILL_FUZZ_SLACK ?? 64) * 2 ** 20;
  const end = () => {
    left = Number.POSITIVE_INFINITY;
    if (isExceeded) throw new Error('memory beyond the limit');
  };
  return (data) => {
    left = 4 * data.length + slack;
    isExceeded = false;
    try {
      const done = read(data);
      if (done) return /** @type {Done} */ (done.finally(end));
    } catch (error) {
      end();
      throw error;
    }
    end();
    return /** @type {Done} */ (undefined);
  };
}

/** @param {number} bytes */
function charge(bytes) {
  if (!(bytes > 0)) return;
  left -= bytes;
  if (left >= 0) return;
  isExceeded = true; // the reader may catch the error
  throw new RangeError(`${bytes} bytes are asked for, beyond the limit`);
}

/** @type {Record<string, { BYTES_PER_ELEMENT?: number }>} */
const globals = /** @type {never} */ (globalThis);
for (const name of [
  'ArrayBuffer',
  'Uint8Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
]) {
  const original = /** @type {Function & { BYTES_PER_ELEMENT?: number }} */ (globals[name]);
  const { BYTES_PER_ELEMENT: size = 1 } = original;
  globals[name] = new Proxy(original, {
    construct(target, args, newTarget) {
      const [first] = args;
      charge(size * (typeof first === 'number' ? first : Array.isArray(first) ? first.length : 0));
      return Reflect.construct(target, args, newTarget);
    },
  });
}
for (const name of /** @type {const} */ (['alloc', 'allocUnsafe', 'allocUnsafeSlow'])) {
  const original = Buffer[name];
  Buffer[name] = (/** @type {number} */ length, /** @type {unknown[]} */ ...more) => {
    charge(length);
    return original.call(Buffer, length, .../** @type {[]} */ (more));
  };
}
const { concat } = Buffer;
Buffer.concat = (parts, length) => {
  charge(length ?? parts.reduce((sum, part) => sum + part.length, 0));
  return concat.call(Buffer, parts, length);
};
