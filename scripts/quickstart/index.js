// `npm run quickstart`: from handwritten digits to a small network that runs anywhere, step by step. What an earlier
// run has made is taken as it is.
import { mkdirSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { withLock } from '../setup/lock.js';
import { DEFAULTS, Ended, takeSteps } from './steps.js';
import { summaryOf } from './summary.js';

const program = new Command('quickstart')
  .description(
    'Trains a teacher on handwritten digits, distils a student, shows whether the teacher helps, and exports ONNX.',
  )
  .option('--folder <folder>', 'where everything goes', 'quickstart')
  .option('--pictures <n>', 'training pictures of each digit', count, DEFAULTS.pictures)
  .option('--val-pictures <n>', 'validation pictures of each digit', count, DEFAULTS.valPictures)
  .option('--teacher-epochs <n>', 'of the teacher', count, DEFAULTS.teacherEpochs)
  .option('--student-epochs <n>', 'of each student', count, DEFAULTS.studentEpochs)
  .option('--seeds <n>', 'students with the teacher, and as many without it', count, DEFAULTS.seeds)
  .option('--threads <n>', 'of LibTorch (one a core)', count);

/** @param {string} text */
function count(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('Expected 1 or more.');
  return value;
}

/** @type {import('./steps.js').Settings & { folder: string }} */
const { folder, ...settings } = program.parse().opts();
try {
  mkdirSync(folder, { recursive: true });
  // The commands are shown with the names of the files alone.
  process.chdir(folder);
  const onWait = () => process.stderr.write('quickstart: waiting for another one in this folder\n');
  await withLock(process.cwd(), () => takeSteps(settings), onWait);
  process.stdout.write(await summaryOf(folder));
} catch (error) {
  process.stderr.write(`quickstart: ${/** @type {Error} */ (error).message}\n`);
  process.exitCode = error instanceof Ended ? error.exitCode : 1;
}
