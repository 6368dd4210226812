import { percent } from '../words.js';

/** A teacher's accuracy on pictures whose class is known, beside that of guessing. */
export interface TeacherAccuracy {
  /** The share of pictures whose class is right. */
  accuracy: number;
  /** The share of the most common class: the accuracy of always answering with it. */
  share: number;
  /** The number of pictures. */
  images: number;
}

/** Pictures below which an accuracy says too little to call it a guess: one of them is more than 3 % of it. */
export const FEWEST_IMAGES = 30;

/**
 * Tells whether an accuracy may come of guessing: it is less than two standard errors above the most common class's
 * share. Of fewer than {@link FEWEST_IMAGES} pictures it is not told.
 */
export function isGuess({ accuracy, share, images }: TeacherAccuracy): boolean {
  if (images < FEWEST_IMAGES) return false;
  const standardError = Math.sqrt((share * (1 - share)) / images);
  return accuracy < Math.min(1, share + 2 * standardError);
}

/**
 * Describes a teacher's accuracy beside that of always answering with the most common class.
 *
 * @param which The pictures, such as `2,000 training pictures`.
 * @param loss The teacher's cross entropy.
 * @param commonest The name of the most common class.
 */
export function describeAccuracy(
  { accuracy, share }: Pick<TeacherAccuracy, 'accuracy' | 'share'>,
  which: string,
  loss: number,
  commonest: string,
): string {
  return `The teacher is right for ${percent(accuracy)} of ${which} (loss ${loss.toFixed(3)}); always answering '${commonest}' would be for ${percent(share)}`;
}

/** The conclusion where a teacher guesses; goes on from {@link describeAccuracy}. */
export const GUESSES = 'that is no better than guessing, and students would learn it';
