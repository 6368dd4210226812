// Prepares a picture for a student that was exported as ONNX, as `predict()` does: takes the square of `size` pixels
// from its middle, without resizing and without turning it by its EXIF data. It runs in Node and in browsers alike.

/**
 * Returns the offset of the square on one side of a picture, as torchvision's CenterCrop computes it: halves are rounded
 * to the even number. It is negative if the picture is smaller than the square, which is black around it then.
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
