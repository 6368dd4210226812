/** @import { Bench, ContestantReport, Summary, Target } from './types.js' */

/**
 * The ratios that say how good this package is, each from numbers of the same run.
 *
 * @param {Omit<Bench, 'targets'>} bench
 * @returns {Target[]}
 */
export function targetsOf({ contestants, endToEnd, endurance, crowding }) {
  /** @param {string} name */
  const find = (name) => contestants.find((contestant) => contestant.name === name);
  const [fp32, bf16, reference] = ['ours-fp32', 'ours-bf16', 'reference'].map(find);
  const [bestTeacher, bestCached, tfjs] = ['best-teacher', 'best-cached', 'tfjs-cpu'].map(find);

  /**
   * @param {string} name
   * @param {ContestantReport | undefined} ours
   * @param {ContestantReport | undefined} theirs
   * @param {(contestant: ContestantReport) => Summary | null} seconds or whatever else grows with time
   * @returns {Target}
   */
  const faster = (name, ours, theirs, seconds) => {
    const mine = ours && seconds(ours);
    const other = theirs && seconds(theirs);
    const of = `${theirs?.title ?? 'the other'} / ${ours?.title ?? 'ours'}`;
    if (!mine || !other) {
      return { name, ...none(mine ? theirs : ours), unit: 'times as fast', of };
    }
    const value = other.median / mine.median;
    const range = /** @type {[number, number]} */ ([other.min / mine.max, other.max / mine.min]);
    return { name, value, range, unit: 'times as fast', of, missing: null };
  };
  /**
   * @param {string} name
   * @param {ContestantReport | undefined} contestant
   * @param {'limitShare' | 'minorFaultsPerStep'} what
   * @returns {Target}
   */
  const single = (name, contestant, what) => {
    const summary = contestant?.[what];
    const share = what === 'limitShare';
    const unit = share ? 'of the step' : 'faults a step';
    const of = share ? "the convolutions' own time / the step's" : 'minor page faults / steps';
    if (!summary) return { name, ...none(contestant), unit, of };
    const { median, min, max } = summary;
    return { name, value: median, range: [min, max], unit, of, missing: null };
  };

  /** @param {ContestantReport} contestant */
  const epoch = ({ epochSeconds }) => epochSeconds;
  /** @param {'prepare' | 'train' | 'predict'} phase */
  const perImage =
    (phase) =>
    /** @param {ContestantReport} contestant */
    ({ imagesPerSecond }) =>
      inverse(imagesPerSecond[phase]);
  return [
    faster('later epochs, float32, against the reference', fp32, reference, epoch),
    faster('later epochs, bf16, against the reference', bf16, reference, epoch),
    faster(
      'later epochs, bf16, against PyTorch at its best, teacher in the loop',
      bf16,
      bestTeacher,
      epoch,
    ),
    faster(
      'later epochs, bf16, against PyTorch at its best, cached answers',
      bf16,
      bestCached,
      epoch,
    ),
    single('convolutions in the step, float32', fp32, 'limitShare'),
    single('convolutions in the step, bf16', bf16, 'limitShare'),
    single('convolutions in the step, PyTorch at its best', bestCached, 'limitShare'),
    faster(
      "prepare, float32, against the reference's teacher pass",
      fp32,
      reference,
      perImage('prepare'),
    ),
    commandLine(endToEnd),
    faster(
      'training step, float32, against TensorFlow.js on the CPU',
      fp32,
      tfjs,
      perImage('train'),
    ),
    faster(
      'prediction from files, float32, against the reference',
      fp32,
      reference,
      perImage('predict'),
    ),
    memoryOf(endurance),
    single('page faults of a warm step, float32', fp32, 'minorFaultsPerStep'),
    single('page faults of a warm step, bf16', bf16, 'minorFaultsPerStep'),
    ...crowdingOf(crowding),
  ];
}

/** @param {ContestantReport | undefined} contestant */
function none(contestant) {
  const missing = contestant
    ? `${contestant.title}: ${contestant.cannotRun ?? 'not measured'}`
    : 'a contestant was left out';
  return { value: null, range: null, missing };
}

/**
 * @param {Summary | null} summary
 * @returns {Summary | null}
 */
function inverse(summary) {
  if (!summary) return null;
  const { median, min, max, count } = summary;
  return { median: 1 / median, min: 1 / max, max: 1 / min, count };
}

/**
 * @param {Bench['endToEnd']} endToEnd
 * @returns {Target}
 */
function commandLine({ ours, reference, cannotRun }) {
  const name = `${ours?.epochs ?? 10} epochs from the command line, float32`;
  const note = reference?.estimated ? `, the latter estimated ${reference.estimated}` : '';
  return {
    name,
    value: ours && reference && reference.seconds / ours.seconds,
    range: null,
    unit: 'times as fast',
    of: `the article's program / distill train${note}`,
    missing: ours && reference ? null : cannotRun,
  };
}

/**
 * @param {Bench['endurance']} endurance
 * @returns {Target}
 */
function memoryOf(endurance) {
  const [first, last] = endurance?.epochs ?? [5, 200];
  const bytes = endurance?.residentBytes;
  const sizes = endurance
    ? ` (${endurance.pictures} pictures of ${endurance.imageSize} pixels)`
    : '';
  return {
    name: 'memory at the end of a long training',
    value: bytes ? bytes[1] / bytes[0] : null,
    range: null,
    unit: 'times the memory',
    of: `resident after ${last} epochs / after ${first}${sizes}`,
    missing: bytes ? null : (endurance?.cannotRun ?? 'left out'),
  };
}

/**
 * Compares the time of work beside other work with its time alone, and that with its time alone on OpenMP's threads.
 *
 * @param {Bench['crowding']} crowding
 * @returns {Target[]}
 */
function crowdingOf(crowding) {
  return crowding
    .filter(({ contestant }) => contestant === 'node-distill')
    .flatMap(({ workload, alone, busy, beside, gaveUp }) => {
      const openmp = crowding.find(
        (report) => report.workload === workload && report.contestant.includes('OpenMP'),
      )?.alone;
      const what = workload.split(':')[0];
      /** @param {string} name @param {Summary | null | undefined} mine @param {Summary | null | undefined} other @param {string} of */
      const ratio = (name, mine, other, of) => ({
        name: `${what}, ${name}`,
        value: mine && other ? mine.median / other.median : null,
        range: null,
        unit: /** @type {const} */ ('times the time'),
        of,
        missing: mine && other ? null : (Object.values(gaveUp)[0] ?? 'not measured'),
      });
      return [
        ratio('beside a busy loop', busy, alone, 'seconds beside it / alone'),
        ratio('two side by side', beside, alone, 'seconds of each / alone'),
        ratio("alone, against OpenMP's threads", alone, openmp, 'seconds / seconds'),
      ];
    });
}
