import { expect, test } from 'vitest';
import type { EpochReport } from '../../../lib/index.js';
import { bestTrialOf, summarizeSeeds, type Trial } from '../../../lib/training/seeds.js';

// Trials that differ in their seed, in a few figures.

function epoch(valAccuracy: number, valLoss: number): EpochReport {
  return {
    epoch: 1,
    epochs: 1,
    trainLoss: 1,
    trainAccuracy: 0.5,
    valLoss,
    valAccuracy,
    seconds: 2,
    trainSeconds: 1,
    valSeconds: 1,
    imagesPerSecond: 10,
    saved: true,
  };
}

function trial(seed: number, valAccuracy: number, valLoss: number): Trial {
  const report = epoch(valAccuracy, valLoss);
  return {
    seed,
    stopReason: 'completed',
    best: report,
    initial: null,
    moreAccurate: null,
    keptBy: { 'accuracy-and-loss': 1, accuracy: 1, loss: 1, agreement: null },
    last: report,
    epochs: 1,
    seconds: { train: 1, validate: 1 },
  };
}

test('means and standard deviations are those of a sample, over seeds', () => {
  const trials = [trial(1, 0.5, 1), trial(2, 0.7, 2), trial(3, 0.9, 6)];
  const { best, last, notFinite } = summarizeSeeds(trials);
  expect(best?.accuracy.mean).toBeCloseTo(0.7, 12);
  expect(best?.accuracy.std).toBeCloseTo(0.2, 12);
  expect(best?.loss.mean).toBeCloseTo(3, 12);
  expect(best?.loss.std).toBeCloseTo(Math.sqrt(7), 12);
  expect(best).not.toHaveProperty('agreement');
  expect(last).toEqual(best);
  expect(notFinite).toBe(0);
});

test('a single seed has no standard deviation', () => {
  const scores = { accuracy: { mean: 0.5, std: null }, loss: { mean: 1, std: null } };
  expect(summarizeSeeds([trial(1, 0.5, 1)])).toMatchObject({ best: scores, last: scores });
});

test('trials whose loss became infinite are counted apart, and are never the best', () => {
  const diverged: Trial = { ...trial(1, 1, 0), stopReason: 'not-finite' };
  const finite = trial(2, 0.5, 1);
  const { best, notFinite, trials } = summarizeSeeds([diverged, finite]);
  expect(best?.accuracy.mean).toBe(0.5);
  expect(notFinite).toBe(1);
  expect(trials).toEqual([diverged, finite]);
  expect(bestTrialOf(trials)).toBe(finite);
  expect(bestTrialOf([diverged])).toBeUndefined();
  expect(summarizeSeeds([diverged])).toMatchObject({ best: null, last: null, notFinite: 1 });
});

test('the best trial is the most accurate, and of equals the one with the least loss', () => {
  const [a, b, c] = [trial(1, 0.8, 2), trial(2, 0.8, 1), trial(3, 0.7, 0.1)];
  expect(bestTrialOf([a, b, c])).toBe(b);
});

test('a trial that never beat the student that it started from counts by that one', () => {
  const kept: Trial = {
    ...trial(1, 0.4, 3),
    best: null,
    initial: { valAccuracy: 0.9, valLoss: 0.5, valSeconds: 1 },
  };
  expect(bestTrialOf([trial(2, 0.8, 1), kept])).toBe(kept);
  expect(summarizeSeeds([kept]).best?.accuracy.mean).toBe(0.9);
});
