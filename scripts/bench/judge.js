/** @import { Runner } from './rounds.js' */
/** @import { Verdict } from './types.js' */

/**
 * The largest relative difference of losses and probabilities from the reference's. PyTorch in float32 differs
 * from itself by 0.7e-3 after two epochs if only the memory format changes, as rounding grows from step to step.
 */
export const TOLERANCES = { fp32: 5e-3, bf16: 5e-2 };

/**
 * Tells whether a contestant computes what the reference does: compares the losses of the epochs that both
 * have run (or of its few steps) and the probabilities of its predictions.
 *
 * @param {Runner} runner
 * @param {Runner | undefined} reference
 * @param {number[] | null} portable the reference's losses of few, small steps
 * @returns {Verdict}
 */
export function verdictOf(runner, reference, portable) {
  const { contestant, setup, losses, stepLosses, probabilities } = runner;
  const tolerance =
    TOLERANCES[
      contestant.tolerance === 'any' ? (setup?.precision ?? 'bf16') : contestant.tolerance
    ];
  /** @type {Verdict} */
  const none = { agrees: null, difference: null, tolerance, compared: 'nothing' };
  if (!reference || reference === runner) return none;

  /** @type {[number, number][]} */
  const pairs = [];
  const compared = [];
  const epochs = Math.min(losses.length, reference.losses.length);
  for (let i = 0; i < epochs; i++) {
    const [ours, theirs] = [losses[i], reference.losses[i]];
    if (ours && theirs) pairs.push([ours.train, theirs.train], [ours.val, theirs.val]);
  }
  if (epochs > 0) compared.push(`training and validation losses of ${epochs} epochs`);
  if (portable && stepLosses.length > 0) {
    for (const [i, loss] of stepLosses.entries()) pairs.push([loss, portable[i] ?? Number.NaN]);
    compared.push(`losses of ${stepLosses.length} steps`);
  }
  const pictures = Math.min(probabilities.length, reference.probabilities.length);
  for (let i = 0; i < pictures; i++) {
    pairs.push([probabilities[i] ?? Number.NaN, reference.probabilities[i] ?? Number.NaN]);
  }
  if (pictures > 0) compared.push(`${pictures} predictions`);
  if (pairs.length === 0) return none;

  const difference = Math.max(...pairs.map(([a, b]) => Math.abs(a - b) / Math.abs(b)));
  return {
    agrees: difference <= tolerance, // not where it is NaN
    difference,
    tolerance,
    compared: compared.join(', '),
  };
}
