/** Options that every training has. Paths are relative to the current folder. */
export interface TrainingOptions {
  /**
   * A folder with `train/` and `val/`, each with a folder of pictures for each class; or a manifest of pictures (`.csv`, `.jsonl`);
   * or archives (`.tar`, `.zip`, shards of WebDataset such as `photos-{000..009}.tar`).
   * docs/datasets.md describes them.
   */
  dataset?: string | undefined;
  /** The training pictures' folder, with a folder for each class; together with `val` instead of `dataset`. */
  train?: string | undefined;
  /** The validation pictures' folder, with a folder for each class; together with `train` instead of `dataset`. */
  val?: string | undefined;
  /**
   * The share of each class, between 0 and 1, to validate with where the dataset has no `val/`: a folder of class folders, or
   * `train/` alone. Which pictures these are follows from their paths, their classes and `splitSeed` alone. Default: `val/` is
   * there.
   */
  valSplit?: number | undefined;
  /** Decides which pictures `valSplit` takes, in every call and for every `seed` alike. Default 0. */
  splitSeed?: number | undefined;
  /**
   * The course of the learning rate, step by step. `'one-cycle'` is PyTorch's `OneCycleLR`: by cosines from `lr` / 25 up to
   * `lr` in the first 30 % of the steps, then down to `lr` / 250,000; beta1 goes the other way between 0.95 and 0.85.
   * `'cosine'` goes up to `lr` linearly during `warmup`, then down to zero. `'constant'` does not change it. Default 'constant'.
   */
  schedule?: 'one-cycle' | 'cosine' | 'constant' | undefined;
  /** Epochs in which the learning rate of the schedule `'cosine'` grows; fractions are allowed. Default: 1 with 'cosine'. */
  warmup?: number | undefined;
  /**
   * Changes to training pictures, so that a network does not see the same pixels twice:
   *
   * - `'crop'` takes a square of `imageSize` from a random place instead of the middle;
   * - `'resized-crop'` takes a box from a random place, of `cropScale` to all of the area and of a ratio of 3:4 to 4:3, and
   *   resizes it bilinearly, as torchvision's `RandomResizedCrop` without antialiasing;
   * - `'flip'` mirrors every other picture left to right.
   *
   * The seed determines them.
   */
  augment?: readonly ('crop' | 'resized-crop' | 'flip')[] | undefined;
  /**
   * The side, in pixels, of the square in a training picture's middle that crops are taken from: `imageSize` or more.
   * Pictures that are smaller get a black margin. Where it equals `imageSize`, `'crop'` shifts the picture by up to an
   * eighth, and the rest is black. Default: with a crop, `imageSize` and an eighth of it on either side; else `imageSize`.
   */
  storeSize?: number | undefined;
  /** The smallest share of the area that `'resized-crop'` takes, 0.001 or more. Default 0.08. */
  cropScale?: number | undefined;
  /**
   * Makes a run repeatable on one machine with the same number of threads: it determines the initial weights (those of
   * `torch.manual_seed(seed)`), dropout, the order of pictures and their augmentation. Default: a random one, which the
   * result reports.
   */
  seed?: number | undefined;
  /** `'auto'` (the first GPU that LibTorch can use, else the CPU), `'cpu'`, `'cuda'` or `'cuda:N'`. Default 'auto'. */
  device?: string | undefined;
  /**
   * The type that convolutions compute in. `'fp32'` follows PyTorch's numbers. `'bf16'` halves the memory of activations;
   * it is faster where the processor multiplies bfloat16 (AVX-512 BF16, AMX, Arm's BF16) and slower elsewhere. `'auto'`
   * takes it only where it is faster. Parameters, BatchNorm's statistics and the optimizer are float32 in any case. On a
   * GPU, `'fp32'` multiplies in TF32 where the GPU has it, as PyTorch's convolutions do, and `'auto'` is `'fp32'`.
   * Default 'fp32'.
   */
  precision?: 'fp32' | 'bf16' | 'auto' | undefined;
  /**
   * Threads that share LibTorch's work. While other programs compete for the processors, fewer run, with the same
   * numbers. Default: one per processor that this process may use.
   */
  threads?: number | undefined;
  /** Epochs without a better one, as `monitor` has it, after which the training ends. Default: it goes on. */
  patience?: number | undefined;
  /**
   * What an epoch must be better by to count for `patience`: of accuracy or agreement in 0..1, or of loss. What is kept does
   * not depend on it. Default 0.
   */
  minDelta?: number | undefined;
  /**
   * Seconds after which the training ends, within an epoch if need be, which then does not count. Preparation counts, and so
   * do the parts of a run that was resumed. Default: it goes on.
   */
  maxSeconds?: number | undefined;
  /**
   * A folder to keep the run in, so that it can be resumed: `options.json` describes it, `epochs.jsonl` has a line for each
   * epoch, `state.safetensors` is what resuming needs, and `best` and `last` are networks. It must be empty, or hold a run
   * that is resumed or overwritten. Default: the run is not kept.
   */
  runDir?: string | undefined;
  /**
   * Goes on with the run in `runDir` where it was interrupted, with the same numbers to the bit as if it had not been; a
   * folder without a run begins one. The options must be those that it began with. Default false.
   */
  resume?: boolean | undefined;
  /** Seconds between two states of a training in `runDir`, besides the one behind each epoch. Default 60. */
  checkpointEvery?: number | undefined;
  /**
   * Replaces files that are there, whatever they are. Without it, only files of the same kind that this package wrote are
   * replaced; others are refused with `ERR_EXISTS` before the work begins. Default false.
   */
  overwrite?: boolean | undefined;
  /** Ends the run after its current batch; it then rejects with `ERR_ABORTED`, and what it has saved stays. */
  signal?: AbortSignal | undefined;
  /**
   * The weights of the classes in the labels' term of the loss, as those of PyTorch's `CrossEntropyLoss(weight=w)`: the
   * sum of w of each picture's class times its loss, divided by the sum of these w. `'balanced'` is
   * pictures / (classes · pictures of the class), as scikit-learn's; a list has a weight for each class, in the classes'
   * order. The teacher's term and the validation loss are not weighed. Default: all classes weigh the same.
   */
  classWeights?: 'balanced' | readonly number[] | undefined;
  /** Shows the pictures in a new order in each epoch. Default true. */
  shuffle?: boolean | undefined;
  /**
   * The pictures of an epoch: `'shuffle'` shows each of them once; `'balanced'` draws as many as there are, with
   * replacement, each with a probability inversely proportional to the size of its class, as PyTorch's
   * `WeightedRandomSampler` does it. Pictures without a label keep their share. Default 'shuffle'.
   */
  sampler?: 'shuffle' | 'balanced' | undefined;
  /**
   * At a picture that does not decode, `'error'` ends the run, `'skip'` goes on without it, with a warning, and `'truncate'` takes
   * what there is of one that is damaged or cut short, as Pillow does under `LOAD_TRUNCATED_IMAGES`, with a warning. Default
   * 'error'.
   */
  onBadImage?: 'error' | 'skip' | 'truncate' | undefined;
  /**
   * The largest picture that is read, in pixels; it is checked before memory is taken. Default: 178,956,970, and half of
   * it for kinds of which a decoder keeps the whole picture, in up to 8 bytes per pixel: WebP, AVIF, GIF, interlaced PNG
   * and progressive JPEG.
   */
  maxPixels?: number | undefined;
  /**
   * Memory for prepared pictures, in bytes or as `'2GB'` or `'512MiB'`; beyond it they are in a file without a name.
   * Default: half of what is free.
   */
  cacheMemory?: number | string | undefined;
  /**
   * A folder to keep the prepared pictures and the teacher's answers in: a later run with the same pictures, preprocessing
   * and teacher starts with training. Each teacher, precision, kind of device, image size and set of views has a store of
   * its own there, of 150 KB per picture and view at 224 pixels, which stays until you remove it. Runs work on a copy:
   * beyond `cacheMemory`, a second file. Default: nothing is kept.
   */
  cacheDir?: string | undefined;
}
