import { z } from 'zod';
import { averaged, choice, fields } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

/** Options of `convert()`. */
export interface ConvertOptions {
  /** PyTorch's format, an exported program or safetensors. Default: what the name of the file to write ends in. */
  format?: 'pth' | 'pt2' | 'safetensors' | undefined;
  /** Takes the averaged (EMA) weights of a file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
  /**
   * Replaces a file that is there, whatever it is. Without it, only a student is replaced by a student and a teacher by a
   * teacher, where this package wrote it. Default false.
   */
  overwrite?: boolean | undefined;
}

export const convertOptions = z.strictObject({
  model: option(fields.file, {
    help: "a student's file; for .pth, .safetensors and .pt2, also another known network's",
  }),
  output: fields.output,
  format: option(choice('pth', 'pt2', 'safetensors').optional(), {
    help: 'the format to write',
    placeholder: 'name',
    shown: 'what the name of the file ends in',
  }),
  averaged: option(averaged, {
    help: "take the file's averaged (EMA) weights, where it has both",
  }),
  overwrite: fields.overwrite,
});

export type _Held = Expect<
  Holds<ConvertOptions & { model: string; output: string }, typeof convertOptions>
>;
