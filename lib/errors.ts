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

/** Throws what every aborted call rejects with: `ERR_ABORTED`, whose cause is the signal's reason. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const error = new DistillError('ERR_ABORTED', 'It was aborted; what had been saved stays.', {
    cause: signal.reason,
  });
  // What fetch and node:fs call it, and callers look for.
  error.name = 'AbortError';
  throw error;
}

/** Does work that a signal may end; then it rejects as {@link throwIfAborted} throws, whatever the work came to. */
export async function abortable<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  try {
    return await work();
  } finally {
    throwIfAborted(signal);
  }
}
