import { type Augmentation, augmentationOf } from '../data/augmentation.js';
import { DistillError } from '../errors.js';
import type { PixelPreprocessing } from '../model/preprocessing.js';
import type { CheckedOptions } from '../options/distill.js';

/** The augmentations of several views where none are named. */
export const VIEW_AUGMENTATIONS = ['crop', 'flip'] as const;

/**
 * Returns how training pictures become the views that the teacher answers for.
 *
 * @throws DistillError `ERR_OPTION` where several views would all be the same.
 */
export function viewsOf(
  options: Pick<CheckedOptions, 'views' | 'augment' | 'storeSize' | 'cropScale'>,
  preprocessing: PixelPreprocessing,
): Augmentation {
  const { views, augment = views > 1 ? VIEW_AUGMENTATIONS : [] } = options;
  if (views > 1 && augment.length === 0) {
    throw new DistillError(
      'ERR_OPTION',
      `Without \`augment\` all ${views} \`views\` of a picture would be the same; leave one of them out.`,
    );
  }
  return augmentationOf({ ...options, augment, preprocessing });
}

/**
 * Refuses views and augmentation with a file of logits, which are those of the pictures as they are.
 *
 * @throws DistillError `ERR_OPTION`.
 */
export function checkViews({
  teacherLogits,
  views,
  augment,
}: Pick<CheckedOptions, 'teacherLogits' | 'views' | 'augment'>): void {
  if (teacherLogits === undefined || (views === 1 && !augment?.length)) return;
  throw new DistillError(
    'ERR_OPTION',
    '`views` and `augment` change the pixels that a teacher answers for; give the `teacher` itself instead of `teacherLogits`.',
  );
}
