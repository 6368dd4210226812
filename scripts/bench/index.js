// `npm run bench`: this package against plain JavaScript, the article's PyTorch and PyTorch at its best,
// and against the time that the convolutions alone take.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { drawChart } from './chart.js';
import { CONTESTANTS, findPython } from './contestants.js';
import { runCrowding } from './crowding.js';
import { runGraphs } from './graphs.js';
import { makeInputs } from './inputs.js';
import { describeMachine } from './machine.js';
import { runResize } from './pictures-resize.js';
import { planOf } from './plan.js';
import { endure, runProcesses } from './processes.js';
import { runRounds } from './rounds.js';
import { runScaling } from './scaling.js';
import { graphTable, resizeTable, tablesOf } from './table.js';
import { targetsOf } from './targets.js';

/** @import { Flags, Plan } from './plan.js' */
/** @import { Bench, Task } from './types.js' */

const names = CONTESTANTS.map(({ name }) => name);
const program = new Command('bench')
  .description('Benchmarks of node-distill; writes bench.json, bench.svg and bench.png.')
  .option('--quick', 'a few pictures and one round: under three minutes on two cores')
  .option('--full', 'more pictures and rounds, nothing estimated')
  .option('--dataset <folder>', 'train/<class>/* and val/<class>/*; made of noise by default')
  .option('--teacher <file>', "a DenseNet's .pth for these classes; untrained by default")
  .option('--pictures <n>', 'training pictures at most, and half as many to validate', count)
  .option('--python <program>', 'with torch, torchvision and Pillow ($DISTILL_PYTHON, python3)')
  .option('--threads <n>', 'of every contestant that has threads (one a core)', count)
  .option('--batch-size <n>', 'pictures a step (4)', count)
  .option('--image-size <n>', 'side of the square that networks see, in pixels (224)', count)
  .option('--rounds <n>', 'in which each contestant has a turn', count)
  .option('--only <names>', `contestants, of ${names.join(',')}`, contestants)
  .option('--skip-scaling', 'leave out the growth with sizes')
  .option('--skip-processes', 'leave out whole runs of programs')
  .option('--crowding', 'with --quick, too: what happens beside other work')
  .option('--skip-crowding', 'leave that out')
  .option('--resize', 'only decodes, resizes and crops JPEGs of 12 megapixels; writes resize.json')
  .option('--graphs', 'only runs and trains networks that torch.export wrote; writes graphs.json')
  .option('--out <folder>', 'where results go', 'bench-results');

/** @param {string} text */
function count(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('Expected 1 or more.');
  return value;
}

/** @param {string} text */
function contestants(text) {
  const chosen = text.split(',');
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`There is no '${unknown}'; there are ${names.join(', ')}.`);
  }
  return chosen;
}

/** @param {string} note */
function say(note) {
  const seconds = (performance.now() / 1000).toFixed(0).padStart(5);
  process.stderr.write(`bench ${seconds} s  ${note}\n`);
}

/**
 * @param {Plan} plan
 * @param {string} work
 * @returns {Promise<Bench>}
 */
async function measure(plan, work) {
  const start = performance.now();
  const machine = describeMachine();
  if (machine.loadAverage > 0.5) {
    say(`other programs are at work here (load ${machine.loadAverage.toFixed(1)}): figures suffer`);
  }
  say('making pictures and weights');
  const inputs = await makeInputs(plan, work);
  const { contestants, limits } = await runRounds(plan, inputs, say);
  const endToEnd = await runProcesses(plan, inputs, say);
  if (plan.endurance > 0) say(`${plan.endurance} epochs: does memory grow?`);
  const endurance = await endure(plan, inputs.taskFile);
  const scaling = await runScaling(plan, inputs.taskFile, say);
  const crowding = await runCrowding(plan, inputs, say);

  for (const { setup } of contestants) Object.assign(machine.versions, setup?.versions);
  const measured = {
    version: /** @type {const} */ (1),
    date: new Date().toISOString(),
    seconds: (performance.now() - start) / 1000,
    machine,
    settings: settingsOf(plan, inputs.task),
    contestants,
    limits,
    endToEnd,
    endurance,
    scaling,
    crowding,
  };
  return { ...measured, targets: targetsOf(measured) };
}

/**
 * @param {Plan} plan
 * @param {Task} task
 */
function settingsOf(plan, task) {
  const { mode, rounds, threads, batchSize, imageSize } = plan;
  return {
    mode,
    rounds,
    threads,
    batchSize,
    imageSize,
    trainPictures: task.train.length,
    valPictures: task.val.length,
    classes: task.classes.length,
    dataset: plan.dataset ? path.basename(path.resolve(plan.dataset)) : 'synthetic',
    teacher: plan.teacher ? path.basename(plan.teacher) : 'untrained',
  };
}

/** @type {Flags & { out: string, skipScaling?: boolean, skipProcesses?: boolean, crowding?: boolean, skipCrowding?: boolean, resize?: boolean, graphs?: boolean }} */
const flags = program.parse().opts();
const plan = planOf({
  ...flags,
  scaling: !flags.skipScaling,
  processes: !flags.skipProcesses,
  crowding: !flags.skipCrowding && (flags.crowding || !flags.quick),
});
plan.python = findPython(flags.python);
const work = mkdtempSync(path.join(tmpdir(), 'distill-bench-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

const out = path.resolve(flags.out);
mkdirSync(out, { recursive: true });
if (flags.resize) {
  const machine = describeMachine();
  const resize = await runResize(plan, work, say);
  writeFileSync(
    path.join(out, 'resize.json'),
    `${JSON.stringify({ machine, threads: plan.threads, rounds: plan.rounds, resize }, null, 2)}\n`,
  );
  process.stdout.write(`${resizeTable(resize)}\n`);
  process.exit();
}

if (flags.graphs) {
  const machine = describeMachine();
  const graphs = await runGraphs(plan, work, say);
  writeFileSync(
    path.join(out, 'graphs.json'),
    `${JSON.stringify({ machine, threads: plan.threads, rounds: plan.rounds, graphs }, null, 2)}\n`,
  );
  process.stdout.write(`${graphTable(graphs)}\n`);
  process.exit();
}

const bench = await measure(plan, work);
writeFileSync(path.join(out, 'bench.json'), `${JSON.stringify(bench, null, 2)}\n`);
const { svg, png } = await drawChart(bench);
writeFileSync(path.join(out, 'bench.svg'), svg);
writeFileSync(path.join(out, 'bench.png'), png);
process.stdout.write(`${tablesOf(bench)}\n`);
say(`bench.json, bench.svg and bench.png are in ${path.relative('', out) || '.'}`);
