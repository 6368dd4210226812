// Classifies pictures with a student as ONNX, without LibTorch:
//
//   npx distill export student.pth -o student.onnx
//   npx distill inspect student.pth --json > student.json
//   node examples/node/classify.js student.onnx student.json photo.jpg …
import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-web';
import sharp from 'sharp';
import { centerCrop } from '../picture.js';

const [model = '', description = '', ...pictures] = process.argv.slice(2);
const { metadata } = JSON.parse(await readFile(description, 'utf8'));
const { classes, imageSize } = metadata;
const session = await ort.InferenceSession.create(model);

for (const file of pictures) {
  // Neither turned by EXIF, nor converted by an ICC profile, nor blended: as in training.
  const { data, info } = await sharp(file, { ignoreIcc: true })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pixels = centerCrop({ data, width: info.width, height: info.height }, imageSize);
  const feeds = { pixels: new ort.Tensor('uint8', pixels, [1, imageSize, imageSize, 3]) };
  const { probabilities } = await session.run(feeds);
  const row = /** @type {Float32Array} */ (probabilities?.data);
  const best = row.indexOf(Math.max(...row));
  console.log(`${file}\t${classes[best]}\t${row[best]?.toFixed(6)}`);
}
