import { spawn } from 'node:child_process';
import path from 'node:path';
import { pythonEnv, startOurs } from './contestants.js';

/** @import { Plan } from './plan.js' */
/** @import { Bench, EnduranceReport, ProcessRun, Task } from './types.js' */

const SCRIPTS = path.resolve(import.meta.dirname, '..');

/**
 * Whole trainings from the command line, the start of the process included.
 *
 * @param {Plan} plan
 * @param {{ task: Task, taskFile: string }} inputs
 * @param {(note: string) => void} note
 * @returns {Promise<Bench['endToEnd']>}
 */
export async function runProcesses(plan, { task, taskFile }, note) {
  const epochs = plan.endToEnd.ours;
  /** @type {Bench['endToEnd']} */
  const report = { ours: null, reference: null, cannotRun: null };
  if (epochs === 0) return { ...report, cannotRun: 'left out' };
  try {
    note(`${epochs} epochs from the command line: node-distill`);
    report.ours = await ours(task, epochs);
    if (!plan.python) throw new Error('no Python with torch, torchvision and Pillow was found');
    note(`${plan.endToEnd.reference} epochs from the command line: the article's program`);
    report.reference = await reference(plan, task, taskFile, epochs);
  } catch (error) {
    report.cannotRun = /** @type {Error} */ (error).message;
  }
  return report;
}

/**
 * @param {Task} task
 * @param {number} epochs
 * @returns {Promise<ProcessRun>}
 */
async function ours(task, epochs) {
  const args = [
    ...['train', task.dataset, '--teacher', task.teacher, '--epochs', `${epochs}`],
    ...['--student', path.join(task.scratch, 'command.pth')],
    ...['--mean', task.mean.join(','), '--std', task.std.join(',')],
    ...['--batch-size', `${task.batchSize}`, '--image-size', `${task.imageSize}`],
    ...['--threads', `${task.threads}`, '--device', 'cpu', '--seed', '1', '--json'],
  ];
  const program = path.join(SCRIPTS, 'distill.js');
  const { seconds } = await timed(process.execPath, [program, ...args], process.env);
  return { command: 'distill train', epochs, seconds, estimated: null };
}

/**
 * @param {Plan} plan
 * @param {Task} task
 * @param {string} taskFile
 * @param {number} epochs
 * @returns {Promise<ProcessRun>}
 */
async function reference(plan, task, taskFile, epochs) {
  const run = Math.min(plan.endToEnd.reference, epochs);
  const program = path.join(import.meta.dirname, 'contestants/article.py');
  const args = [program, taskFile, `${run}`, path.join(task.scratch, 'article.pth')];
  const { seconds, stdout } = await timed(plan.python ?? '', args, pythonEnv(plan.threads));
  const times = [...stdout.matchAll(/time:([\d.]+)s/g)].map((match) => Number(match[1]));
  const each = times.reduce((sum, time) => sum + time, 0) / times.length;
  return {
    command: "the article's program",
    epochs,
    seconds: seconds + (epochs - times.length) * each,
    estimated: times.length < epochs ? `from ${times.length} of ${epochs} epochs` : null,
  };
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ seconds: number, stdout: string }>}
 */
function timed(program, args, env) {
  const start = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('exit', kill);
      const seconds = (performance.now() - start) / 1000;
      if (code === 0) resolve({ seconds, stdout });
      else reject(new Error(`${program} ${args[0]} failed: ${stderr.trim().split('\n').at(-1)}`));
    });
  });
}

/**
 * Measures whether memory grows with epochs.
 *
 * @param {Plan} plan
 * @param {string} taskFile
 * @returns {Promise<EnduranceReport | null>}
 */
export async function endure(plan, taskFile) {
  if (plan.endurance === 0) return null;
  /** @type {EnduranceReport} */
  const report = {
    pictures: 16,
    imageSize: 64,
    epochs: [5, plan.endurance],
    residentBytes: null,
    cannotRun: null,
  };
  const child = startOurs(plan.threads);
  try {
    await child.ask('setup', { taskFile, precision: 'fp32' });
    const { pictures, imageSize, epochs } = report;
    await child.ask('fill', { pictures, imageSize, place: 'memory' });
    report.residentBytes = await child.ask('endure', { epochs });
  } catch (error) {
    report.cannotRun = /** @type {Error} */ (error).message;
  }
  await child.end();
  return report;
}
