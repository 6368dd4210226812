// Tensors of a program while it is converted. ONNX has neither views nor writes in place: a value's name changes where it
// is written to, and what shares memory with it follows.

/** The types that are told apart: ONNX computes all floats in float32 and all integers in int64. */
export type Kind = 'float' | 'int' | 'bool';

/** A size: a number, or the name of an int64 vector of one element that the model computes. */
export type Size = number | string;

/** A tensor of the program. */
export interface Value {
  /** ONNX's name of its content; read it by {@link contentOf}. */
  name: string;
  readonly kind: Kind;
  /** `null` stands for a size that is known only when the model runs. */
  readonly shape: readonly (number | null)[];
  /** How often its content has changed. */
  version: number;
  /** The tensor whose memory it shares, at the version that its content is of. */
  readonly base?: { value: Value; version: number; view: View };
}

/** The two ways between a tensor and a view of it. Each takes and returns names of contents. */
export interface View {
  /** Reads the view from its base. */
  take(base: string): string;
  /** Returns the base with another content of the view in it. */
  put(base: string, part: string): string;
}

export function makeValue(name: string, kind: Kind, shape: readonly (number | null)[]): Value {
  return { name, kind, shape, version: 0 };
}

export function makeView(base: Value, view: View, shape: readonly (number | null)[]): Value {
  const name = view.take(contentOf(base));
  const { kind, version } = base;
  return { name, kind, shape, version: 0, base: { value: base, version, view } };
}

/** Returns the name of a tensor's content, after all writes to what it shares memory with. */
export function contentOf(value: Value): string {
  const { base } = value;
  if (base) {
    const name = contentOf(base.value);
    if (base.version !== base.value.version) {
      value.name = base.view.take(name);
      value.version++;
      base.version = base.value.version;
    }
  }
  return value.name;
}

/** Replaces a tensor's content, and with it that of what it shares memory with. */
export function write(value: Value, name: string): void {
  const { base } = value;
  if (base) {
    write(base.value, base.view.put(contentOf(base.value), name));
    base.version = base.value.version;
  }
  value.name = name;
  value.version++;
}
