import path from 'node:path';
import { loadAddon, native } from './addon.js';
import { DistillError } from './errors.js';
import { inspect, isStudent } from './model/inspect.js';
import { refuseOthers, refuseSource } from './model/output.js';
import { checkOptions } from './options/check.js';
import { type ConvertOptions, convertOptions } from './options/convert.js';

/** The outcome of {@link convert}. */
export interface ConvertResult {
  /** The file. */
  path: string;
  format: 'pth' | 'pt2' | 'safetensors';
  /** 'cnn', 'densenet121', … */
  architecture: string;
  classes: number;
}

/**
 * Writes a student or a DenseNet in the other format, `.pth` or safetensors, with the metadata that its file has. Weights
 * of float32 stay bit by bit; half precision becomes float32.
 *
 * @param model A file in either format.
 * @param output The file to write.
 * @throws DistillError `ERR_OPTION`, `ERR_EXISTS`, `ERR_CHECKPOINT_…`, `ERR_MODEL_ARCHITECTURE` where the file holds another network,
 * and `ERR_WRITE`; then nothing is written.
 */
export async function convert(
  model: string,
  output: string,
  options: ConvertOptions = {},
): Promise<ConvertResult> {
  const given = checkOptions(convertOptions, { ...options, model, output });
  const { averaged } = given;
  const format = given.format ?? formatOf(output);
  const addon = loadAddon();
  const target = path.resolve(output);
  await native(addon.checkWritable(target));
  await refuseSource('model', model, 'output', target);
  const contents = await inspect(model, { averaged });
  const { architecture, classes } = contents;
  const kind = isStudent(contents) ? 'student' : 'teacher';
  await refuseOthers({ option: 'output', file: target, kind, overwrite: given.overwrite });
  await native(addon.convert({ from: model, to: target, format, averaged }));
  return { path: target, format, architecture: architecture ?? '', classes: classes ?? 0 };
}

function formatOf(file: string): 'pth' | 'pt2' | 'safetensors' {
  const ending = path.extname(file);
  if (ending === '.safetensors') return 'safetensors';
  if (ending === '.pt2') return 'pt2';
  if (ending === '.pth' || ending === '.pt') return 'pth';
  throw new DistillError(
    'ERR_OPTION',
    `Expected a name that ends in .pth, .pt, .pt2 or .safetensors, or a \`format\`, for \`output\` but received '${file}'.`,
  );
}
