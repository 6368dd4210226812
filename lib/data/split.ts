import { createHash } from 'node:crypto';
import { DistillError } from '../errors.js';
import { quoted } from '../words.js';
import { type FolderSurvey, relativePath, type Sample } from './samples.js';

/** The share of pictures to validate with, where a dataset does not say which these are. */
export interface Split {
  /** In 0..1, without both ends. */
  share: number;
  seed: number;
}

/**
 * Takes some pictures of each class to validate with: the rounded share of the class, but at least one picture, and at least
 * one is left to train with. They come first in the order of SHA-256(seed, class, path from the root), so that the split
 * depends on nothing else: neither on the machine, nor on the order of the files. A picture that is added changes sides for one
 * other at most.
 *
 * @throws DistillError `ERR_DATASET_EMPTY_CLASS` where a class has one picture only.
 */
export function splitSurvey(
  survey: FolderSurvey,
  split: Split,
): { train: FolderSurvey; val: FolderSurvey } {
  const byClass = survey.classes.map((): Sample[] => []);
  for (const sample of survey.samples) byClass[sample.label]?.push(sample);
  const single = survey.classes.filter((_, label) => byClass[label]?.length === 1);
  if (single.length > 0) {
    throw new DistillError(
      'ERR_DATASET_EMPTY_CLASS',
      `Expected two pictures or more in every class of ${survey.root}, to train and to validate with (\`valSplit\`), but ${quoted(single)} ${single.length === 1 ? 'has' : 'have'} one. Add some or remove the class.`,
    );
  }
  const validated = new Set<Sample>();
  for (const [label, samples] of byClass.entries()) {
    const wanted = Math.round(samples.length * split.share);
    const number = Math.max(1, Math.min(samples.length - 1, wanted));
    const ranked = samples.map((sample) => ({
      sample,
      rank: rankOf(split.seed, survey.classes[label] as string, relativePath(survey, sample)),
    }));
    ranked.sort((a, b) => Buffer.compare(a.rank, b.rank));
    for (const { sample } of ranked.slice(0, number)) validated.add(sample);
  }
  return {
    train: { ...survey, samples: survey.samples.filter((sample) => !validated.has(sample)) },
    // Files that are passed over are those of the whole, and are reported once.
    val: {
      ...survey,
      samples: survey.samples.filter((sample) => validated.has(sample)),
      ignored: [],
      hidden: [],
      loose: [],
    },
  };
}

function rankOf(seed: number, name: string, path: string): Buffer {
  // JSON escapes the lone surrogates that stand for bytes of a name: in UTF-8 they would all be one character.
  return createHash('sha256')
    .update(JSON.stringify([seed, name, path]))
    .digest();
}
