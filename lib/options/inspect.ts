import { z } from 'zod';
import { fields } from './fields.js';

/** The one argument of `inspect()`. */
export const inspectOptions = z.strictObject({ path: fields.path });
