import { ACTIVATIONS } from './activation.js';
import { ARITHMETIC } from './arithmetic.js';
import { ATTENTIONS } from './attention.js';
import { CONVOLUTIONS } from './convolution.js';
import { CREATIONS } from './creation.js';
import { INDEXINGS } from './indexing.js';
import { JOININGS } from './joining.js';
import { MATRICES } from './matrix.js';
import { NORMALIZATIONS } from './normalization.js';
import type { Operators } from './operators.js';
import { POOLINGS } from './pooling.js';
import { REDUCTIONS } from './reduction.js';
import { RESIZINGS } from './resizing.js';
import { SCATTERS } from './scatter.js';
import { WINDOWS } from './windows.js';

/** Every operator that computes, by its name. */
export const OPERATORS: Operators = {
  ...ACTIVATIONS,
  ...ARITHMETIC,
  ...ATTENTIONS,
  ...CONVOLUTIONS,
  ...CREATIONS,
  ...INDEXINGS,
  ...JOININGS,
  ...MATRICES,
  ...NORMALIZATIONS,
  ...POOLINGS,
  ...REDUCTIONS,
  ...RESIZINGS,
  ...SCATTERS,
  ...WINDOWS,
};

/** Checks of a program, and notes for its compiler: nothing comes of them in evaluation. */
export const CHECKS: ReadonlySet<string> = new Set([
  '_assert_scalar',
  '_assert_async',
  '_assert_tensor_metadata',
  '_functional_assert_async',
  '_functional_sym_constrain_range',
  '_functional_sym_constrain_range_for_size',
  'sym_constrain_range',
  'sym_constrain_range_for_size',
]);
