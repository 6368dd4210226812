// Progress goes to stderr: stdout is for what a script may want to read.
const terminal = process.stderr.isTTY === true;
let pending = false;

/**
 * Prints one lasting line.
 *
 * @param {string} line
 */
export function say(line) {
  clear();
  process.stderr.write(`distill setup: ${line}\n`);
}

/**
 * Shows a line that the next one replaces; only in a terminal, where that is possible.
 *
 * @param {string} line
 */
export function progress(line) {
  if (!terminal) return;
  const width = (process.stderr.columns ?? 80) - 1;
  process.stderr.write(`\r\x1b[2K${line.slice(0, width)}`);
  pending = true;
}

/** Removes the line that {@link progress} left. */
export function clear() {
  if (pending) process.stderr.write('\r\x1b[2K');
  pending = false;
}

/**
 * @param {number} bytes
 * @returns {string} such as `121 MB` or `2.4 GB`
 */
export function size(bytes) {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
