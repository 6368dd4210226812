// What a student exported as ONNX is to see of a picture, as `predict()` has it: the square of `size` pixels from the
// middle, without resizing, where EXIF turns nothing. The same in Node and in a browser.

/**
 * Where the square begins on one side of a picture, as torchvision's CenterCrop has it. Halves are rounded to the even
 * number; it is negative where the picture is smaller than the square, which is black around it.
 *
 * @param {number} side the picture's width or height in pixels
 * @param {number} size the square's
 */
export function cropOffset(side, size) {
  if (side < size) return -Math.floor((size - side) / 2);
  const half = Math.floor((side - size) / 2);
  return (side - size) % 2 === 0 ? half : half + (half % 2);
}

/**
 * Takes the square from a picture's pixels; more channels than red, green and blue, such as alpha, are dropped.
 *
 * @param {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number }} picture
 * @param {number} size
 * @returns {Uint8Array} RGB (size, size, 3)
 */
export function centerCrop({ data, width, height }, size) {
  const channels = data.length / (width * height);
  const [left, top] = [cropOffset(width, size), cropOffset(height, size)];
  const square = new Uint8Array(size * size * 3);
  for (let y = Math.max(0, -top); y < Math.min(size, height - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(size, width - left); x++) {
      const from = ((y + top) * width + x + left) * channels;
      square.set(data.subarray(from, from + 3), (y * size + x) * 3);
    }
  }
  return square;
}
