import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { python, runPython } from '../helpers/python.js';

// The optimizer and its schedules: PyTorch's, step by step.

const judge = fileURLToPath(new URL('judge/teacher.py', import.meta.url));

type Question = Parameters<ReturnType<typeof loadAddon>['optimize']>[0];
interface Answer {
  values: ArrayLike<number>;
  lr: ArrayLike<number>;
  beta1: ArrayLike<number>;
}

/** 50 values and as many gradients for each of the steps; the same every time. */
function question(more: Partial<Question> & Pick<Question, 'schedule'>, steps: number): Question {
  const wave = (length: number, step: number) =>
    Float32Array.from({ length }, (_, i) => Math.sin(1 + i * step) * 10 ** -(i % 4));
  return {
    lr: 3e-3,
    optimizer: 'adamw',
    weightDecay: 0,
    warmupSteps: 0,
    totalSteps: steps,
    values: wave(50, 0.7),
    gradients: wave(50 * steps, 0.37),
    ...more,
  };
}

const cases: [string, Question][] = [
  ['Adam at a constant rate', question({ schedule: 'constant', optimizer: 'adam' }, 20)],
  ['AdamW at a constant rate', question({ schedule: 'constant', weightDecay: 0.3 }, 20)],
  ['one cycle', question({ schedule: 'one-cycle', weightDecay: 0.01 }, 57)],
  ['one cycle of a few steps', question({ schedule: 'one-cycle' }, 4)],
  ['one cycle of one step', question({ schedule: 'one-cycle' }, 1)],
  ['a cosine', question({ schedule: 'cosine' }, 30)],
  ['a cosine with warm-up', question({ schedule: 'cosine', warmupSteps: 7 }, 30)],
  ['a cosine with one step of warm-up', question({ schedule: 'cosine', warmupSteps: 1 }, 9)],
];

/** Largest difference, relative to the largest of theirs. */
function gap(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  expect(ours.length).toBe(theirs.length);
  const scale = Math.max(...Array.from(theirs, Math.abs));
  return (
    Math.max(...Array.from(theirs, (value, i) => Math.abs(value - (ours[i] as number)))) / scale
  );
}

describe.skipIf(!python)('PyTorch takes the same steps:', () => {
  let answers: Answer[];
  beforeAll(() => {
    const asked = cases.map(([, { values, gradients, ...rest }]) => ({
      ...rest,
      values: [...values],
      gradients: [...gradients],
    }));
    answers = runPython([judge, 'optimize'], asked) as Answer[];
  });

  test.each(cases.map(([name, asked], i) => [name, asked, i] as const))(
    '%s',
    async (_, asked, i) => {
      const ours = await loadAddon().optimize(asked);
      const theirs = answers[i] as Answer;
      expect(gap(ours.lr, theirs.lr)).toBeLessThan(1e-12);
      expect(gap(ours.beta1, theirs.beta1)).toBeLessThan(1e-12);
      expect(gap(ours.values, theirs.values)).toBeLessThan(1e-6);
    },
  );
});

describe('a schedule', () => {
  const steps = async (asked: Question) => {
    const { lr, beta1 } = await loadAddon().optimize(asked);
    return { lr: [...lr], beta1: [...beta1] };
  };

  test('of one cycle rises from lr/25 to lr and ends far below', async () => {
    const { lr, beta1 } = await steps(question({ schedule: 'one-cycle', lr: 1 }, 100));
    expect(lr[0]).toBeCloseTo(1 / 25, 12);
    expect(lr[29]).toBeCloseTo(1, 12);
    expect(lr[99]).toBeCloseTo(1 / 25 / 1e4, 12);
    expect(lr.indexOf(Math.max(...lr))).toBe(29);
    expect([beta1[0], beta1[29], beta1[99]]).toEqual(
      [0.95, 0.85, 0.95].map((beta) => expect.closeTo(beta, 12)),
    );
  });

  test('of a cosine grows linearly while it warms up', async () => {
    const { lr } = await steps(question({ schedule: 'cosine', warmupSteps: 4, lr: 1 }, 24));
    expect(lr.slice(0, 5)).toEqual([0.2, 0.4, 0.6, 0.8, 1].map((rate) => expect.closeTo(rate, 12)));
    expect(lr[14]).toBeCloseTo(0.5, 12); // half way down
    expect(lr[23]).toBeGreaterThan(0);
  });
});

test('weight decay is no part of the gradient: without one, values shrink by it alone', async () => {
  const asked = question({ schedule: 'constant', lr: 0.1, weightDecay: 0.5 }, 3);
  const { values } = await loadAddon().optimize({
    ...asked,
    gradients: new Float32Array(asked.gradients.length),
  });
  const shrunk = Array.from(asked.values, (value) => value * (1 - 0.1 * 0.5) ** 3);
  expect(gap(values, shrunk)).toBeLessThan(1e-6);
});

test('Adam has no weight decay', async () => {
  const asked = question({ schedule: 'constant', optimizer: 'adam' }, 3);
  const { values } = await loadAddon().optimize(asked);
  const { values: decayed } = await loadAddon().optimize({ ...asked, weightDecay: 0.5 });
  expect(decayed).toEqual(values);
});
