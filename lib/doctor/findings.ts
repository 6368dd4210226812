import { DistillError } from '../errors.js';

/** What one check came to. */
export interface Finding {
  topic: 'machine' | 'dataset' | 'teacher' | 'needs' | 'time';
  /** What was looked at, such as `addon` or `pictures`: stable, for programs. */
  check: string;
  /** `problem`: the run would fail, or fail to do what it is for; `warning`: it would run, but look at this first. */
  status: 'ok' | 'warning' | 'problem';
  /** The code that the run would fail with, where it would. */
  code: string | null;
  /** One sentence. */
  message: string;
  /** What mends it; `null` where all is well. */
  remedy: string | null;
  /** Of many, such as the pictures that do not decode: a line each. */
  details: string[];
}

/** How far a check of many pictures is. */
export interface DoctorProgress {
  check: string;
  done: number;
  total: number;
}

/** Lines of details at most; the last says how many more there would be. */
const SHOWN = 20;

/** The findings of one examination, by topic. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #tell: (finding: Finding) => void;

  constructor(tell: (finding: Finding) => void = () => {}) {
    this.#tell = tell;
  }

  about(topic: Finding['topic']): Topic {
    return new Topic((finding) => {
      const whole: Finding = { topic, code: null, remedy: null, details: [], ...finding };
      const { details } = whole;
      if (details.length > SHOWN) {
        whole.details = [...details.slice(0, SHOWN - 1), `and ${details.length - SHOWN + 1} more`];
      }
      this.all.push(whole);
      this.#tell(whole);
    });
  }
}

type Given = Pick<Finding, 'check' | 'status' | 'message'> & Partial<Finding>;

/** Where the checks of one topic say what they find. */
export class Topic {
  readonly #add: (finding: Given) => void;

  constructor(add: (finding: Given) => void) {
    this.#add = add;
  }

  ok(check: string, message: string, details: string[] = []): void {
    this.#add({ check, status: 'ok', message, details });
  }

  warn(check: string, message: string, remedy: string, details: string[] = []): void {
    this.#add({ check, status: 'warning', message, remedy, details });
  }

  problem(
    check: string,
    code: string,
    message: string,
    { remedy = remedyOf(code), details = [] }: { remedy?: string; details?: string[] } = {},
  ): void {
    this.#add({ check, status: 'problem', code, message, remedy, details });
  }

  /**
   * Does what the run would do: what it would fail with is a problem, and the examination goes on.
   *
   * @returns What `work` comes to, or `null` where it fails.
   */
  async attempt<T>(check: string, work: () => T | Promise<T>, remedy?: string): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DistillError)) throw error;
      const message = sentence(error.message);
      this.problem(check, error.code, message, remedy === undefined ? {} : { remedy });
      return null;
    }
  }

  /** Does a check of the run's own; says whether it passes. */
  async passes(check: string, work: () => unknown, remedy?: string): Promise<boolean> {
    return (await this.attempt(check, async () => ({ done: await work() }), remedy)) !== null;
  }
}

/** What mends an error, where the check that met it knows no better. */
const REMEDIES: Readonly<Record<string, string>> = {
  ERR_ADDON_MISSING: 'Run `npx distill setup`; it says what it lacks, if anything.',
  ERR_DEVICE:
    'Leave `device` at auto, or build for a GPU: `DISTILL_LIBTORCH=cuda npx distill setup --force`.',
  ERR_DATASET_NOT_FOUND:
    'Name the folder that holds train/ and val/ as `dataset`, or both folders as `train` and `val`.',
  ERR_DATASET_NO_CLASSES:
    'Give each class a folder of its own: train/<class>/*.jpg and val/<class>/*.jpg.',
  ERR_DATASET_CLASS_NAME:
    'Rename the folders in train/ and val/: `convmv -f <encoding> -t utf8 -r --notest <dataset>` does.',
  ERR_DATASET_EMPTY_CLASS: 'Add pictures to the class, or remove its folder from train/ and val/.',
  ERR_DATASET_CLASS_MISMATCH:
    'Give train/ and val/ the same class folders: add those that are missing, or remove the others.',
  ERR_DATASET_CLASSES: 'Give the pictures two or more class folders.',
  ERR_BAD_IMAGE: 'Replace these pictures, or set `onBadImage` to skip: then they are passed over.',
  ERR_TEACHER_CLASSES: 'Give the class folders that the teacher was trained on, or its own file.',
  ERR_TEACHER_ARCHITECTURE:
    'Give the state dict of a torchvision DenseNet 121, 161, 169 or 201; `distill inspect` shows what a file holds. Another network can teach by its answers: `teacherLogits`.',
  ERR_TEACHER_LOGITS: 'Write them anew: `distill logits <dataset> --teacher <file> -o <file>`.',
  ERR_NO_METADATA:
    "Pass `mean` and `std` as the teacher was trained with; for torchvision's weights these are 0.485,0.456,0.406 and 0.229,0.224,0.225.",
  ERR_CHECKPOINT_NOT_FOUND: 'Check the path; it is relative to the current folder.',
  ERR_CHECKPOINT_CORRUPT: 'Fetch or copy the file again: it is damaged or cut short.',
  ERR_CHECKPOINT_UNSAFE: 'Save its weights alone: `torch.save(model.state_dict(), path)`.',
  ERR_CHECKPOINT_NOT_FINITE: 'Take a checkpoint from before the training diverged.',
  ERR_NOT_FINITE:
    'Check `mean` and `std`, lower `lr`, or take a teacher from before its training diverged.',
  ERR_CACHE: 'Name a folder with room as `cacheDir`, or raise `cacheMemory`.',
  ERR_THREADS: "Raise `ulimit -u` or the container's `pids.max`.",
  ERR_OUT_OF_MEMORY: 'Lower `batchSize`, `imageSize` or `cacheMemory`.',
  ERR_EXISTS: 'Name another file, or set `overwrite` if it is not to be kept.',
  ERR_WRITE: 'Name a file in a folder that is there and can be written, on a disk with room.',
};

function remedyOf(code: string): string {
  if (code.startsWith('ERR_CHECKPOINT')) {
    return REMEDIES[code] ?? 'Save it again, as `torch.save(model.state_dict(), path)`.';
  }
  return REMEDIES[code] ?? 'Do as the message says.';
}

/** An error's message, some of which go on from what a program has printed. */
function sentence(message: string): string {
  const whole = /[.?!]$/.test(message) ? message : `${message}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}
