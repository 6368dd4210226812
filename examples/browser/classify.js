/**
 * Reads a picture file's pixels.
 *
 * @param {Blob} file
 * @param {'ignore' | 'apply'} [exif] 'apply' turns it by its EXIF, for a student that was trained so
 */
export async function readPicture(file, exif = 'ignore') {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (exif === 'ignore') hideExif(bytes);
  // A browser would convert colours by the picture's profile.
  const bitmap = await createImageBitmap(new Blob([bytes]), {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('This browser has no 2d canvas.');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height); // RGBA
  const pixels = new Uint8Array(width * height * 3); // RGB (height, width, 3)
  for (let from = 0, to = 0; from < data.length; from += 4) {
    pixels[to++] = data[from];
    pixels[to++] = data[from + 1];
    pixels[to++] = data[from + 2];
  }
  return { pixels, width, height };
}

/**
 * Keeps a browser from turning a picture by its EXIF, as training does not: `imageOrientation: 'none'` no longer does in
 * today's browsers. The EXIF of a JPEG, a PNG or a WebP loses its first byte, and is passed over.
 *
 * @param {Uint8Array} bytes of a picture's file
 */
function hideExif(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const name = (/** @type {number} */ at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  const end = bytes.length - 8;
  if (end > 0 && view.getUint16(0) === 0xffd8) {
    // Segments of marker and length, up to the one that the pixels follow.
    for (let at = 2; at < end && view.getUint16(at) !== 0xffda; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint16(at) === 0xffe1 && name(at + 4) === 'Exif') bytes[at + 4] = 0;
    }
  } else if (name(1).startsWith('PNG')) {
    // Chunks of length, name, data and a checksum.
    for (let at = 8; at < end; at += 12 + view.getUint32(at)) {
      if (name(at + 4) === 'eXIf') bytes[at + 8] = 0;
    }
  } else if (name(0) === 'RIFF') {
    // Chunks of name, length and data, to an even number of bytes.
    for (
      let at = 12;
      at < end;
      at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1)
    ) {
      if (name(at) === 'EXIF') bytes[at + 8] = 0;
    }
  }
}

/**
 * Asks the model about a picture. It resizes and crops it as in training.
 *
 * @param {typeof import('onnxruntime-web')} ort
 * @param {import('onnxruntime-web').InferenceSession} session of a model that `distill export --input picture` wrote
 * @param {{ pixels: Uint8Array, width: number, height: number }} picture
 * @returns {Promise<number[]>} the classes' probabilities
 */
export async function probabilitiesOf(ort, session, { pixels, width, height }) {
  const feeds = { picture: new ort.Tensor('uint8', pixels, [height, width, 3]) };
  const { probabilities } = await session.run(feeds);
  return Array.from(/** @type {Float32Array} */ (probabilities?.data));
}
