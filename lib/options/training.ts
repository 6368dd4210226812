/** Options that every training has. Paths are relative to the current folder. */
export interface TrainingOptions {
  /** A folder with `train/` and `val/`, each with a folder of pictures for each class. */
  dataset?: string | undefined;
  /** The training pictures' folder, instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, instead of `dataset`. */
  val?: string | undefined;
  /**
   * How the learning rate goes, step by step: 'one-cycle' (PyTorch's `OneCycleLR`: from `lr`/25 up to `lr` in the
   * first 30 % of the steps, then down to `lr`/250000, by cosines, and beta1 the other way between 0.95 and 0.85),
   * 'cosine' (up to `lr` in `warmup`, linearly, then down to zero) or 'constant'. Default 'constant'.
   */
  schedule?: 'one-cycle' | 'cosine' | 'constant' | undefined;
  /** Epochs in which the learning rate of 'cosine' grows, also parts of one. Default 1. */
  warmup?: number | undefined;
  /**
   * What is done to training pictures, drawn anew by the seed each time, so that a network does not see the same
   * pixels twice:
   *
   * - `'crop'`: a square of `imageSize` from any place instead of the middle;
   * - `'resized-crop'`: a box of any place, of `cropScale` to all of the area and of a ratio of 3:4 to 4:3, resized
   *   bilinearly, as torchvision's `RandomResizedCrop` without antialiasing;
   * - `'flip'`: every other picture left to right.
   */
  augment?: readonly ('crop' | 'resized-crop' | 'flip')[] | undefined;
  /**
   * Pixels a side of the square from a training picture's middle that crops are taken from, `imageSize` or more.
   * Default: with a crop, `imageSize` and an eighth of it on either side (pictures that have no such margin have a
   * black one); else `imageSize`. Where it is `imageSize` itself, `'crop'` shifts the picture by up to an eighth, and
   * what comes in is black.
   */
  storeSize?: number | undefined;
  /** The smallest share of the area that `'resized-crop'` takes, 0.001 or more. Default 0.08. */
  cropScale?: number | undefined;
  /** Makes a run repeatable on one machine and thread count. Default: drawn, and reported. */
  seed?: number | undefined;
  /** 'auto' (a GPU where LibTorch can use one), 'cpu', 'cuda' or 'cuda:N'. Default 'auto'. */
  device?: string | undefined;
  /**
   * What the convolutions compute in. 'fp32' follows PyTorch's numbers; 'bf16' halves the memory and is faster
   * where the processor multiplies bfloat16; 'auto' chooses it only there. Parameters, BatchNorm
   * statistics and the optimizer are float32 in any case. Default 'fp32'.
   */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /**
   * Threads that LibTorch's work is shared among. While others compete for the processors fewer run, with the same
   * numbers. Default: one a processor that this process may use.
   */
  threads?: number | undefined;
  /**
   * Whether files are replaced, whatever they are. Default false: only files of the same kind that this package wrote are;
   * others are refused with `ERR_EXISTS` before the work begins.
   */
  overwrite?: boolean | undefined;
  /** Ends the run after its current batch; it then rejects with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined;
  /** Whether each epoch sees the pictures in a new order. Default true. */
  shuffle?: boolean | undefined;
  /** What a picture that does not decode does: end the run, or be passed over with a warning. Default 'error'. */
  onBadImage?: 'error' | 'skip' | undefined;
  /**
   * The largest picture that is read, in pixels, before memory is taken for it. Default: 178,956,970, and half of it for
   * kinds of which a decoder keeps the whole picture, in up to 8 bytes a pixel: WebP, AVIF, GIF, interlaced PNG and
   * progressive JPEG.
   */
  maxPixels?: number | undefined;
  /**
   * Memory for prepared pictures, in bytes or as `'2GB'` or `'512MiB'`; beyond it they are kept in a file. Default: half
   * of what is free.
   */
  cacheMemory?: number | string | undefined;
  /**
   * A folder to keep the prepared pictures in (and the teacher's answers): a later run with the same pictures,
   * preprocessing and teacher starts with training. Runs work on a copy: beyond `cacheMemory`, a second file. Default:
   * none, nothing is kept.
   */
  cacheDir?: string | undefined;
}
