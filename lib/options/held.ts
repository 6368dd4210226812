// Hand-written interfaces are there for their hover texts. These types hold them to the schemas: an option that one of
// the two lacks, or types otherwise, is a compile error.
import type { z } from 'zod';

/** Compiles with `true` alone. */
export type Expect<True extends true> = True;

/** `true` where an interface has a schema's options, and takes exactly what the schema takes. */
export type Holds<Interface, Schema extends z.ZodType> = [
  Same<keyof Interface, keyof z.input<Schema>>,
  Takes<Interface, z.input<Schema>>,
  Takes<z.input<Schema>, Interface>,
] extends [true, true, true]
  ? true
  : false;

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type Takes<A, B> = [A] extends [B] ? true : false;
