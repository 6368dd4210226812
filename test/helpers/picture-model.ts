// For the tests of models that take whole pictures.
import * as ort from 'onnxruntime-web';
import sharp from 'sharp';
import { Graph, toModel } from '../../lib/model/onnx/graph.js';
import { cropOfPicture } from '../../lib/model/onnx/picture.js';
import type { PixelPreprocessing } from '../../lib/model/preprocessing.js';

/** A decoded picture, RGB (height, width, 3). */
export interface RawPicture {
  height: number;
  width: number;
  data: Uint8Array;
}

/** Decodes a picture for such a model. */
export async function rawPicture(file: string): Promise<RawPicture> {
  const picture = sharp(file, { ignoreIcc: true }).toColourspace('srgb').removeAlpha().raw();
  const { data, info } = await picture.toBuffer({ resolveWithObject: true });
  return { height: info.height, width: info.width, data };
}

export const tensorOf = ({ height, width, data }: RawPicture) =>
  new ort.Tensor('uint8', data, [height, width, 3]);

/** Returns a function that makes the crops of pictures, (imageSize, imageSize, 3), by the steps of the graph alone. */
export async function cropper(preprocessing: PixelPreprocessing, opset = 18) {
  const graph = new Graph();
  graph.node('Identity', [cropOfPicture(graph, 'picture', preprocessing)], {}, 'pixels');
  const size = preprocessing.imageSize;
  const { bytes } = toModel(graph, {
    name: 'crop',
    input: { name: 'picture', type: 'uint8', shape: ['height', 'width', 3] },
    output: { name: 'pixels', type: 'uint8', shape: [1, 3, size, size] },
    opset,
    producerVersion: '',
    metadata: {},
  });
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  return {
    crop: async (picture: RawPicture) => {
      const { pixels } = await session.run({ picture: tensorOf(picture) });
      return interleaved(pixels?.data as Uint8Array);
    },
    close: () => session.release(),
  };
}

/** Returns (3, H, W) as (H, W, 3). */
function interleaved(planes: Uint8Array): Uint8Array {
  const area = planes.length / 3;
  return planes.map((_, i) => planes[(i % 3) * area + Math.floor(i / 3)] ?? 0);
}
