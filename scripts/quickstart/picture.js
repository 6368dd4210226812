// Draws what a quickstart came to, as the README shows it:
//
//   node scripts/quickstart/picture.js quickstart docs/quickstart.svg
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @import * as Product from '../../lib/index.js' */

const [folder = 'quickstart', output = 'docs/quickstart.svg'] = process.argv.slice(2);
/** @type {typeof Product} */
const { predict } = await import(new URL('../../dist/index.js', import.meta.url).href);

/** @type {Product.CompareResult} */
const compared = JSON.parse(readFileSync(path.join(folder, 'compare.json'), 'utf8'));
const heldOut = path.join(folder, 'digits/held-out');
const predictions = await predict({ student: path.join(folder, 'student.pth'), images: heldOut });

const DIGIT = 56;
const DIGITS = predictions.map((prediction, i) => digit(prediction, 24 + i * 72)).join('\n');
const { teacherScores, costs, withTeacher, withoutTeacher, seeds, images: counts } = compared;
const { teacher, student } = costs;
const accuracy = (/** @type {number | undefined} */ value) =>
  `${((value ?? 0) * 100).toFixed(1)} %`;
const ROWS = [
  row(0, 'teacher, a DenseNet-121', teacher, accuracy(teacherScores?.accuracy)),
  row(1, 'student with the teacher', student, accuracy(withTeacher.best?.accuracy.mean)),
  row(2, 'student without it', student, accuracy(withoutTeacher.best?.accuracy.mean)),
].join('\n');

writeFileSync(
  output,
  `<svg xmlns="http://www.w3.org/2000/svg" width="752" height="268" viewBox="0 0 752 268" font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#1f2933">
<title>Digits that the student has never seen with its answers, and the file sizes and accuracies of teacher and student</title>
<rect width="752" height="268" rx="8" fill="white"/>
<text x="24" y="30" font-size="13" font-weight="bold">The student's answers for digits that it has never seen</text>
${DIGITS}
<text x="24" y="158" font-size="13" font-weight="bold">Size and accuracy</text>
<text x="728" y="158" text-anchor="end" fill="#52606d" font-size="11">size of the file; accuracy on ${counts.val} pictures, mean of ${seeds.length} students</text>
${ROWS}
</svg>
`,
);

/**
 * @param {Product.Prediction} prediction
 * @param {number} x
 */
function digit({ path: file, label, probability }, x) {
  const data = readFileSync(file ?? '').toString('base64');
  const middle = x + DIGIT / 2;
  return [
    `<image x="${x}" y="44" width="${DIGIT}" height="${DIGIT}" style="image-rendering: pixelated" href="data:image/png;base64,${data}"/>`,
    `<text x="${middle}" y="116" text-anchor="middle" font-weight="bold">${label}</text>`,
    `<text x="${middle}" y="130" text-anchor="middle" fill="#52606d" font-size="10">${(probability * 100).toFixed(1)} %</text>`,
  ].join('\n');
}

/**
 * @param {number} i
 * @param {string} name
 * @param {Product.ModelCost | null} cost
 * @param {string} accuracy
 */
function row(i, name, cost, accuracy) {
  const y = 182 + i * 28;
  const megabytes = (cost?.bytes ?? 0) / 1e6;
  const width = (megabytes / ((teacher?.bytes ?? 1) / 1e6)) * 340;
  return [
    `<text x="24" y="${y + 12}">${name}</text>`,
    `<rect x="200" y="${y}" width="${width.toFixed(1)}" height="17" fill="${i === 0 ? '#9aa5b1' : '#0b7a75'}"/>`,
    `<text x="${(208 + width).toFixed(1)}" y="${y + 12}">${megabytes.toFixed(1)} MB</text>`,
    `<text x="728" y="${y + 12}" text-anchor="end" font-weight="bold">${accuracy}</text>`,
  ].join('\n');
}
