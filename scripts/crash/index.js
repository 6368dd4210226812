// `npm run check:crash`: kills every command that writes files, at each call that changes one and at random moments, lets those
// calls fail, and looks at what there is afterwards.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { random } from '../random.js';
import { Bench, nameOf, Subject } from './campaign.js';
import { CASES, makeInputs } from './cases.js';

/** @typedef {import('./campaign.js').Trial} Trial */
/** @typedef {import('./judge.js').Finding} Finding */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kills: { type: 'string', default: '500' }, // kills and faults
    seed: { type: 'string', default: '1' }, // of what is random
    only: { type: 'string' }, // one trial, as a failure names it
    folder: { type: 'string', default: os.tmpdir() },
    list: { type: 'boolean', default: false }, // prints the calls of the commands
  },
});
const cases = CASES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const unknown = positionals.filter((name) => !CASES.some((one) => one.name === name));
if (unknown.length > 0) {
  console.error(`crash: ${unknown} is none of ${CASES.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const home = mkdtempSync(path.join(realpathSync(values.folder), 'crash-'));
process.once('exit', () => rmSync(home, { recursive: true, force: true }));
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    isStopped = true;
  });
}
await makeInputs(home);
const bench = new Bench(home, {
  program: path.join(import.meta.dirname, 'command.js'),
});

const COUNTS = ['kills', 'faults', 'torn', 'lost', 'stuck', 'leftovers', 'errors'];
/** What has been done to each command and what came of it. @type {Map<string, Record<string, number>>} */
const table = new Map();
const subjects = cases.map((one) => new Subject(bench, one));
for (const subject of subjects) {
  table.set(subject.name, Object.fromEntries(COUNTS.map((name) => [name, 0])));
  report(subject, await subject.learn());
  if (values.list) console.log(subject.describe());
}

const total = Number(values.kills);
const draw = random(Number(values.seed));
let done = 0;
let reported = 0;
for (const [subject, trial] of values.only ? chosen(values.only) : planned()) {
  const onDisturbed = (/** @type {'kills' | 'faults'} */ kind) => {
    add(subject, kind);
    done++;
  };
  const findings = await subject.run(trial, onDisturbed);
  // The signal may have reached the process under test as well.
  if (isStopped) break;
  report(subject, findings, trial);
  if (done - reported < 25 && done < total) continue;
  reported = done;
  const defects = COUNTS.slice(2).map((name) => `${sum(name)} ${name}`);
  console.error(`${done} of ${total} kills and faults (${subject.name}): ${defects.join(', ')}`);
}
await bench.close();

const shown = new Table({ head: ['', ...COUNTS], style: { head: [], border: [] } });
for (const [name, counts] of table) shown.push([name, ...COUNTS.map((key) => counts[key])]);
shown.push(['all', ...COUNTS.map(sum)]);
console.log(shown.toString());
process.exitCode = COUNTS.slice(2).some((name) => sum(name) > 0) ? 1 : 0;

/** The trials: each disturbance of each call once, in any order and as far as `--kills` goes, and then random ones. */
function* planned() {
  const all = subjects.flatMap((subject) =>
    subject.trials().map((trial) => ({ subject, trial, at: draw(2 ** 31) })),
  );
  for (const { subject, trial } of all.toSorted((a, b) => a.at - b.at).slice(0, total)) {
    yield/** @type {const} */ ([subject, trial]);
  }
  while (done < total) {
    const subject = /** @type {Subject} */ (subjects[draw(subjects.length)]);
    yield/** @type {const} */ ([subject, subject.randomTrial(draw)]);
  }
}

/** The one trial that is named. */
function* chosen(/** @type {string} */ name) {
  for (const subject of subjects) yield/** @type {const} */ ([subject, subject.parse(name)]);
}

function add(/** @type {Subject} */ { name }, /** @type {string} */ count) {
  const counts = table.get(name);
  if (counts) counts[count] = (counts[count] ?? 0) + 1;
}

function sum(/** @type {string} */ count) {
  return [...table.values()].reduce((total, counts) => total + (counts[count] ?? 0), 0);
}

/** Counts and prints what was found, with the line that repeats it. */
function report(
  /** @type {Subject} */ subject,
  /** @type {Finding[]} */ findings,
  trial = /** @type {Trial | null} */ (null),
) {
  for (const { defect, what } of findings) {
    add(subject, defect);
    console.log(`${subject.name}: ${defect}: ${what}`);
  }
  if (trial && findings.length > 0) {
    console.log(`  npm run check:crash -- '${subject.name}' --only ${nameOf(trial)}`);
  }
}
