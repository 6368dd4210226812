/** @import { Summary } from './types.js' */

/**
 * @param {readonly (number | null | undefined)[]} values
 * @returns {Summary | null} null where there are none
 */
export function summarize(values) {
  const sorted = values.filter((value) => typeof value === 'number').sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  return {
    median,
    min: sorted[0] ?? median,
    max: sorted.at(-1) ?? median,
    count: sorted.length,
  };
}
