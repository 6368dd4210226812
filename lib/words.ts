// Figures and lists as text for people.

/** Lists the first five of some names: `"ants", "bees" and 3 more`. */
export function quoted(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`);
  return shown.join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Makes a text fit for a terminal: control characters, breaks of lines, and what turns the direction of writing are
 * escaped as bash reads them in `$'…'`, such as `\n`, `\x1b` and `\u202e`. A byte of a name that is not UTF-8 is shown
 * as that byte, `\xe9`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]/gu, (character) => {
    const code = character.charCodeAt(0);
    const isByte = code < 0x80 || (code >= 0xdc80 && code <= 0xdcff);
    const digits = code.toString(16).padStart(4, '0');
    return NAMED[character] ?? (isByte ? `\\x${digits.slice(2)}` : `\\u${digits}`);
  });
}

/** Returns a number with its noun: `1 picture`, `2 pictures`. */
export function count(n: number, noun: string, plural = `${noun}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? noun : plural}`;
}

/** Returns bytes in decimal units: `61 MB`, `2.4 GB`. */
export function size(bytes: number): string {
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Returns a share of 0..1 in per cent: `95.4 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Returns a duration, no finer than an estimate is: `3.9 s`, `18 s`, `33 min`, `2 h 5 min`. */
export function span(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
