import { percent } from '../words.js';

/** How a teacher does on pictures whose class is known. */
export interface Known {
  /** The share whose class it knew. */
  accuracy: number;
  /** The share of the most common class, which is what always answering with it would get right. */
  share: number;
  /** How many pictures they are. */
  images: number;
}

/** Whether an accuracy is no more than guessing may come to: two standard errors above the most common class's share. */
export function isGuess({ accuracy, share, images }: Known): boolean {
  const error = Math.sqrt((share * (1 - share)) / images);
  return accuracy < Math.min(1, share + 2 * error);
}

/**
 * Says how a teacher does, beside always answering with the most common class.
 *
 * @param which The pictures, such as `2,000 training pictures`.
 * @param loss Its cross entropy.
 */
export function told({ accuracy, share }: Known, which: string, loss: number, commonest: string) {
  return `The teacher is right for ${percent(accuracy)} of ${which} (loss ${loss.toFixed(3)}); always answering '${commonest}' would be for ${percent(share)}`;
}

/** What that means where it guesses. */
export const GUESSES = 'that is no better than guessing, and students would learn it';
