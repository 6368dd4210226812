/**
 * Reads a number of bytes: `2GB` (10^9), `512MiB` (2^20), or a plain number.
 *
 * @returns The text itself where it is no number of bytes: the check of the option refuses it then.
 */
export function bytes(text: string): number | string {
  const [, count, prefix = '', binary] = /^\s*([\d.]+)\s*([kmgt]?)(i?)b?\s*$/i.exec(text) ?? [];
  const power = ' kmgt'.indexOf(prefix.toLowerCase() || ' ');
  const value = Math.round(Number(count ?? (text.trim() || NaN)) * (binary ? 1024 : 1000) ** power);
  return Number.isNaN(value) ? text : value;
}
