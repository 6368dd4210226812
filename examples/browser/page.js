// The page: its model and what the model's classes are called lie beside it, and so does onnxruntime-web's dist/.
import * as ort from '/ort/ort.wasm.min.mjs';
import { probabilitiesOf, readPicture } from './classify.js';

// The browser finds ort-wasm-simd-threaded.mjs and .wasm there.
ort.env.wasm.wasmPaths = '/ort/';

const session = await ort.InferenceSession.create('/student.onnx');
const { metadata } = await (await fetch('/student.json')).json();

/** @param {Blob} file */
export async function classify(file) {
  const picture = await readPicture(file, metadata.exif);
  const probabilities = await probabilitiesOf(ort, session, picture);
  return metadata.classes.map((label, index) => ({ label, probability: probabilities[index] }));
}

const files = document.querySelector('input');
const list = document.querySelector('ul');
files.disabled = false;
files.onchange = async () => {
  for (const file of files.files) {
    const [best] = (await classify(file)).sort((a, b) => b.probability - a.probability);
    const line = document.createElement('li');
    line.textContent = `${file.name}: ${best.label}, ${best.probability.toFixed(4)}`;
    list.append(line);
  }
};
