import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadTrials } from './product.js';

/** @import { CompareResult } from '../../lib/index.js' */

const FILES = {
  'teacher.pth': 'the teacher, which torchvision loads as well',
  'student.pth': 'the student',
  'student.onnx': 'the student for ONNX runtimes',
  'compare.json': 'all figures of the comparison',
  'digits/': 'the pictures, in train/<class>/, val/<class>/ and held-out/<class>/',
};

/**
 * Summarises what the quickstart has made, for a terminal.
 *
 * @param {string} folder as the user wrote it
 * @returns {Promise<string>}
 */
export async function summaryOf(folder) {
  const { showMeanStd, table } = await loadTrials();
  /** @type {CompareResult} */
  const compared = JSON.parse(readFileSync('compare.json', 'utf8'));
  const { withTeacher, withoutTeacher, teacherScores, costs, images, seeds } = compared;
  /** @param {typeof costs['teacher']} cost */
  const shown = (cost) =>
    cost
      ? [
          cost.parameters.toLocaleString('en'),
          (cost.bytes / 1e6).toFixed(1),
          (cost.latency * 1000).toFixed(2),
        ]
      : [];
  const over = seeds.length > 1 ? `; mean ± standard deviation over ${seeds.length} seeds` : '';
  return [
    '',
    table(
      ['', 'accuracy', 'parameters', 'MB', 'ms a picture'],
      [
        ['teacher', teacherScores?.accuracy.toFixed(4), ...shown(costs.teacher)],
        [
          'student with the teacher',
          showMeanStd(withTeacher.best?.accuracy),
          ...shown(costs.student),
        ],
        ['student without it', showMeanStd(withoutTeacher.best?.accuracy), ...shown(costs.student)],
      ],
    ),
    `accuracy: of ${images.val} validation pictures${over}`,
    '',
    ...Object.entries(FILES).map(([name, what]) => `${path.join(folder, name).padEnd(26)}${what}`),
    '',
    'With your own pictures, in photos/train/<class>/ and photos/val/<class>/:',
    '  node scripts/distill.js teach photos --teacher teacher.pth',
    '  node scripts/distill.js train photos --teacher teacher.pth --student student.pth',
    '',
  ].join('\n');
}
