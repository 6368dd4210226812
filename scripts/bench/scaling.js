import { startOurs } from './contestants.js';
import { summarize } from './statistics.js';

/** @import { Plan, ScalingAxis } from './plan.js' */
/** @import { EpochMeasure, Memory, ScalingPoint, ScalingSeries } from './types.js' */

/**
 * Later epochs of ours as one size grows. Each point has a process of its own, whose peak of memory is
 * that size's alone; pictures are noise.
 *
 * @param {Plan} plan
 * @param {string} taskFile
 * @param {(note: string) => void} note
 * @returns {Promise<ScalingSeries[]>}
 */
export async function runScaling(plan, taskFile, note) {
  const series = [];
  for (const axis of plan.scaling) {
    for (const place of axis.places) {
      /** @type {ScalingPoint[]} */
      const points = [];
      for (const value of axis.values) {
        note(`scaling: ${axis.axis} ${value}${place === 'temporary' ? ', memory-mapped' : ''}`);
        points.push(await measure(axis, value, place, plan, taskFile));
      }
      const names = /** @type {const} */ (['pictures', 'imageSize', 'batchSize']);
      series.push({
        axis: axis.axis,
        series: place === 'memory' ? 'in memory' : 'memory-mapped',
        precision: /** @type {const} */ ('fp32'),
        fixed: Object.fromEntries(
          names.filter((name) => axis[name] > 0).map((name) => [name, axis[name]]),
        ),
        points,
      });
    }
  }
  return series;
}

/**
 * @param {ScalingAxis} axis
 * @param {number} value
 * @param {'memory' | 'temporary'} place
 * @param {Plan} plan
 * @param {string} taskFile
 * @returns {Promise<ScalingPoint>}
 */
async function measure(axis, value, place, plan, taskFile) {
  const of = { ...axis, threads: plan.threads };
  if (axis.axis === 'batch size') of.batchSize = value;
  if (axis.axis === 'image size') of.imageSize = value;
  if (axis.axis === 'threads') of.threads = value;
  if (axis.axis === 'pictures') of.pictures = value;

  /** @type {ScalingPoint} */
  const point = {
    x: value,
    imagesPerSecond: null,
    peakBytes: null,
    anonymousBytes: null,
    cannotRun: null,
  };
  const child = startOurs(of.threads);
  try {
    const { pictures, imageSize, batchSize, threads } = of;
    await child.ask('setup', { taskFile, precision: 'fp32', threads });
    await child.ask('fill', { pictures, imageSize, place });
    /** @type {EpochMeasure[]} */
    const epochs = await child.ask('epochs', { epochs: 1 + of.epochs, batchSize });
    const later = epochs.slice(1).map((epoch) => epoch.trainImages / epoch.trainSeconds);
    point.imagesPerSecond = summarize(later);
    /** @type {Memory} */
    const { peakBytes, anonymousBytes } = await child.ask('memory');
    Object.assign(point, { peakBytes, anonymousBytes });
  } catch (error) {
    point.cannotRun = /** @type {Error} */ (error).message;
  }
  await child.end();
  return point;
}
