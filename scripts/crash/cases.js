// The commands that write files, and what they are given. To add one, add a line to CASES.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { loadPackage } from '../bench/product.js';

/** @typedef {import('./campaign.js').Case} Case */

const SIDE = 32;
const small = ['--image-size', `${SIDE}`, '--threads', '1', '--device', 'cpu'];
const training = [...small, '--batch-size', '8', '--quiet'];
const taught = ['photos', '--teacher', 'teacher.pth', ...training];
const inStore = ['--cache-dir', 'place/stores'];
/** Less than any store, so that it lies in a file. */
const filed = ['--cache-memory', '1'];

/**
 * @param {string} name
 * @param {...string} args
 * @returns {Case}
 */
const seeded = (name, ...args) => ({ name, args: (seed) => [...args, '--seed', `${seed}`] });

/**
 * @param {string} name
 * @param {string[]} more
 * @returns {Case}
 */
const trials = (name, ...more) => ({
  name,
  args: (seed) => [name, ...taught, '--epochs', '2', ...more, '--seeds', `${seed},${seed + 2}`],
});

/**
 * Keeps a command's run in a folder: the runs after a kill or a fault go on with it.
 *
 * @param {Case} command
 * @returns {Case}
 */
const resumed = ({ name, args }) => ({
  name: `${name}, resumed`,
  args: (seed) => [...args(seed), '--run-dir', 'place/run', '--checkpoint-every', '0'],
  states: ['fresh'], // in a folder that holds another run, it is refused
  next: ['--resume'],
});

/**
 * @param {string} name
 * @param {string} output
 * @returns {Case}
 */
const exporting = (name, output) => ({
  name,
  args: (seed) => ['export', `student-${seed}.pth`, '-o', `place/out/${output}`],
});

const student = ['--student', 'place/out/student.pth'];
const train = ['train', ...taught, ...student, '--epochs'];
const several = seeded('train', ...train, '3', '--monitor', 'loss', '--lr', '0.001');
const teaching = seeded(
  'teach',
  ...['teach', 'photos', '--teacher', 'place/out/teacher.pth', ...training],
  ...['--architecture', 'mobilenet_v3_small', '--epochs', '2'],
);
const sweeping = trials('sweep', '--temperature', '2,4', ...student, '--out', 'place/out/all.json');
const comparing = trials('compare', ...student, '--out', 'place/out/all.json');

/** @type {readonly Case[]} */
export const CASES = [
  exporting('convert', 'student.safetensors'),
  exporting('convert to .pth', 'student.pth'),
  exporting('convert to .pt2', 'student.pt2'),
  exporting('export', 'student.onnx'),
  {
    name: 'logits',
    args: (seed) => [
      ...['logits', seed === 1 ? 'photos' : 'photos-2', '--teacher', 'teacher.pth'],
      ...['-o', 'place/out/logits.safetensors', ...small],
    ],
  },
  several,
  seeded('train with a kept store', ...train, '1', ...inStore),
  seeded('train on a kept store', ...train, '1', ...inStore, ...filed),
  seeded('train on a file', ...train, '1', ...filed),
  teaching,
  sweeping,
  comparing,
  resumed(several),
  resumed(teaching),
  resumed(sweeping),
  resumed(comparing),
  { name: 'doctor', args: () => ['doctor', ...taught, ...student] },
];

/**
 * Makes the inputs of all commands in a folder.
 *
 * @param {string} home
 */
export async function makeInputs(home) {
  const { distill, teach } = await loadPackage();
  const at = (/** @type {string} */ name) => path.join(home, name);
  for (const seed of [1, 2]) await writePhotos(at(seed === 1 ? 'photos' : 'photos-2'), seed);
  const shared = {
    dataset: at('photos'),
    imageSize: SIDE,
    epochs: 1,
    threads: 1,
    device: /** @type {const} */ ('cpu'),
  };
  const teacher = at('teacher.pth');
  await teach({ ...shared, teacher, architecture: 'mobilenet_v3_small', seed: 1 });
  for (const seed of [1, 2]) {
    await distill({ ...shared, teacher, student: at(`student-${seed}.pth`), seed });
  }
}

/** Writes noise around two shades as two classes. One validation picture is in both, so that no student is wholly right. */
async function writePhotos(/** @type {string} */ root, /** @type {number} */ seed) {
  for (const [part, count] of /** @type {const} */ ([
    ['train', 8],
    ['val', 4],
  ])) {
    for (const [shade, label] of ['dark', 'light'].entries()) {
      const folder = path.join(root, part, label);
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < count; i++) {
        const level = part === 'val' && i === 0 ? 128 : 100 + 55 * shade;
        const pixels = Uint8Array.from(
          { length: SIDE * SIDE * 3 },
          (_, at) => level + ((at * 7919 + (i + 8 * seed) * 104729) % 97),
        );
        const raw = { width: SIDE, height: SIDE, channels: /** @type {const} */ (3) };
        await sharp(pixels, { raw })
          .png()
          .toFile(path.join(folder, `${i}.png`));
      }
    }
  }
}
