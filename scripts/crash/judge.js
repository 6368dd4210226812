// The rules: what there is after a run that was killed or whose calls failed, and after the next one.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { loadAddonModule, loadOnnxSchema, loadPackage } from '../bench/product.js';

/** @typedef {import('./campaign.js').Known} Known */
/** @typedef {import('./campaign.js').Step} Step */
/** @typedef {import('./place.js').Place} Place */
/** @typedef {import('./shim.js').Call} Call */
/** @typedef {import('./workers.js').Outcome} Outcome */

/** @typedef {'torn' | 'lost' | 'stuck' | 'leftovers' | 'errors'} Defect */
/** @typedef {{ defect: Defect, what: string }} Finding */

/** Codes of errors whose cause is a file that cannot be written. */
const EXPECTED_CODES = ['ERR_WRITE', 'ERR_CACHE'];

/**
 * Judges an undisturbed run: our readers take what it wrote, and files were synced before they got their names, so that a
 * power cut leaves whole ones as well.
 *
 * @param {Place} place
 * @param {Known} known
 * @returns {Promise<Finding[]>}
 */
export async function judgeUndisturbed(place, { before, after, calls }) {
  /** @type {Finding[]} */
  const findings = [];
  for (const [file, digest] of after) {
    if (before.get(file) === digest) continue;
    if (!calls.some((call) => call.path === file)) {
      throw new Error(`${file} was changed by no call that shim.c wraps`);
    }
    const problem = await problemOf(path.join(place.root, file));
    if (problem) findings.push({ defect: 'torn', what: `${file} cannot be read: ${problem}` });
  }
  for (const file of unsynced(calls)) {
    findings.push({ defect: 'torn', what: `${file} is not synced` });
  }
  return findings;
}

/** Lists files that were renamed before they were synced, and folders that were not synced after. @returns {Set<string>} */
function unsynced(/** @type {Call[]} */ calls) {
  /** @type {Set<string>} */
  const written = new Set();
  /** @type {Set<string>} */
  const named = new Set();
  for (const call of calls) {
    if (/write|allocate|truncate/.test(call.name)) written.add(call.path);
    if (call.name.includes('sync')) for (const set of [written, named]) set.delete(call.path);
    if (!call.name.startsWith('rename')) continue;
    named.add(path.dirname(call.path));
    if (written.has(call.from)) named.add(call.path);
  }
  return named;
}

/** Returns the reason why our reader does not take a file, if any. */
async function problemOf(/** @type {string} */ file) {
  try {
    const ending = path.extname(file);
    // Only the next run reads these.
    if (['.store', '.jsonl', '.log'].includes(ending)) return null;
    if (path.basename(file) === 'state.safetensors') {
      await (await loadAddonModule()).loadAddon().readState(file);
    } else if (ending === '.json') JSON.parse(readFileSync(file, 'utf8'));
    else if (ending === '.onnx') {
      const { ModelProtoSchema } = await loadOnnxSchema();
      fromBinary(ModelProtoSchema, readFileSync(file));
    } else await (await loadPackage()).inspect(file);
    return null;
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
}

/**
 * Judges a run that was disturbed.
 *
 * @param {Place} place
 * @param {Known} known
 * @param {{ step: Step, outcome: Outcome, calls: Call[], wasTemporary: string[] }} run `wasTemporary`: the temporary files that
 * were there before it.
 * @returns {Finding[]}
 */
export function judgeDisturbed(place, known, { step, outcome, calls, wasTemporary }) {
  const findings = filesLost(place, known);
  if (outcome.fate === 'stuck') findings.push({ defect: 'stuck', what: 'the run does not end' });
  if (outcome.fate === 'died') findings.push({ defect: 'errors', what: `died of ${outcome.of}` });
  if (outcome.fate !== 'ended') return findings;
  // A process that lives removes its temporary files itself, unless that is what fails.
  const call = 'number' in step ? calls.find(({ number }) => number === step.number) : undefined;
  const isRemoval = call && /unlink|remove|rmdir/.test(call.name);
  if ('number' in step && step.kind !== 'EIO-for-good' && !isRemoval) {
    for (const file of place.temporary().filter((file) => !wasTemporary.includes(file))) {
      findings.push({ defect: 'leftovers', what: `${file}, of a run that ended by itself` });
    }
  }
  if (outcome.code === 0) return [...findings, ...differences(place, known)];
  const codes = outcome.written.match(/ERR_[A-Z_]+/g) ?? [];
  // A message says what is to be done behind a semicolon.
  const isExplained = outcome.written.includes('; ');
  if (codes.length === 0 || codes.some((code) => !EXPECTED_CODES.includes(code)) || !isExplained) {
    findings.push({ defect: 'errors', what: outcome.written.trim() || `code ${outcome.code}` });
  }
  return findings;
}

/**
 * Judges a run after disturbed ones: it works, and there is what an undisturbed run leaves, and nothing else.
 *
 * @param {Place} place
 * @param {Known} known
 * @param {Outcome} outcome
 * @returns {Finding[]}
 */
export function judgeNext(place, known, outcome) {
  /** @type {Finding[]} */
  const findings = place
    .temporary()
    .map((file) => ({ defect: 'leftovers', what: `${file}, after the next run` }));
  if (outcome.fate === 'stuck') {
    findings.push({ defect: 'stuck', what: 'the next run does not end' });
  } else if (outcome.fate !== 'ended' || outcome.code !== 0) {
    findings.push({ defect: 'errors', what: `the next run fails: ${JSON.stringify(outcome)}` });
  } else findings.push(...differences(place, known));
  return findings;
}

/** Finds files that are not there any more, or with contents that no undisturbed run shows. @returns {Finding[]} */
function filesLost(/** @type {Place} */ place, /** @type {Known} */ { before, digests }) {
  const now = place.contents();
  /** @type {Finding[]} */
  const findings = [];
  for (const file of before.keys()) {
    if (!now.has(file)) findings.push({ defect: 'lost', what: `${file} is gone` });
  }
  for (const [file, digest] of now) {
    if (!digests.has(file)) findings.push({ defect: 'leftovers', what: `${file} is not wanted` });
    else if (!digests.get(file)?.has(digest)) {
      findings.push({ defect: 'torn', what: `${file} is neither old nor new` });
    }
  }
  return findings;
}

/** Finds what is not as an undisturbed run leaves it. @returns {Finding[]} */
function differences(/** @type {Place} */ place, /** @type {Known} */ known) {
  const now = place.contents();
  const findings = filesLost(place, known);
  for (const [file, digest] of known.after) {
    if (!now.has(file)) findings.push({ defect: 'lost', what: `${file} is not there` });
    else if (known.digests.get(file)?.has(now.get(file) ?? '') && now.get(file) !== digest) {
      findings.push({ defect: 'errors', what: `${file} is not what the run has to write` });
    }
  }
  return findings;
}
