import { percent } from '../words.js';

/** A teacher's accuracy on pictures whose class is known, beside that of guessing. */
export interface TeacherAccuracy {
  /** The share of pictures for which the teacher is right, 0..1. */
  accuracy: number;
  /** The share of the most common class: the accuracy of always answering with it. */
  share: number;
  /** The number of pictures. */
  images: number;
}

/** Returns true where an accuracy may come from guessing: less than two standard errors above the most common class's share. */
export function isGuess({ accuracy, share, images }: TeacherAccuracy): boolean {
  const error = Math.sqrt((share * (1 - share)) / images);
  return accuracy < Math.min(1, share + 2 * error);
}

/**
 * Describes a teacher's accuracy, beside that of always answering with the most common class.
 *
 * @param which The pictures, such as `2,000 training pictures`.
 * @param loss The teacher's cross entropy.
 * @param commonest The name of the most common class.
 */
export function describeAccuracy(
  { accuracy, share }: TeacherAccuracy,
  which: string,
  loss: number,
  commonest: string,
): string {
  return `The teacher is right for ${percent(accuracy)} of ${which} (loss ${loss.toFixed(3)}); always answering '${commonest}' would be for ${percent(share)}`;
}

/** The consequence, where it guesses. */
export const GUESSES = 'that is no better than guessing, and students would learn it';
