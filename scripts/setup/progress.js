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
  process.stderr.write(`distill setup: ${printable(line)}\n`);
}

/**
 * Shows a line that the next one replaces; only in a terminal, where that is possible.
 *
 * @param {string} line
 */
export function progress(line) {
  if (!terminal) return;
  const width = (process.stderr.columns ?? 80) - 1;
  process.stderr.write(`\r\x1b[2K${printable(line).slice(0, width)}`);
  pending = true;
}

/** Removes the line that {@link progress} left. */
export function clear() {
  if (pending) process.stderr.write('\r\x1b[2K');
  pending = false;
}

/**
 * Makes a line fit for a terminal, which would obey the control characters that a folder's name may hold.
 *
 * @param {string} line
 */
export function printable(line) {
  const escaped = (/** @type {string} */ character) =>
    `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  return line.replace(/(?!\t)\p{Cc}/gu, escaped);
}

/**
 * @param {number} bytes
 * @returns {string} such as `121 MB` or `2.4 GB`
 */
export function size(bytes) {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
