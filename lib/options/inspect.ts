import { z } from 'zod';
import { averaged, fields } from './fields.js';
import type { Expect, Holds } from './held.js';
import { option } from './option.js';

/** Options of `inspect()`. */
export interface InspectOptions {
  /** Shows the averaged (EMA) weights of a file that has both these and plain ones. Default false. */
  averaged?: boolean | undefined;
}

export const inspectOptions = z.strictObject({
  path: option(fields.file, { help: 'a checkpoint' }),
  averaged: option(averaged, { help: 'show the averaged (EMA) weights, where there are both' }),
});

export type _Held = Expect<Holds<InspectOptions & { path: string }, typeof inspectOptions>>;
