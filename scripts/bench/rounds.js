import { readFileSync } from 'node:fs';
import { CONTESTANTS, startLimit } from './contestants.js';
import { verdictOf } from './judge.js';
import { summarize } from './statistics.js';

/** @import { Child } from './child.js' */
/** @import { Contestant } from './contestants.js' */
/** @import { Plan } from './plan.js' */
/** @import { ContestantReport, EpochMeasure, LimitReport, Memory, Portable, Precision, Setup, Task, Work } from './types.js' */
/** @import { NativeConvolutionRate } from '../../lib/native.js' */

/**
 * A contestant while it runs, and what it has shown so far.
 *
 * @typedef {object} Runner
 * @property {Contestant} contestant
 * @property {Child | null} child
 * @property {string | null} failure
 * @property {Setup | null} setup
 * @property {EpochMeasure[]} epochs later ones
 * @property {EpochMeasure | null} first the first one of the process
 * @property {{ train: number, val: number }[]} losses by epoch, from the initial weights
 * @property {number[]} stepLosses
 * @property {Work[]} prepared
 * @property {{ images: number, seconds: number, phases: Record<string, number> }[]} steps of contestants that do no epochs
 * @property {Work[]} predicted
 * @property {number[]} probabilities
 * @property {Memory | null} memory
 */

/**
 * Lets all contestants work in turn, each while the others sit idle.
 *
 * @param {Plan} plan
 * @param {{ task: Task, taskFile: string }} inputs
 * @param {(note: string) => void} note
 * @returns {Promise<{ contestants: ContestantReport[], limits: LimitReport[] }>}
 */
export async function runRounds(plan, { task, taskFile }, note) {
  const chosen = CONTESTANTS.filter(({ name }) => plan.only?.includes(name) ?? true);
  const limit = startLimit(plan.threads);
  await limit.ask('setup', { taskFile });
  /** @type {Map<Precision, { rates: NativeConvolutionRate[][], failure: string | null }>} */
  const limits = new Map();

  /** @type {Runner[]} */
  const runners = [];
  for (const contestant of chosen) {
    note(`setting up ${contestant.title}`);
    runners.push(await start(contestant, plan, taskFile));
  }
  // Every contestant's code has run once before anything counts.
  for (let round = 0; round <= plan.rounds; round++) {
    for (const precision of /** @type {Precision[]} */ (['fp32', 'bf16'])) {
      await measureLimit(limit, limits, precision, plan.limitRepeats);
    }
    // Nobody always comes after the same one.
    for (let i = 0; i < runners.length; i++) {
      const runner = runners[(i + round) % runners.length];
      if (!runner || runner.failure) continue;
      note(
        `${round === 0 ? 'warm-up' : `round ${round} of ${plan.rounds}`}: ${runner.contestant.title}`,
      );
      await attempt(runner, (child) => takeTurn(runner, child, round, plan, task));
    }
  }
  const reference = runners.find(({ contestant }) => contestant.name === 'reference');
  const portable = await portableLosses(reference, task, runners);
  for (const runner of runners) await runner.child?.end();
  await limit.end();

  const limitReports = [...limits].map(([precision, { rates, failure }]) =>
    limitOf(precision, rates, failure),
  );
  return {
    limits: limitReports,
    contestants: runners.map((runner) => reportOf(runner, reference, portable, limitReports, task)),
  };
}

/**
 * @param {Contestant} contestant
 * @param {Plan} plan
 * @param {string} taskFile
 * @returns {Promise<Runner>}
 */
async function start(contestant, plan, taskFile) {
  /** @type {Runner} */
  const runner = {
    contestant,
    child: null,
    failure: null,
    setup: null,
    first: null,
    memory: null,
    epochs: [],
    losses: [],
    stepLosses: [],
    prepared: [],
    steps: [],
    predicted: [],
    probabilities: [],
  };
  try {
    runner.child = contestant.start(plan);
  } catch (error) {
    runner.failure = /** @type {Error} */ (error).message;
  }
  await attempt(runner, async (child) => {
    const more = contestant.kind === 'pytorch' ? { compile: plan.compile } : {};
    runner.setup = await child.ask('setup', { taskFile, ...contestant.parameters, ...more });
  });
  return runner;
}

/**
 * A contestant that fails is out, and keeps what it has shown.
 *
 * @param {Runner} runner
 * @param {(child: Child) => Promise<void>} work
 */
async function attempt(runner, work) {
  if (!runner.child) return;
  try {
    await work(runner.child);
  } catch (error) {
    runner.failure = /** @type {Error} */ (error).message;
    await runner.child.end();
    runner.child = null;
  }
}

/**
 * One slice of work.
 *
 * @param {Runner} runner
 * @param {Child} child
 * @param {number} round 0 warms up
 * @param {Plan} plan
 * @param {Task} task
 */
async function takeTurn(runner, child, round, plan, task) {
  const { kind, name } = runner.contestant;
  if (kind === 'tfjs') return takeSteps(runner, child, round, plan, task);

  const preparesAgain = name === 'ours-fp32' || name === 'reference';
  const prepares = name !== 'best-teacher' && (round === 0 || (round > 0 && preparesAgain));
  if (prepares && !(round === 0 && name === 'reference')) {
    /** @type {{ train: Work }} */
    const { train } = await child.ask('prepare');
    // The first one of several also touches everything for the first time.
    if (round > 0 || !preparesAgain) runner.prepared.push(train);
  }
  // Ours trains from the initial weights each time, and its later epochs come after a first one.
  const epochs = kind === 'ours' && round > 0 ? 1 + plan.laterEpochs : 1;
  /** @type {EpochMeasure[]} */
  const measures = await child.ask('epochs', { epochs });
  if (round === 0) runner.first = measures[0] ?? null;
  else runner.epochs.push(...(kind === 'ours' ? measures.slice(1) : measures));
  const losses = measures.map(({ trainLoss, valLoss }) => ({ train: trainLoss, val: valLoss }));
  if (kind === 'ours') runner.losses = losses;
  else runner.losses.push(...losses);

  if (round > 0) {
    runner.memory ??= await child.ask('memory');
    const images = [...task.val, ...task.train].map(({ path }) => path);
    /** @type {Work & { probabilities: number[] }} */
    const work = await child.ask('predict', { images });
    runner.predicted.push(work);
    runner.probabilities = work.probabilities;
  }
}

/**
 * @param {Runner} runner
 * @param {Child} child
 * @param {number} round
 * @param {Plan} plan
 * @param {Task} task
 */
async function takeSteps(runner, child, round, plan, task) {
  if (round === 0) {
    /** @type {Work} */
    const forward = await child.ask('forward');
    runner.setup?.notes.push(`forward alone: ${(forward.seconds * 1000).toFixed(0)} ms a step`);
    return;
  }
  // The first round shows what the steps come to; more would change no figure.
  if (round > 1) return;
  const images = task.val.slice(0, plan.tfjs.predict).map(({ path }) => path);
  /** @type {Work & { probabilities: number[] }} */
  const work = await child.ask('predict', { images });
  runner.predicted.push(work);
  runner.probabilities = work.probabilities;
  try {
    for (let i = 0; i < plan.tfjs.steps; i++) {
      /** @type {Work & { loss: number, phases: Record<string, number> }} */
      const { loss, ...step } = await child.ask('step');
      runner.steps.push(step);
      runner.stepLosses.push(loss);
    }
  } catch (error) {
    throw new Error(`it cannot train: ${/** @type {Error} */ (error).message}`);
  } finally {
    runner.memory = await child.ask('memory').catch(() => null);
  }
}

/**
 * @param {Child} limit
 * @param {Map<Precision, { rates: NativeConvolutionRate[][], failure: string | null }>} limits
 * @param {Precision} precision
 * @param {number} repeats
 */
async function measureLimit(limit, limits, precision, repeats) {
  const measured = limits.get(precision) ?? { rates: [], failure: null };
  limits.set(precision, measured);
  if (measured.failure) return;
  try {
    measured.rates.push(await limit.ask('rates', { precision, repeats }));
  } catch (error) {
    measured.failure = /** @type {Error} */ (error).message;
  }
}

/**
 * @param {Precision} precision
 * @param {NativeConvolutionRate[][]} rounds
 * @param {string | null} failure
 * @returns {LimitReport}
 */
function limitOf(precision, rounds, failure) {
  const sums = rounds.map((rates) => rates.reduce((sum, { seconds }) => sum + seconds, 0) * 1000);
  const convolutions = (rounds[0] ?? []).map((rate, i) => {
    const { inChannels, outChannels, size, pass, flops } = rate;
    // A limit is what is reached: whatever else is at work only adds.
    const seconds = Math.min(...rounds.map((rates) => rates[i]?.seconds ?? Number.NaN));
    const gflops = flops / seconds / 1e9;
    return { inChannels, outChannels, size, pass, ms: seconds * 1000, gflops };
  });
  const reached = convolutions.reduce((sum, { ms }) => sum + ms, 0);
  return {
    precision,
    cannotRun: failure,
    ms: summarize(sums),
    reachedMs: convolutions.length > 0 ? reached : null,
    convolutions,
  };
}

/**
 * Runs the reference's steps at the sizes of contestants that do few and small ones, for their losses.
 *
 * @param {Runner | undefined} reference
 * @param {Task} task
 * @param {Runner[]} runners
 * @returns {Promise<number[] | null>}
 */
async function portableLosses(reference, task, runners) {
  if (!reference?.child || runners.every(({ stepLosses }) => stepLosses.length === 0)) return null;
  /** @type {Portable} */
  const { steps, batchSize, imageSize } = JSON.parse(readFileSync(task.portable, 'utf8'));
  return reference.child.ask('losses', { steps, batchSize, imageSize });
}

/**
 * @param {Runner} runner
 * @param {Runner | undefined} reference
 * @param {number[] | null} portable
 * @param {LimitReport[]} limits
 * @param {Task} task
 * @returns {ContestantReport}
 */
function reportOf(runner, reference, portable, limits, task) {
  const { contestant, setup, epochs, first, steps } = runner;
  const precision = setup?.precision ?? 'fp32';
  const limit = limits.find((report) => report.precision === precision)?.reachedMs;
  /** @type {Portable} */
  const { imageSize, batchSize } = JSON.parse(readFileSync(task.portable, 'utf8'));
  // Smaller crops, converted by their area.
  const area = (task.imageSize / imageSize) ** 2;
  const perBatch = (task.batchSize / batchSize) * area;

  const trainRates = epochs.map(({ trainImages, trainSeconds }) => trainImages / trainSeconds);
  trainRates.push(...steps.map(({ images, seconds }) => images / seconds / area));
  const stepMs = summarize([
    ...epochs.map((epoch) => (epoch.trainSeconds / epoch.steps) * 1000),
    ...steps.map(({ seconds }) => seconds * perBatch * 1000),
  ]);
  const phases = [
    ...epochs.flatMap((epoch) => (epoch.phases ? [scale(epoch.phases, 1000 / epoch.steps)] : [])),
    ...steps.map((step) => scale(step.phases, perBatch * 1000)),
  ];
  return {
    name: contestant.name,
    title: contestant.title,
    cannotRun: runner.failure,
    setup,
    imagesPerSecond: {
      prepare: rates(runner.prepared),
      firstEpoch: summarize(first ? [first.trainImages / first.trainSeconds] : []),
      train: summarize(trainRates),
      validate: summarize(epochs.map(({ valImages, valSeconds }) => valImages / valSeconds)),
      predict: rates(runner.predicted),
    },
    stepMs,
    phasesMs: phases[0]
      ? Object.fromEntries(
          Object.keys(phases[0]).flatMap((name) => {
            const summary = summarize(phases.map((phase) => phase[name]));
            return summary ? [[name, summary]] : [];
          }),
        )
      : null,
    epochSeconds: summarize(epochs.map((epoch) => epoch.trainSeconds + epoch.valSeconds)),
    peakBytes: runner.memory?.peakBytes ?? null,
    minorFaultsPerStep: summarize(
      epochs.map(({ minorFaults, steps }) => (minorFaults === null ? null : minorFaults / steps)),
    ),
    losses: { epochs: runner.losses, steps: runner.stepLosses },
    verdict: verdictOf(runner, reference, portable),
    limitShare:
      !limit || !stepMs
        ? null
        : {
            median: limit / stepMs.median,
            min: limit / stepMs.max,
            max: limit / stepMs.min,
            count: stepMs.count,
          },
  };
}

/** @param {Work[]} works */
const rates = (works) => summarize(works.map(({ images, seconds }) => images / seconds));

/**
 * @param {Record<string, number>} values
 * @param {number} factor
 */
function scale(values, factor) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value * factor]));
}
