import type { CodeText } from './errors.js';

/** Every code of a warning. A new warning's code begins here: the documentation is made of this table. */
export const WARNINGS = {
  WARN_IMAGE_SKIPPED: {
    meaning: 'A picture cannot be decoded, and is left out, as `onBadImage` is skip.',
    remedy: 'Replace the picture if it is to count; the message says what is wrong with it.',
  },
  WARN_IMAGE_TRUNCATED: {
    meaning:
      'A picture is damaged or cut short, and what there is of it is taken, as `onBadImage` is truncate.',
    remedy: 'Replace the picture; the message says what is wrong with it.',
  },
  WARN_FILES_IGNORED: {
    meaning:
      'Files in the folders look like pictures, but their names have none of the endings that are searched for.',
    remedy: 'Convert GIF, raw pictures and the like to JPEG or PNG, or remove them.',
  },
  WARN_HIDDEN_FILES: {
    meaning:
      'Hidden files or folders look like pictures or classes, such as `._1.jpg` and `.ipynb_checkpoints`: they are passed over.',
    remedy: 'Rename what is to count: names that begin with a dot are hidden.',
  },
  WARN_CROP_IS_SMALL: {
    meaning:
      'The network sees less than a third of a typical picture: its middle, as nobody says that pictures are resized.',
    remedy:
      'Set `resize` as the network was trained with, such as 256 (`distill doctor` tries the usual ones), or to false (`--resize none`) if the crop alone is meant.',
  },
  WARN_NO_GPU: {
    meaning: 'LibTorch is a CUDA build, but finds no GPU that it can use: the CPU computes.',
    remedy: 'See to the driver or the container as the message says, or set `device` to cpu.',
  },
  WARN_LOGITS_PREPROCESSING: {
    meaning: 'The logits are of a teacher that saw the pictures otherwise than the student is to.',
    remedy:
      'Leave `mean`, `std`, `imageSize`, `resize` and the other preprocessing out: then that of the file of logits is taken.',
  },
  WARN_INITIAL_PREPROCESSING: {
    meaning:
      'The student that a training starts from has seen the pictures otherwise than it is to see them now.',
    remedy:
      'Give the preprocessing in its file (`distill inspect` shows it), or start from another student.',
  },
  WARN_FRESH_HEAD: {
    meaning:
      'The network of the student has another number of classes than the pictures, so that its last layer starts afresh.',
    remedy: 'Nothing is wrong where that is meant; else give a network of these classes.',
  },
  WARN_RECIPE_FOUND: {
    meaning:
      'A recipe of timm, Hugging Face or torchvision was found with the model, which does not say its preprocessing itself: pictures are prepared so.',
    remedy: "Name the recipe as `preprocess`, or give `preprocess: 'none'` if it is not to count.",
  },
  WARN_TEACHER_GUESSES: {
    meaning:
      'The teacher does no better on the training pictures than always answering with their most common class.',
    remedy:
      'Give `mean`, `std`, `imageSize` and `resize` as the teacher was trained with, and its own classes.',
  },
  WARN_NO_IMPROVEMENT: {
    meaning:
      'No epoch did better than an untrained network, or than the network that the training started from.',
    remedy: 'Train for more `epochs`, or with another `lr`.',
  },
  WARN_BETTER_EPOCH: {
    meaning: 'An epoch was more accurate than the one that is kept, whose loss is less.',
    remedy: 'To keep the most accurate, set `monitor` to accuracy.',
  },
  WARN_RESUMED_OTHERWISE: {
    meaning:
      'A run is resumed with something changed that is allowed to: more epochs, other threads, another device, processor or version.',
    remedy:
      'Nothing is wrong; but numbers may differ from those of a run that was not interrupted.',
  },
  WARN_EXPORT_UNCHECKED: {
    meaning: 'The ONNX model was written, but no onnxruntime is there to check it.',
    remedy: 'Install onnxruntime-node or onnxruntime-web beside the package.',
  },
} as const satisfies Readonly<Record<`WARN_${string}`, CodeText>>;

/** The stable name of a kind of warning, for programs. */
export type WarningCode = keyof typeof WARNINGS;

/** Something that does not end the work, but that its owner should know. */
export interface DistillWarning {
  code: WarningCode;
  /** One sentence. */
  message: string;
  /** The file concerned, where there is one. */
  path?: string;
}

/** Passes a warning to Node, where nobody else listens for it. */
export function emitWarning({ code, message }: DistillWarning): void {
  process.emitWarning(message, { type: 'DistillWarning', code });
}

/** Returns the warning of a picture that is left out; `path` is `null` of bytes. */
export function imageSkipped(
  path: string | null,
  { message }: { message: string },
): DistillWarning {
  const warning: DistillWarning = { code: 'WARN_IMAGE_SKIPPED', message };
  if (path !== null) warning.path = path;
  return warning;
}

/** Returns the warning of a picture that is taken in part; `path` is `null` of bytes. */
export function imageTruncated(
  path: string | null,
  { message }: { message: string },
): DistillWarning {
  const text = `${message.replace(/\.$/, '')}; what there is of it is taken.`;
  const warning: DistillWarning = { code: 'WARN_IMAGE_TRUNCATED', message: text };
  if (path !== null) warning.path = path;
  return warning;
}

/** Returns the warning of a LibTorch that is built for a GPU, but cannot use one. */
export function noGpu(reason: string): DistillWarning {
  const message = `Computing on the CPU, as LibTorch's CUDA build finds no GPU to use: ${reason}`;
  return { code: 'WARN_NO_GPU', message };
}
