import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { scanDataset } from '../../../lib/data/dataset.js';
import { imageName, writeLogits } from '../../../lib/data/logits-file.js';
import { compare, type DistillWarning, distill, sweep, teacherLogits } from '../../../lib/index.js';
import { mean, std, temporaryFolder, writePicture, writeTeacher } from '../../helpers/dataset.js';

// A teacher that is no better than always answering with the most common class.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const dataset = at('dataset');
/** 22 ants and 18 bees to train with. */
const sizes = { 'train/ants': 22, 'train/bees': 18, 'val/ants': 3, 'val/bees': 2 };
let teacher: string;

beforeAll(async () => {
  let seed = 1;
  for (const [of, count] of Object.entries(sizes)) {
    for (let i = 0; i < count; i++) await writePicture(path.join(dataset, of, `${i}.png`), seed++);
  }
  teacher = await writeTeacher(at('teacher.pth'));
  mkdirSync(at('out'));
});

/** A seed with which an epoch improves on fresh weights, so that no other warning comes. */
const seed = 1;

const given = () => ({
  dataset,
  mean,
  std,
  imageSize: 32,
  epochs: 1,
  device: 'cpu',
  threads: 1,
});

/** The warnings of a run, and how it does. */
async function warningsOf(
  run: PromiseLike<unknown> & {
    on(name: 'warning', tell: (told: DistillWarning) => void): unknown;
  },
): Promise<DistillWarning[]> {
  const warnings: DistillWarning[] = [];
  run.on('warning', (warning) => warnings.push(warning));
  await run;
  return warnings;
}

const guesses = (file: string) => [
  {
    code: 'WARN_TEACHER_GUESSES',
    message: expect.stringMatching(
      /^The teacher is right for \d+\.\d % of 40 training pictures \(loss \d\.\d{3}\); always answering 'ants' would be for 55\.0 %: that is no better than guessing, .*`mean`, `std` and `imageSize`.*order of its classes/,
    ),
    path: file,
  },
];

test('is warned of by distill(), also with a kept store', async () => {
  const options = { ...given(), seed, teacher, student: at('out/s.pth'), cacheDir: at('cache') };
  expect(await warningsOf(distill(options))).toEqual(guesses(teacher));
  expect(await warningsOf(distill({ ...options, seed: 2 }))).toEqual(guesses(teacher));
});

test('is warned of by what its views are answered with', async () => {
  const options = { ...given(), teacher, student: at('out/v.pth'), views: 3, seed };
  const [warning] = await warningsOf(distill(options));
  expect(warning?.code).toBe('WARN_TEACHER_GUESSES');
});

test('is warned of by sweep() and compare()', async () => {
  expect(await warningsOf(sweep({ ...given(), teacher }))).toEqual(guesses(teacher));
  expect(await warningsOf(compare({ ...given(), teacher, seeds: 1 }))).toEqual(guesses(teacher));
});

test('is warned of where its logits are given, and one that knows is not', async () => {
  const file = at('logits.safetensors');
  const { mean, std, imageSize } = given();
  await teacherLogits({ dataset, teacher, mean, std, imageSize, output: file });
  const student = at('out/l.pth');
  expect(await warningsOf(distill({ ...given(), seed, teacherLogits: file, student }))).toEqual(
    guesses(file),
  );

  // Right for 31 of 40: more than 55 % and two standard errors, which is 70.7 %.
  const { classes, train } = await scanDataset({
    train: at('dataset/train'),
    val: at('dataset/val'),
  });
  const names = train.samples.map((sample) => imageName('train', train, sample));
  for (const [right, warned] of [
    [31, 0],
    [28, 1],
  ] as const) {
    const logits = Float32Array.from(
      train.samples.flatMap(({ label }, i) => (i < right === (label === 0) ? [3, 0] : [0, 3])),
    );
    await writeLogits(file, names, logits, { classes, mean: [...mean], std: [...std], imageSize });
    expect(
      await warningsOf(distill({ ...given(), seed, teacherLogits: file, student })),
    ).toHaveLength(warned);
  }
});
