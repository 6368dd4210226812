import { z } from 'zod';
import { fields } from './fields.js';

/** Options of `convert()`. */
export interface ConvertOptions {
  /** PyTorch's format or safetensors. Default: what the name of the file to write ends in. */
  format?: 'pth' | 'safetensors' | undefined;
  /**
   * Whether a file that is there is replaced, whatever it is. Default false: only a student by a student and a teacher by a
   * teacher, where this package wrote it.
   */
  overwrite?: boolean | undefined;
}

export const convertOptions = z.strictObject({
  model: fields.path,
  output: fields.path,
  format: z.enum(['pth', 'safetensors']).describe("'pth' or 'safetensors'").optional(),
  overwrite: fields.overwrite,
});
