/**
 * The one error class of the package.
 *
 * `code` is stable and meant for programs; `message` is one sentence for people that says what was
 * expected, what was there, and what to do about it.
 */
export class DistillError extends Error {
  /** A stable name such as `ERR_OPTION` or `ERR_CHECKPOINT_CORRUPT`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DistillError';
    this.code = code;
  }
}
