import Table from 'cli-table3';

/** @import { GraphReport, Bench, ContestantReport, CrowdingReport, ResizeReport, Summary } from './types.js' */

/**
 * The results for a terminal.
 *
 * @param {Bench} bench
 * @returns {string}
 */
export function tablesOf(bench) {
  return [
    about(bench),
    table(
      ['images a second', 'prepare', 'first epoch', 'later epochs', 'validate', 'predict'],
      bench.contestants.map(({ title, cannotRun, imagesPerSecond: rate }) =>
        cannotRun && !rate.train && !rate.predict
          ? [title, { colSpan: 5, content: `cannot run: ${cannotRun}` }]
          : [
              title,
              ...[rate.prepare, rate.firstEpoch, rate.train, rate.validate, rate.predict].map(
                spread,
              ),
            ],
      ),
    ),
    table(
      ['later epochs', 'step, ms', 'of limit', 'peak, MB', 'faults a step', 'losses', 'judged'],
      bench.contestants
        .filter(({ stepMs }) => stepMs)
        .map((contestant) => [
          contestant.title,
          spread(contestant.stepMs),
          contestant.limitShare ? percent(contestant.limitShare.median) : '',
          contestant.peakBytes === null ? '' : (contestant.peakBytes / 1e6).toFixed(0),
          contestant.minorFaultsPerStep ? short(contestant.minorFaultsPerStep.median) : '',
          losses(contestant),
          judged(contestant),
        ]),
    ),
    table(
      ['a step by phase, ms', ''],
      bench.contestants.flatMap(({ title, phasesMs }) =>
        phasesMs
          ? [
              [
                title,
                Object.entries(phasesMs)
                  .map(([phase, { median }]) => `${phase} ${short(median)}`)
                  .join(', '),
              ],
            ]
          : [],
      ),
    ),
    table(
      [
        'limit',
        'a step, ms (spread)',
        'GFLOP/s by convolution: forward, input and weight gradient',
      ],
      bench.limits.map(({ precision, cannotRun, ms, convolutions }) => [
        precision,
        cannotRun ? '' : spread(ms),
        cannotRun
          ? `cannot run: ${cannotRun}`
          : [...new Set(convolutions.map(({ size }) => size))]
              .map((size) => {
                const rates = convolutions.filter((convolution) => convolution.size === size);
                return `${size}: ${rates.map(({ gflops }) => gflops.toFixed(0)).join('/')}`;
              })
              .join('  '),
      ]),
    ),
    ...(bench.scaling.length > 0
      ? [
          table(
            ['scaling', 'images a second (peak MB) of later epochs'],
            bench.scaling.map(({ axis, series, points }) => [
              series === 'in memory' && axis !== 'pictures' ? axis : `${axis}, ${series}`,
              points
                .map(({ x, imagesPerSecond: rate, peakBytes, cannotRun }) =>
                  rate && peakBytes
                    ? `${x}: ${short(rate.median)} (${(peakBytes / 1e6).toFixed(0)})`
                    : `${x}: ${cannotRun}`,
                )
                .join('\n'),
            ]),
          ),
        ]
      : []),
    ...(bench.crowding.length > 0
      ? [
          table(
            ['beside other work', 'alone, s', 'beside a busy loop', 'two side by side'],
            bench.crowding.map((report) => [
              `${report.workload}\n${report.contestant}`,
              report.alone ? spread(report.alone) : (report.gaveUp.alone ?? ''),
              crowded(report, 'busy'),
              crowded(report, 'beside'),
            ]),
          ),
        ]
      : []),
    table(
      ['targets', 'value', 'of'],
      bench.targets.map(({ name, value, range, unit, of, missing }) => [
        name,
        value === null
          ? 'none'
          : unit === 'of the step'
            ? percent(value)
            : `${short(value)}${range ? ` (${range.map(short).join('–')})` : ''} ${unit}`,
        missing ?? of,
      ]),
    ),
    ...notesOf(bench),
  ].join('\n');
}

/**
 * @param {ResizeReport[]} reports
 * @returns {string}
 */
export function resizeTable(reports) {
  return table(
    ['12 megapixels to 256, 224', 'noise', 'ms a picture', "times ours'", 'peak, MB'],
    reports.map(({ contestant, noise, millisecondsAPicture, timesOurs, peakBytes }) => [
      contestant,
      String(noise),
      spread(millisecondsAPicture),
      spread(timesOurs),
      (peakBytes / 1e6).toFixed(0),
    ]),
  );
}

/**
 * @param {GraphReport[]} reports
 * @returns {string}
 */
export function graphTable(reports) {
  return table(
    ['network', 'work', 'precision', 'ms a picture', "PyTorch's", 'times as fast'],
    reports.map((report) => [
      report.model,
      report.work,
      report.precision,
      spread(report.millisecondsAPicture),
      spread(report.torchMilliseconds),
      spread(report.timesFaster),
    ]),
  );
}

/** @param {Bench} bench */
function about({ machine, settings, seconds }) {
  const { cpu, cores, memoryBytes, system, features, versions, loadAverage } = machine;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const { trainPictures, valPictures, imageSize, batchSize, threads, rounds } = settings;
  return [
    '',
    `${cpu}, ${cores} cores, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, ${system}, ${features.join(' ')}`,
    `${named.join(', ')}; load at the start ${loadAverage.toFixed(1)}`,
    `${trainPictures} + ${valPictures} pictures (${settings.dataset}), teacher ${settings.teacher}; ` +
      `${imageSize} pixels, batches of ${batchSize}, ${threads} threads, ${rounds} rounds ` +
      `(median, and least–most), ${seconds.toFixed(0)} s`,
    '',
  ].join('\n');
}

/** @param {Bench} bench */
function notesOf({ contestants, endToEnd }) {
  const notes = contestants.map(({ title, setup, cannotRun }) => {
    const all = [...(setup?.notes ?? []), ...(cannotRun ? [`ended early: ${cannotRun}`] : [])];
    return all.length > 0 ? `${title}: ${all.join('; ')}` : '';
  });
  for (const run of [endToEnd.ours, endToEnd.reference]) {
    if (!run) continue;
    const estimated = run.estimated ? ` (estimated ${run.estimated})` : '';
    notes.push(`${run.epochs} epochs of ${run.command}: ${run.seconds.toFixed(1)} s${estimated}`);
  }
  return notes.filter(Boolean);
}

/**
 * Seconds, and how many times as many as alone.
 *
 * @param {CrowdingReport} report
 * @param {'busy' | 'beside'} way
 */
function crowded({ alone, gaveUp, ...report }, way) {
  const seconds = report[way];
  if (!seconds) return gaveUp[way] ?? '';
  return `${spread(seconds)}${alone ? `: ${short(seconds.median / alone.median)} times` : ''}`;
}

/** @param {ContestantReport} contestant */
function losses({ losses: { epochs, steps } }) {
  const last = epochs.at(-1);
  if (last) return `${last.train.toFixed(5)}, ${last.val.toFixed(5)}`;
  return steps.map((loss) => loss.toFixed(5)).join(', ');
}

/** @param {ContestantReport} contestant */
function judged({ name, verdict }) {
  if (name === 'reference') return 'the reference';
  if (verdict.agrees === null || verdict.difference === null) return 'not judged';
  const by = `${verdict.difference.toExponential(1)}, tolerance ${verdict.tolerance}`;
  return verdict.agrees ? `agrees (${by})` : `LEAVES THE REFERENCE (${by})`;
}

/** @param {Summary | null} summary */
function spread(summary) {
  if (!summary) return '';
  const { median, min, max, count } = summary;
  return count > 1 ? `${short(median)} (${short(min)}–${short(max)})` : short(median);
}

/** Three digits are as many as a measurement has. @param {number} value */
function short(value) {
  return value >= 100 ? value.toFixed(0) : `${Number(value.toPrecision(3))}`;
}

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(1)} %`;

/**
 * @param {string[]} head
 * @param {import('cli-table3').HorizontalTableRow[]} rows
 */
function table(head, rows) {
  const drawn = new Table({ head, style: { head: [], border: [], compact: true } });
  drawn.push(...rows);
  return `${drawn.toString()}\n`;
}
