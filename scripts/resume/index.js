// `npm run check:resume`: kills trainings at random moments, resumes them, and compares all that they leave with what the
// same training leaves that nobody killed: final, best and last networks byte for byte, and epochs without their times.
//
// node scripts/resume/index.js [--runs N] [--call distill|teach|sweep|compare] [--seed N]
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { casesOf } from './cases.js';
import { writePictures } from './pictures.js';
import { differences, interrupted, makeTeacher, uninterrupted } from './runs.js';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '40' },
    call: { type: 'string', multiple: true, default: ['distill', 'teach'] },
    seed: { type: 'string', default: '1' },
  },
});

const work = mkdtempSync(path.join(os.tmpdir(), 'resume-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));

const runs = Number(values.runs);
let different = 0;
await writePictures(path.join(work, 'photos'));
await makeTeacher(work);
for (const call of values.call) {
  const cases = casesOf(call, work);
  let kills = 0;
  for (let run = 0; run < runs; run++) {
    const one = cases[run % cases.length];
    if (!one) throw new Error(`there is no call ${call}`);
    const seed = Number(values.seed) + run;
    const plain = await uninterrupted(one, path.join(work, `${call}-${one.name}`));
    const folder = path.join(work, `${call}-${run}`);
    const killed = await interrupted(one, folder, { seed, milliseconds: plain.milliseconds });
    kills += killed;
    const found = differences(plain.folder, folder);
    if (found.length > 0) different += 1;
    const verdict = found.length > 0 ? `differs: ${found.join('; ')}` : 'equal';
    console.log(`${call} ${run + 1}/${runs} (${one.name}): ${killed} kills, ${verdict}`);
    rmSync(folder, { recursive: true });
  }
  console.log(`${call}: ${runs} runs, ${kills} kills`);
}
console.log(`${different} differences`);
process.exitCode = different > 0 ? 1 : 0;
