// Classifies pictures with a student as ONNX, without LibTorch:
//
//   npx distill export student.pth -o student.onnx --input picture
//   npx distill inspect student.pth --json > student.json
//   node examples/node/classify.js student.onnx student.json photo.jpg …
import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-web';
import sharp from 'sharp';

const [model = '', description = '', ...pictures] = process.argv.slice(2);
const { metadata } = JSON.parse(await readFile(description, 'utf8'));
const session = await ort.InferenceSession.create(model);

for (const file of pictures) {
  // Neither converted by an ICC profile, nor blended: as in training. The model resizes and crops.
  const picture = sharp(file, { ignoreIcc: true }).toColourspace('srgb').removeAlpha().raw();
  if (metadata.exif === 'apply') picture.autoOrient();
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  const feeds = { picture: new ort.Tensor('uint8', data, [info.height, info.width, 3]) };
  const { probabilities } = await session.run(feeds);
  const row = /** @type {Float32Array} */ (probabilities?.data);
  const best = row.indexOf(Math.max(...row));
  console.log(`${file}\t${metadata.classes[best]}\t${row[best]?.toFixed(6)}`);
}
