/** The meaning of a code, and the general remedy where a message knows no better: a sentence each, in Markdown. */
export interface CodeText {
  meaning: string;
  remedy: string;
}

/** Every code of an error, those from C++ included. A new error's code begins here: the documentation is made of this table. */
export const ERRORS = {
  ERR_OPTION: {
    meaning: 'An option is missing, unknown or out of its range, or does not go with another one.',
    remedy: 'Give the option as the message says.',
  },
  ERR_USAGE: {
    meaning: 'The command line is incomplete, or has an argument that the command does not know.',
    remedy: 'See `distill <command> --help`.',
  },
  ERR_ABORTED: {
    meaning: "The `signal` ended the call; its reason is the error's cause.",
    remedy: 'Call again to do the rest: files that had been saved are complete.',
  },
  ERR_ADDON_MISSING: {
    meaning: 'The native addon has not been built, or does not load.',
    remedy: 'Run `npx distill setup`; it says what it lacks, if anything.',
  },
  ERR_DEVICE: {
    meaning: 'A GPU is asked for by name, but LibTorch finds none that it can use.',
    remedy:
      'Leave `device` at auto, or build for a GPU: `DISTILL_LIBTORCH=cuda npx distill setup --force`.',
  },
  ERR_DATASET_NOT_FOUND: {
    meaning: 'There is no such folder of class folders.',
    remedy:
      'Name the folder that holds train/ and val/ as `dataset`, or both folders as `train` and `val`.',
  },
  ERR_DATASET_NO_CLASSES: {
    meaning: 'A folder of pictures has no class folders.',
    remedy: 'Give each class a folder of its own: train/<class>/*.jpg and val/<class>/*.jpg.',
  },
  ERR_DATASET_CLASS_NAME: {
    meaning: 'The name of a class folder is not UTF-8.',
    remedy:
      'Rename the folders in train/ and val/: `convmv -f <encoding> -t utf8 -r --notest <dataset>` does.',
  },
  ERR_DATASET_EMPTY_CLASS: {
    meaning: 'A class has no picture, or none that can be decoded.',
    remedy: 'Add pictures to the class, or remove its folder from train/ and val/.',
  },
  ERR_DATASET_CLASS_MISMATCH: {
    meaning: 'The training and the validation pictures have different class folders.',
    remedy:
      'Give train/ and val/ the same class folders: add those that are missing, or remove the others.',
  },
  ERR_DATASET_CLASSES: {
    meaning: 'There is one class folder only; a classifier needs two or more.',
    remedy: 'Give the pictures two or more class folders.',
  },
  ERR_DATASET_UNLABELED: {
    meaning: 'A picture has no class where the labels alone are learnt.',
    remedy:
      "Give it a label, or leave it out; `distill()` learns from it by the teacher's answers.",
  },
  ERR_ARCHIVE: {
    meaning:
      'An archive of pictures is damaged, of a kind that is not read in place, or has an entry that is not taken: the message names it.',
    remedy:
      'Pack the pictures again as a plain .tar or a .zip, with relative paths, without links and without a password.',
  },
  ERR_MANIFEST: {
    meaning:
      'A manifest (`.csv`, `.jsonl`) cannot be read, or one of its lines cannot be used: the message names it.',
    remedy:
      "Mend the line: each has a `path` from the manifest's folder, a `label` and, where there is one, a `split`.",
  },
  ERR_IMAGES_NOT_FOUND: {
    meaning: 'A picture or a folder of pictures does not exist, or no picture in it can be read.',
    remedy: 'Check the path; it is relative to the current folder.',
  },
  ERR_BAD_IMAGE: {
    meaning: 'A picture is damaged, larger than `maxPixels`, or of a kind that is not read.',
    remedy:
      'Replace these pictures, or set `onBadImage` to skip, which passes them over, or to truncate, which takes what there is of them.',
  },
  ERR_LABELS: {
    meaning: 'The class names cannot be read, or are not as many as the classes of the model.',
    remedy:
      'Give a text file in UTF-8 with a line of `index name` for each class, or a list of names.',
  },
  ERR_TEACHER_CLASSES: {
    meaning: 'The class folders are not the classes that the teacher was trained on.',
    remedy: 'Give the class folders that the teacher was trained on, or its own file.',
  },
  ERR_TEACHER_ARCHITECTURE: {
    meaning: 'The file given as the teacher holds no network that is known.',
    remedy:
      'Give the state dict of one of the networks that docs/teachers-and-students.md lists; `distill inspect` shows what a file holds. Export any other with `torch.export.save` or as ONNX (`.onnx`), or give its answers: `teacherLogits`.',
  },
  ERR_TEACHER_LOGITS: {
    meaning: 'The file of logits lacks a picture, or its tensors are not those of such a file.',
    remedy: 'Write them anew: `distill logits <dataset> --teacher <file> -o <file>`.',
  },
  ERR_MODEL_ARCHITECTURE: {
    meaning: 'The file holds another network than the call can use.',
    remedy: 'Give a file that this package wrote; `distill inspect` shows what a file holds.',
  },
  ERR_NO_METADATA: {
    meaning: 'The file of weights does not say the class names or the preprocessing.',
    remedy:
      "Pass `mean` and `std` as the teacher was trained with; for torchvision's weights these are 0.485,0.456,0.406 and 0.229,0.224,0.225.",
  },
  ERR_PREPROCESS: {
    meaning:
      "A recipe (timm's, Hugging Face's or torchvision's preprocessing in a file) cannot be read, or not be honoured.",
    remedy:
      "Pass `resize`, `interpolation`, `imageSize`, `mean` and `std` as the message says, and `preprocess: 'none'`.",
  },
  ERR_CHECKPOINT_NOT_FOUND: {
    meaning: 'The file of weights does not exist or cannot be opened.',
    remedy: 'Check the path; it is relative to the current folder.',
  },
  ERR_CHECKPOINT_FORMAT: {
    meaning: 'The file is not a checkpoint, or holds tensors of a kind that is not read.',
    remedy: 'Save it again, as `torch.save(model.state_dict(), path)`.',
  },
  ERR_CHECKPOINT_CORRUPT: {
    meaning: 'The checkpoint is damaged or cut short.',
    remedy: 'Fetch or copy the file again: it is damaged or cut short.',
  },
  ERR_CHECKPOINT_UNSAFE: {
    meaning: 'The checkpoint holds a whole module, or asks to run code.',
    remedy: 'Save its weights alone: `torch.save(model.state_dict(), path)`.',
  },
  ERR_CHECKPOINT_NO_STATE_DICT: {
    meaning: 'The checkpoint holds no state dict.',
    remedy: 'Save it again, as `torch.save(model.state_dict(), path)`.',
  },
  ERR_CHECKPOINT_MISMATCH: {
    meaning: 'The tensors of the checkpoint are not those of the network.',
    remedy: 'Save it again, as `torch.save(model.state_dict(), path)`.',
  },
  ERR_CHECKPOINT_NOT_FINITE: {
    meaning: 'The checkpoint holds NaN, infinity or a number that float32 cannot hold.',
    remedy: 'Take a checkpoint from before the training diverged.',
  },
  ERR_NOT_FINITE: {
    meaning: 'A loss or an answer of a network is NaN or infinity.',
    remedy:
      'Check `mean` and `std`, lower `lr`, or take a teacher from before its training diverged.',
  },
  ERR_ONNX: {
    meaning:
      'An ONNX model cannot teach: it is damaged, its input is not a batch of pictures or its output not logits, or it does not run.',
    remedy:
      'Export a classifier, (N, 3, height, width) to (N, classes), for the pictures of `imageSize`; the message names what is in the way.',
  },
  ERR_ONNX_RUNTIME: {
    meaning: 'A teacher is an ONNX model, and no onnxruntime is there to run it.',
    remedy: 'Install `onnxruntime-node`, or `onnxruntime-web`, beside the package.',
  },
  ERR_EXPORT_CHECK: {
    meaning: 'onnxruntime does not run the ONNX model, or answers otherwise than the student.',
    remedy: 'Pass an older `opset`, or update onnxruntime.',
  },
  ERR_EXPORT_OPERATOR: {
    meaning:
      "An operator of the model's graph, or a way in which it is used there, has no counterpart in ONNX: the message names it.",
    remedy: 'Export the model from PyTorch with torch.onnx.export, or build it of other operators.',
  },
  ERR_EXPORT_SIZE: {
    meaning: 'The weights of a model are larger than an ONNX file can be, which is 2 GB.',
    remedy: 'Take a smaller model, or export it from PyTorch with torch.onnx.export.',
  },
  ERR_GRAPH: {
    meaning:
      "A model's graph cannot be used: it is no classifier of pictures, or asks for what is not allowed; the message names it.",
    remedy: 'Export the model again with torch.export.export, as the message says.',
  },
  ERR_CACHE: {
    meaning:
      'The prepared pictures cannot be kept: `cacheDir` has no room, cannot be written, or holds a file that another user may have changed.',
    remedy: 'Name a folder with room as `cacheDir`, or raise `cacheMemory`.',
  },
  ERR_EXISTS: {
    meaning: 'A file that this package did not write is where the result is to be written.',
    remedy: 'Name another file, or set `overwrite` if it is not to be kept.',
  },
  ERR_RUN_DIR: {
    meaning: 'Another run is at work in the folder `runDir`.',
    remedy: 'Wait for its end, or name another folder.',
  },
  ERR_RESUME: {
    meaning:
      'A run cannot be resumed: its options, pictures or teacher have changed, or a file of its folder is gone or damaged.',
    remedy:
      'Put back what the message names, or start anew in another folder, or with `overwrite` in place of `resume`.',
  },
  ERR_STATE: {
    meaning: "The file of a training's state is damaged, or that of another training.",
    remedy:
      "Start anew: set `overwrite` in place of `resume`; the folder's `best` network is whole.",
  },
  ERR_WRITE: {
    meaning: 'A file cannot be written; the old file, if any, is untouched.',
    remedy: 'Name a file in a folder that is there and can be written, on a disk with room.',
  },
  ERR_OUTPUT: {
    meaning: "The command's output cannot be written.",
    remedy: 'Give it an output that can be written, such as a file on a disk with room.',
  },
  ERR_THREADS: {
    meaning: 'The system makes no more threads; the message names the limits.',
    remedy: "Raise `ulimit -u` or the container's `pids.max`.",
  },
  ERR_OUT_OF_MEMORY: {
    meaning: "There is not enough memory, or not enough of the GPU's.",
    remedy: 'Lower `batchSize`, `imageSize` or `cacheMemory`.',
  },
  ERR_CONSUMED: {
    meaning: 'The predictions of one `predict()` are iterated a second time.',
    remedy: 'Call `predict()` again, or await it for an array.',
  },
  ERR_CLOSED: {
    meaning: 'A session or a classifier is used after it was closed.',
    remedy: 'Please report it: this is a fault of the package.',
  },
  ERR_LIBTORCH: {
    meaning: 'LibTorch failed; the message is its own.',
    remedy: 'Run `distill doctor`; where all is well, please report it.',
  },
  ERR_INTERNAL: {
    meaning: 'The package failed in a way that it does not foresee.',
    remedy: 'Please report it: this is a fault of the package.',
  },
} as const satisfies Readonly<Record<`ERR_${string}`, CodeText>>;

/** The stable name of a kind of error, for programs. */
export type ErrorCode = keyof typeof ERRORS;

/**
 * The one error class of the package.
 *
 * `code` is stable and meant for programs; `message` is one sentence for people that says what was
 * expected, what was there, and what to do about it.
 */
export class DistillError extends Error {
  /** Such as `ERR_OPTION` or `ERR_CHECKPOINT_CORRUPT`. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DistillError';
    this.code = code;
  }
}

/**
 * Returns what was thrown as a DistillError, such as by the addon, whose errors have a `code`. A code that is not in the
 * table is a fault of this package: it becomes `ERR_INTERNAL`, and the message names it.
 */
export function toDistillError(cause: unknown): DistillError {
  if (cause instanceof DistillError) return cause;
  const { code = 'ERR_INTERNAL', message } = cause as Error & { code?: string };
  return Object.hasOwn(ERRORS, code)
    ? new DistillError(code as ErrorCode, message, { cause })
    : new DistillError('ERR_INTERNAL', `${message} (${code})`, { cause });
}

/** Throws what every aborted call rejects with: `ERR_ABORTED`, whose cause is the signal's reason. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const error = new DistillError('ERR_ABORTED', 'It was aborted; what had been saved stays.', {
    cause: signal.reason,
  });
  // The name that fetch and node:fs give it, and that callers look for.
  error.name = 'AbortError';
  throw error;
}

/** Does work that a signal may end; then it rejects as {@link throwIfAborted} throws, whatever the work returns. */
export async function abortable<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  try {
    return await work();
  } finally {
    throwIfAborted(signal);
  }
}
