// What is random in the checks, and can be had again.

/** @typedef {(below: number) => number} Draw */

/**
 * A small, fast, seeded generator (mulberry32) of whole numbers from 0 to below `below`.
 *
 * @param {number} seed
 * @returns {Draw}
 */
export function random(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b9);
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}
