import { availableParallelism } from 'node:os';

/** @import { ScalingSeries } from './types.js' */

/**
 * @typedef {object} Plan How much of everything is done.
 * @property {'quick' | 'default' | 'full'} mode
 * @property {number} rounds
 * @property {number} threads
 * @property {number} batchSize
 * @property {number} imageSize
 * @property {number} trainPictures at most
 * @property {number} valPictures at most
 * @property {string | undefined} dataset
 * @property {string | undefined} teacher
 * @property {string | null} python null where it is not to be used
 * @property {string[] | null} only contestants' names
 * @property {boolean} compile whether torch.compile is tried
 * @property {number} laterEpochs of ours in each round
 * @property {{ imageSize: number, batchSize: number, steps: number, predict: number }} tfjs
 * @property {{ ours: number, reference: number }} endToEnd epochs; 0 leaves it out
 * @property {number} endurance epochs; 0 leaves it out
 * @property {number} limitRepeats
 * @property {ScalingAxis[]} scaling
 * @property {{ train: number, val: number } | null} crowding pictures of each digit; null leaves it out
 *
 * @typedef {object} ScalingAxis
 * @property {ScalingSeries['axis']} axis
 * @property {number[]} values
 * @property {number} pictures at an axis of pictures: not used
 * @property {number} imageSize
 * @property {number} batchSize
 * @property {('memory' | 'temporary')[]} places
 * @property {number} epochs
 */

const SIZES = {
  quick: { rounds: 1, trainPictures: 16, valPictures: 8, laterEpochs: 1 },
  default: { rounds: 3, trainPictures: 48, valPictures: 24, laterEpochs: 1 },
  full: { rounds: 5, trainPictures: 240, valPictures: 150, laterEpochs: 2 },
};

/**
 * @typedef {object} Flags
 * @property {boolean} [quick]
 * @property {boolean} [full]
 * @property {string} [dataset]
 * @property {string} [teacher]
 * @property {string} [python]
 * @property {number} [threads]
 * @property {number} [batchSize]
 * @property {number} [imageSize]
 * @property {number} [pictures]
 * @property {number} [rounds]
 * @property {string[]} [only]
 * @property {boolean} [scaling] false: left out
 * @property {boolean} [processes] false: whole processes are left out
 * @property {boolean} [crowding] false: left out
 */

/**
 * @param {Flags} flags
 * @returns {Plan}
 */
export function planOf(flags) {
  const mode = flags.full ? 'full' : flags.quick ? 'quick' : 'default';
  const quick = mode === 'quick';
  const sizes = SIZES[mode];
  const imageSize = flags.imageSize ?? 224;
  const batchSize = flags.batchSize ?? 4;
  const threads = flags.threads ?? availableParallelism();
  // A dataset that is given is used whole, except where it would not be quick.
  const whole = flags.dataset !== undefined && !quick ? Number.MAX_SAFE_INTEGER : undefined;
  const trainPictures = flags.pictures ?? whole ?? sizes.trainPictures;
  const valPictures =
    flags.pictures !== undefined
      ? Math.max(2, Math.ceil(flags.pictures / 2))
      : (whole ?? sizes.valPictures);
  return {
    mode,
    rounds: flags.rounds ?? sizes.rounds,
    threads,
    batchSize,
    imageSize,
    trainPictures,
    valPictures,
    dataset: flags.dataset,
    teacher: flags.teacher,
    python: null,
    only: flags.only ?? null,
    compile: !quick,
    laterEpochs: sizes.laterEpochs,
    // Plain JavaScript takes minutes for a picture of 224 pixels.
    tfjs: {
      imageSize: mode === 'full' ? imageSize : Math.min(imageSize, quick ? 48 : 112),
      batchSize: mode === 'full' ? batchSize : 1,
      steps: 2,
      predict: quick ? 1 : 3,
    },
    endToEnd:
      flags.processes === false
        ? { ours: 0, reference: 0 }
        : { ours: quick ? 3 : 10, reference: mode === 'full' ? 10 : quick ? 1 : 2 },
    endurance: flags.processes === false ? 0 : quick ? 60 : 200,
    limitRepeats: quick ? 3 : 7,
    scaling: flags.scaling === false ? [] : scalingOf(mode, threads, imageSize),
    crowding:
      flags.crowding === false ? null : quick ? { train: 8, val: 2 } : { train: 200, val: 20 },
  };
}

/**
 * @param {Plan['mode']} mode
 * @param {number} threads
 * @param {number} largest no axis but that of the image size goes beyond it
 * @returns {ScalingAxis[]}
 */
function scalingOf(mode, threads, largest) {
  const quick = mode === 'quick';
  const side = Math.min(quick ? 64 : 112, largest);
  const epochs = quick ? 2 : 3;
  /** @type {['memory']} */
  const places = ['memory'];
  const allThreads = Array.from({ length: Math.log2(threads) + 1 }, (_, i) => 2 ** i);
  if (!allThreads.includes(threads)) allThreads.push(threads);
  return [
    {
      axis: 'batch size',
      values: quick ? [1, 4, 16] : [1, 2, 4, 8, 16, 32, 64, 128],
      pictures: quick ? 32 : 128,
      imageSize: side,
      batchSize: 0,
      places,
      epochs,
    },
    {
      axis: 'image size',
      values: quick ? [32, 64, 128] : [32, 64, 112, 160, 224, 320, 448],
      pictures: quick ? 8 : 16,
      imageSize: 0,
      batchSize: 4,
      places,
      epochs,
    },
    {
      axis: 'threads',
      values: allThreads,
      pictures: quick ? 16 : 32,
      imageSize: side,
      batchSize: 4,
      places,
      epochs,
    },
    {
      axis: 'pictures',
      values: quick ? [10, 100, 400] : [10, 100, 1000, 10_000],
      pictures: 0,
      imageSize: 32,
      batchSize: 4,
      places: ['memory', 'temporary'],
      epochs,
    },
  ];
}
