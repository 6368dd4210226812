import { z } from 'zod';
import { fields } from './fields.js';
import { option } from './option.js';

/** The one argument of `inspect()`. */
export const inspectOptions = z.strictObject({
  path: option(fields.file, { help: 'a checkpoint' }),
});
