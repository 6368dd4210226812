import path from 'node:path';
import { Child } from './child.js';
import { pythonEnv, tunedAllocator } from './contestants.js';
import { summarize } from './statistics.js';

/** @import { Plan } from './plan.js' */
/** @import { GraphReport } from './types.js' */

/** Networks of torchvision, and what is measured: a teacher's answers, or a student's training steps. */
const WORK = [
  { model: 'resnet50', work: 'forward' },
  { model: 'vit_b_16', work: 'forward' },
  { model: 'resnet18', work: 'step' },
  { model: 'mobilenet_v3_small', work: 'step' },
];
const PRECISIONS = ['fp32', 'bf16'];
const PICTURES = 32;
const STEPS = 4;

/**
 * Runs networks that torch.export wrote, and trains them, in turn with eager PyTorch at its best, on as many threads: a
 * picture's time, normalisation included here and not there.
 *
 * @param {Plan} plan
 * @param {string} work
 * @param {(note: string) => void} note
 * @returns {Promise<GraphReport[]>}
 */
export async function runGraphs(plan, work, note) {
  if (!plan.python) throw new Error('This needs a Python with torch and torchvision: --python');
  const folder = path.join(import.meta.dirname, 'contestants');
  const python = new Child(
    plan.python,
    [path.join(folder, 'graphs.py')],
    pythonEnv(plan.threads, tunedAllocator()),
  );
  const reports = [];
  for (const { model, work: kind } of WORK) {
    const file = path.join(work, `${model}.pt2`);
    note(`exporting ${model}`);
    await python.ask('export_model', { model, file });
    for (const precision of PRECISIONS) {
      note(`${model}, ${kind}, ${precision}`);
      const settings = { model, file, kind, precision, pictures: PICTURES, steps: STEPS };
      const question = { ...settings, threads: plan.threads, size: plan.imageSize };
      const ours = new Child(process.execPath, [path.join(folder, 'graphs.js')], process.env);
      /** @type {{ ours: number, torch: number }[]} */
      const rounds = [];
      for (let round = -1; round < plan.rounds; round++) {
        const one = /** @type {number} */ (await ours.ask('run', question));
        const other = /** @type {number} */ (await python.ask('run', question));
        // What is done for the first time does not count.
        if (round >= 0) rounds.push({ ours: one, torch: other });
      }
      await ours.end();
      reports.push({
        model,
        work: kind,
        precision,
        millisecondsAPicture: summarize(rounds.map((round) => (1000 * round.ours) / PICTURES)),
        torchMilliseconds: summarize(rounds.map((round) => (1000 * round.torch) / PICTURES)),
        timesFaster: summarize(rounds.map((round) => round.torch / round.ours)),
      });
    }
    await python.ask('forget', {});
  }
  await python.end();
  return reports;
}
