import { spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { writeDigits } from '../quickstart/digits.js';
import { CONTESTANTS, startOurs } from './contestants.js';
import { summarize } from './statistics.js';

/** @import { Child } from './child.js' */
/** @import { Plan } from './plan.js' */
/** @import { CrowdingReport, EpochMeasure, Task, Work } from './types.js' */

/** The three situations: work by itself, beside a loop that never ends, and two of it at the same time. */
const WAYS = /** @type {const} */ (['alone', 'busy', 'beside']);

/** Seconds after which work is given up; alone it takes a few. */
const PATIENCE = 100;
/** Milliseconds to wait before work is measured alone: threads hold back for a second after others have gone. */
const REST = 2000;

/**
 * @typedef {object} Workload
 * @property {string} name
 * @property {(child: Child, seconds: number) => Promise<number>} work its seconds
 * @property {(child: Child) => Promise<unknown>} [prepare]
 */

/**
 * The same work alone, beside a program that takes what it gets of a processor, and twice at the same
 * time, in turn: by this package, by this package on OpenMP's own threads, and by the article's loop.
 *
 * @param {Plan} plan
 * @param {{ task: Task, taskFile: string }} inputs
 * @param {(note: string) => void} note
 * @returns {Promise<CrowdingReport[]>}
 */
export async function runCrowding(plan, { task, taskFile }, note) {
  if (!plan.crowding) return [];
  const digits = path.join(task.scratch, 'digits');
  const { train, val } = plan.crowding;
  await writeDigits(digits, { train, val });
  const contestants = contestantsOf(plan, taskFile);
  const reports = [];
  for (const workload of workloadsOf(task, digits, 10 * train)) {
    for (const { title, start, knows } of contestants) {
      if (!knows(workload.name)) continue;
      note(`beside other work: ${workload.name}, ${title}`);
      reports.push(await measure(workload, title, start, plan.rounds));
    }
  }
  return reports;
}

/**
 * @param {Plan} plan
 * @param {string} taskFile
 */
function contestantsOf(plan, taskFile) {
  /** @param {Child} child */
  const asOurs = async (child) => {
    await child.ask('setup', { taskFile, precision: 'fp32' });
    return child;
  };
  const reference = CONTESTANTS.find(({ name }) => name === 'reference');
  return [
    {
      title: 'node-distill',
      knows: () => true,
      start: () => asOurs(startOurs(plan.threads)),
    },
    {
      title: "node-distill on OpenMP's threads",
      knows: () => true,
      start: () => asOurs(startOurs(plan.threads, { DISTILL_OPENMP: '1' })),
    },
    ...(plan.python && reference
      ? [
          {
            title: reference.title,
            knows: (/** @type {string} */ name) => /^(distill|predict)/.test(name),
            start: async () => {
              const child = reference.start(plan);
              await child.ask('setup', { taskFile, ...reference.parameters, compile: false });
              return child;
            },
          },
        ]
      : []),
  ];
}

/**
 * @param {Task} task
 * @param {string} digits
 * @param {number} pictures
 * @returns {Workload[]}
 */
function workloadsOf(task, digits, pictures) {
  /** @param {Child} child @param {object} parameters @param {number} seconds */
  const epoch = async (child, parameters, seconds) => {
    /** @type {EpochMeasure[]} */
    const measures = await child.ask('epochs', { epochs: 1, ...parameters }, seconds);
    return measures.reduce(
      (sum, { trainSeconds, valSeconds }) => sum + trainSeconds + valSeconds,
      0,
    );
  };
  const images = [...task.val, ...task.train].map(({ path }) => path);
  const { imageSize, batchSize } = task;
  return [
    {
      name: `teach: an epoch of ${pictures} digits, 32 pixels, batches of 32`,
      work: (child, seconds) => child.ask('teach', { dataset: digits }, seconds),
    },
    {
      name: `distill: an epoch, ${imageSize} pixels, batches of ${batchSize}`,
      prepare: (child) => child.ask('prepare'),
      work: (child, seconds) => epoch(child, {}, seconds),
    },
    {
      name: `small pictures: an epoch of ${pictures}, 32 pixels, batches of 32`,
      prepare: (child) => child.ask('fill', { pictures, imageSize: 32, place: 'memory' }),
      work: (child, seconds) => epoch(child, { batchSize: 32 }, seconds),
    },
    {
      name: `predict: ${images.length} pictures from files`,
      work: async (child, seconds) => {
        /** @type {Work} */
        const work = await child.ask('predict', { images }, seconds);
        return work.seconds;
      },
    },
  ];
}

/**
 * @param {Workload} workload
 * @param {string} contestant
 * @param {() => Promise<Child>} start
 * @param {number} rounds
 * @returns {Promise<CrowdingReport>}
 */
async function measure({ name, work, prepare }, contestant, start, rounds) {
  /** @type {Record<(typeof WAYS)[number], number[]>} */
  const seconds = { alone: [], busy: [], beside: [] };
  /** @type {CrowdingReport} */
  const report = { workload: name, contestant, alone: null, busy: null, beside: null, gaveUp: {} };
  const open = async () => {
    const child = await start();
    await prepare?.(child);
    await work(child, PATIENCE); // what is done for the first time does not count
    return child;
  };
  /** @type {Child[]} */
  let children = [];
  for (let round = 0; round < rounds; round++) {
    for (const way of WAYS.filter((way) => report.gaveUp[way] === undefined)) {
      try {
        while (children.length < 2) children.push(await open());
        const [one, other] = /** @type {[Child, Child]} */ (children);
        seconds[way].push(await timed(way, work, one, other));
      } catch (error) {
        report.gaveUp[way] = /** @type {Error} */ (error).message;
        await Promise.all(children.map((child) => child.end()));
        children = [];
      }
    }
  }
  await Promise.all(children.map((child) => child.end()));
  for (const way of WAYS) report[way] = summarize(seconds[way]);
  return report;
}

/**
 * @param {(typeof WAYS)[number]} way
 * @param {Workload['work']} work
 * @param {Child} one
 * @param {Child} other
 * @returns {Promise<number>} of two, their mean
 */
async function timed(way, work, one, other) {
  if (way === 'beside') {
    const both = await Promise.all([work(one, PATIENCE), work(other, PATIENCE)]);
    return (both[0] + both[1]) / 2;
  }
  if (way === 'alone') await setTimeout(REST);
  const loop = way === 'busy' ? spawn(process.execPath, ['-e', 'for (;;);']) : null;
  const kill = () => loop?.kill('SIGKILL');
  process.once('exit', kill);
  try {
    return await work(one, PATIENCE);
  } finally {
    kill();
    process.off('exit', kill);
  }
}
