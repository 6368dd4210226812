import type { Call } from './call.js';
import type { Value, View } from './values.js';

/**
 * Conversions by the operator's name without namespace, overload and the underscore of its form in place, such as `add` of
 * `aten.add_.Tensor`. Each returns the name of what it computes, or the names of several outputs; those that are
 * missing at the end may not be used.
 */
export type Operators = Readonly<Record<string, (call: Call) => string | string[]>>;

/** Operators that return a view of their first argument, or several, or it itself. */
export type Views = Readonly<Record<string, (call: Call) => View | View[] | Value>>;
