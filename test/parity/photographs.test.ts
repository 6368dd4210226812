import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { type DistillWarning, distill, predict } from '../../lib/index.js';
import { mean, std, temporaryFolder } from '../helpers/dataset.js';
import { python, runPython } from '../helpers/python.js';

// Photographs as people have them: the shorter side is resized to 256 pixels, and the middle 224 are taken.

const here = fileURLToPath(new URL('.', import.meta.url));
const shared = path.join(here, '../../../shared');
const hymenoptera = path.join(shared, 'data/hymenoptera');
const teacher = path.join(shared, 'teachers/hymenoptera-densenet121.pth');
/** `DISTILL_PHOTOGRAPHS=all` compares all 153 pictures, with a student of the whole dataset: some minutes. */
const isWhole = process.env.DISTILL_PHOTOGRAPHS === 'all';

interface Answers {
  paths: string[];
  labels: number[];
  probabilities: Record<'teacher' | 'student', number[][]>;
}

const ask = <Answer>(question: string, input: unknown) =>
  runPython([path.join(here, 'judge/photographs.py'), question], input) as Answer;

/** The number of pictures that the most probable class is right for. */
const rightOf = (classes: readonly number[], labels: readonly number[]) =>
  classes.filter((index, i) => index === labels[i]).length;

const largest = (row: readonly number[]) => row.indexOf(Math.max(...row));

describe.runIf(python && existsSync(teacher))('photographs of many megapixels', () => {
  const folder = temporaryFolder();
  const student = path.join(folder, 'student.pth');
  const labels = ['ants', 'bees'];

  beforeAll(async () => {
    const from = path.join(hymenoptera, 'val');
    const sizes = { small: [1200, 900], large: [4000, 3000] };
    ask('make', { from, folder, sizes, every: isWhole ? 1 : 26 });
    const small = path.join(folder, 'small');
    const dataset = isWhole ? { dataset: hymenoptera } : { train: small, val: small };
    const epochs = isWhole ? 8 : 2;
    await distill({ teacher, student, ...dataset, resize: 256, mean, std, epochs, seed: 1 });
  });

  test.each(['small', 'large'])('%s ones are seen as PyTorch sees them', async (name) => {
    const photographs = path.join(folder, name);
    const steps = { resize: 256, imageSize: 224, mean, std };
    const theirs = ask<Answers>('answer', { folder: photographs, teacher, student, ...steps });
    for (const [model, file, options] of [
      ['teacher', teacher, { labels, ...steps }],
      ['student', student, {}], // its file says the rest
    ] as const) {
      const warnings: DistillWarning[] = [];
      const onWarning = (warning: DistillWarning) => void warnings.push(warning);
      const answers = await predict({ student: file, images: photographs, onWarning, ...options });
      expect(warnings).toEqual([]);
      expect(answers.map((answer) => answer.path)).toEqual(theirs.paths);
      let difference = 0;
      for (const [i, { top }] of answers.entries()) {
        const row = theirs.probabilities[model][i] as number[];
        for (const { index, probability } of top) {
          difference = Math.max(difference, Math.abs(probability - (row[index] as number)));
        }
      }
      const ours = rightOf(
        answers.map(({ index }) => index),
        theirs.labels,
      );
      const right = rightOf(theirs.probabilities[model].map(largest), theirs.labels);
      console.log(
        `${name} photographs, ${model}: right for ${ours} of ${answers.length}, PyTorch ${right}; probabilities differ by ${difference}`,
      );
      expect(difference).toBeLessThan(1e-3);
      expect(ours).toBe(right);
    }
  });

  test('without `resize`, a warning says how little is seen of them', async () => {
    const warnings: DistillWarning[] = [];
    const onWarning = (warning: DistillWarning) => void warnings.push(warning);
    const images = path.join(folder, 'large');
    await predict({ student: teacher, images, labels, mean, std, onWarning });
    expect(warnings.map(({ code }) => code)).toEqual(['WARN_CROP_IS_SMALL']);
  });
});
