// The types of what passes between the benchmark's modules and of bench.json.

export type Precision = 'fp32' | 'bf16';

/** A picture and its class. */
export interface Picture {
  path: string;
  label: number;
}

/** The work that every contestant does; its process reads it from a file. */
export interface Task {
  /** `train/` and `val/` with a folder for each class. */
  dataset: string;
  classes: string[];
  /** In the order in which all contestants train. */
  train: Picture[];
  val: Picture[];
  /** The teacher's `.pth`. */
  teacher: string;
  /** The architecture of the teacher, such as 'densenet121'. */
  architecture: string;
  /** The `.pth` of the student's initial weights. */
  student: string;
  /** Inputs of contestants that read no `.pth`: see {@link Portable}. */
  portable: string;
  /** A folder for what contestants write. */
  scratch: string;
  mean: [number, number, number];
  std: [number, number, number];
  imageSize: number;
  batchSize: number;
  threads: number;
  temperature: number;
  alpha: number;
  lr: number;
}

/** Weights, pictures and teacher's answers for a few steps, as base64 of little-endian float32. */
export interface Portable {
  weights: Record<string, { shape: number[]; data: string }>;
  /** Side of the square images in pixels; smaller than the task's if a step would take minutes. */
  imageSize: number;
  batchSize: number;
  steps: number;
  /** RGB bytes, (steps * batchSize, imageSize, imageSize, 3), base64. */
  pixels: string;
  labels: number[];
  /** (steps * batchSize, classes) */
  teacherLogits: string;
}

export interface EpochMeasure {
  trainSeconds: number;
  valSeconds: number;
  trainImages: number;
  valImages: number;
  steps: number;
  trainLoss: number;
  valLoss: number;
  /** Minor page faults of the whole epoch; null if they were not counted. */
  minorFaults: number | null;
  /** Seconds of the training part by phase; null where the contestant does not tell. */
  phases: Record<string, number> | null;
}

export interface Work {
  images: number;
  seconds: number;
}

/** The message of a contestant that is ready. */
export interface Setup {
  versions: Record<string, string>;
  notes: string[];
  threads: number;
  /** The precision of the limit that its steps are compared with. */
  precision: Precision;
}

export interface Memory {
  peakBytes: number;
  residentBytes: number;
  /** The resident bytes without pages of files, which the system may take back at any time. */
  anonymousBytes: number;
}

/** The median, the least and the greatest value of the rounds. */
export interface Summary {
  median: number;
  min: number;
  max: number;
  count: number;
}

export interface Verdict {
  /** null: there was nothing to compare with. */
  agrees: boolean | null;
  /** The largest relative difference. */
  difference: number | null;
  tolerance: number;
  compared: string;
}

/** A line of the table. */
export interface ContestantReport {
  name: string;
  title: string;
  /** The reason for not running or for an early end. */
  cannotRun: string | null;
  setup: Setup | null;
  /** Images a second. */
  imagesPerSecond: {
    prepare: Summary | null;
    firstEpoch: Summary | null;
    train: Summary | null;
    validate: Summary | null;
    predict: Summary | null;
  };
  /** Milliseconds of a later training step. */
  stepMs: Summary | null;
  phasesMs: Record<string, Summary> | null;
  /** Seconds of a later epoch, training and validation. */
  epochSeconds: Summary | null;
  /** After training, before prediction. */
  peakBytes: number | null;
  minorFaultsPerStep: Summary | null;
  losses: {
    epochs: { train: number; val: number }[];
    steps: number[];
  };
  verdict: Verdict;
  /** The convolutions' share of a step's time, 0..1. */
  limitShare: Summary | null;
}

export interface LimitReport {
  precision: Precision;
  cannotRun: string | null;
  /** Milliseconds of one step, over the rounds. */
  ms: Summary | null;
  /** Milliseconds of one step, with each convolution in its fastest round; shares are relative to it. */
  reachedMs: number | null;
  convolutions: {
    inChannels: number;
    outChannels: number;
    size: number;
    pass: string;
    /** In its fastest round. */
    ms: number;
    gflops: number;
  }[];
}

export interface ScalingPoint {
  /** The value on the axis. */
  x: number;
  /** Images a second of later training epochs. */
  imagesPerSecond: Summary | null;
  /** While it trained. */
  peakBytes: number | null;
  /** See {@link Memory}. */
  anonymousBytes: number | null;
  cannotRun: string | null;
}

export interface ScalingSeries {
  axis: 'batch size' | 'image size' | 'threads' | 'pictures';
  series: string;
  precision: Precision;
  /** The settings that stayed the same. */
  fixed: Record<string, number>;
  points: ScalingPoint[];
}

export interface ProcessRun {
  command: string;
  epochs: number;
  seconds: number;
  /** The method of estimation; null if it was run in full. */
  estimated: string | null;
}

export interface Target {
  name: string;
  /** The ratio of medians. */
  value: number | null;
  /** The least and the most that the rounds' extremes give. */
  range: [number, number] | null;
  unit: 'times as fast' | 'of the step' | 'faults a step' | 'times the memory' | 'times the time';
  /** Names the dividend and the divisor. */
  of: string;
  /** The reason for having no value. */
  missing: string | null;
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  features: string[];
  loadAverage: number;
  versions: Record<string, string>;
}

export interface Settings {
  mode: 'quick' | 'default' | 'full';
  rounds: number;
  threads: number;
  batchSize: number;
  imageSize: number;
  trainPictures: number;
  valPictures: number;
  classes: number;
  dataset: string;
  teacher: string;
}

export interface Bench {
  version: 1;
  date: string;
  seconds: number;
  machine: Machine;
  settings: Settings;
  contestants: ContestantReport[];
  limits: LimitReport[];
  endToEnd: { ours: ProcessRun | null; reference: ProcessRun | null; cannotRun: string | null };
  endurance: EnduranceReport | null;
  scaling: ScalingSeries[];
  crowding: CrowdingReport[];
  targets: Target[];
}

/** One contestant at decoding, resizing and cropping large JPEGs on all of its threads. */
export interface ResizeReport {
  contestant: string;
  /** The standard deviation of the noise that the pictures have, in levels. */
  noise: number;
  /** Of wall time, with several pictures in flight. */
  millisecondsAPicture: Summary | null;
  /** The same as a multiple of this package's, of the same round. */
  timesOurs: Summary | null;
  /** The most memory of the process. */
  peakBytes: number;
}

/** A network at answering for pictures, or at steps of its training, here and in eager PyTorch. */
export interface GraphReport {
  /** torchvision's name. */
  model: string;
  work: string;
  precision: string;
  millisecondsAPicture: Summary | null;
  torchMilliseconds: Summary | null;
  /** PyTorch's time as a multiple of this package's, of the same round. */
  timesFaster: Summary | null;
}

/** Seconds of a piece of work by itself, beside a busy loop, and of two at the same time. */
export interface CrowdingReport {
  workload: string;
  contestant: string;
  alone: Summary | null;
  busy: Summary | null;
  beside: Summary | null;
  /** The reason for not measuring a situation any more. */
  gaveUp: { alone?: string; busy?: string; beside?: string };
}

export interface EnduranceReport {
  pictures: number;
  imageSize: number;
  /** Epochs after which memory was read first and last. */
  epochs: [number, number];
  residentBytes: [number, number] | null;
  cannotRun: string | null;
}
