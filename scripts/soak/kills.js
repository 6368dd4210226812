// `npm run soak:kills`: kills every command that writes, at random moments and where something is half made; then runs each
// to its end and looks at what is left. Nothing may be that nobody asked for, and everything must load.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import sharp from 'sharp';

const ROOT = path.resolve(import.meta.dirname, '../..');
const TEMPORARY = /^\.node-distill-[0-9A-Za-z]{6}\.part$/;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '250' },
    folder: { type: 'string', default: os.tmpdir() },
  },
});

/** @typedef {{ name: string, args: string[], makes: string[], milliseconds: number }} Command */

/** Folders in the working folder that the commands write to. */
const PLACES = ['out', 'stores', 'scratch', 'cache/stores'];
const work = mkdtempSync(path.join(values.folder, 'kills-'));
for (const place of PLACES) mkdirSync(path.join(work, place), { recursive: true });
process.chdir(work);
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));

await writePhotos('photos');
const commands = commandsOf();
for (const args of [
  ['teach', 'photos', '--teacher', 'teacher.pth', '--epochs', '1', ...small()],
  ['train', 'photos', '--teacher', 'teacher.pth', '--student', 'student.pth', ...small()],
]) {
  await complete({ name: args[0] ?? '', args, makes: [], milliseconds: 0 });
}
// Each one runs to its end once: its duration bounds the moment of the kill.
for (const command of commands) await complete(command);

const total = Number(values.kills);
let killed = 0;
/** Temporary files that killed commands left behind. @type {Set<string>} */
const leftBehind = new Set();
const unloadable = [];
for (let i = 0; killed < total; i++) {
  const command = /** @type {Command} */ (commands[i % commands.length]);
  const isKilled = await kill(command, Math.floor(i / commands.length) % 2 === 1);
  if (isKilled && ++killed % 10 === 0) console.error(`kills: ${killed} of ${total}`);
  for (const file of leftovers()) leftBehind.add(file);
  unloadable.push(...(await damagedOutputs()).map((damage) => `${damage}, after ${command.name}`));
}

for (const command of commands) await complete(command);
unloadable.push(...(await damagedOutputs()));
const wanted = new Set(commands.flatMap(({ makes }) => makes));
for (const file of stores()) wanted.add(file);
const left = files().filter((file) => !wanted.has(file));
const lost = [...wanted].filter((file) => !existsSync(file));
console.log(JSON.stringify({ killed, leftBehind: leftBehind.size, left, lost, unloadable }));
process.exitCode = left.length + lost.length + unloadable.length > 0 ? 1 : 0;

/** @returns {string[]} */
function small() {
  return ['--image-size', '32', '--batch-size', '8', '--threads', '1', '--seed', '1', '--quiet'];
}

/** @returns {Command[]} */
function commandsOf() {
  const taught = ['photos', '--teacher', 'teacher.pth', '--epochs', '3', ...small()];
  const seeds = small().map((word) => (word === '--seed' ? '--seeds' : word));
  const several = ['photos', '--teacher', 'teacher.pth', '--epochs', '2', ...seeds];
  /** @type {(name: string, args: string[], makes: string[]) => Command} */
  const command = (name, args, makes) => ({ name, args, makes, milliseconds: 0 });
  const kept = ['--cache-dir', 'stores'];
  return [
    command('train', ['train', ...taught, '--student', 'out/student.pth'], ['out/student.pth']),
    command(
      'train with a kept store',
      ['train', ...taught, '--student', 'out/kept.safetensors', ...kept],
      ['out/kept.safetensors'],
    ),
    command(
      'train with files for pictures',
      ['train', ...taught, '--student', 'out/filed.pth', ...kept, '--cache-memory', '1'],
      ['out/filed.pth'],
    ),
    command(
      'train with a file without a name',
      ['train', ...taught, '--student', 'out/unnamed.pth', '--cache-memory', '1'],
      ['out/unnamed.pth'],
    ),
    command(
      'teach',
      ['teach', 'photos', '--teacher', 'out/teacher.pth', '--epochs', '2', ...small()],
      ['out/teacher.pth'],
    ),
    command(
      'sweep',
      [
        ...['sweep', ...several, '--temperature', '2,4'],
        ...['--student', 'out/swept.safetensors', '--out', 'out/sweep.json'],
      ],
      ['out/swept.safetensors', 'out/sweep.json'],
    ),
    command(
      'compare',
      ['compare', ...several, '--student', 'out/compared.pth', '--out', 'out/compare.json'],
      ['out/compared.pth', 'out/compare.json'],
    ),
    command(
      'logits',
      [
        ...['logits', 'photos', '--teacher', 'teacher.pth', '-o', 'out/logits.safetensors'],
        ...['--image-size', '32', '--threads', '1'],
      ],
      ['out/logits.safetensors'],
    ),
    command('export', ['export', 'student.pth', '-o', 'out/student.onnx'], ['out/student.onnx']),
    command(
      'convert',
      ['export', 'teacher.pth', '-o', 'out/converted.safetensors'],
      ['out/converted.safetensors'],
    ),
  ];
}

/** @param {Command} command */
function start({ args }) {
  const child = spawn(process.execPath, [path.join(ROOT, 'scripts/distill.js'), ...args], {
    env: {
      ...process.env,
      DISTILL_CACHE: path.resolve('cache'),
      TMPDIR: path.resolve('scratch'),
      NODE_NO_WARNINGS: '1',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return { child, ended: once(child, 'close'), said: () => stderr };
}

/**
 * Runs a command to its end.
 *
 * @param {Command} command
 */
async function complete(command) {
  const began = performance.now();
  const { ended, said } = start(command);
  const [code] = await ended;
  if (code !== 0) throw new Error(`${command.name} failed: ${said()}`);
  command.milliseconds = performance.now() - began;
}

/**
 * Kills a command at a random moment, or as soon as something new is half made.
 *
 * @param {Command} command
 * @param {boolean} isHalfMade
 * @returns {Promise<boolean>} whether it had not ended before
 */
async function kill(command, isHalfMade) {
  // A store that is there is taken over, and none is written.
  if (Math.random() < 0.5) for (const file of stores()) rmSync(file);
  const known = new Set(leftovers());
  const { child, ended, said } = start(command);
  const until = performance.now() + Math.random() * command.milliseconds;
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const isDue = () =>
    isHalfMade ? leftovers().some((file) => !known.has(file)) : performance.now() >= until;
  while (isRunning() && !isDue()) await wait(1);
  if (isHalfMade) await wait(Math.random() * 10);
  child.kill('SIGKILL');
  const [code, signal] = await ended;
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`${command.name} failed: ${said()}`);
  return signal === 'SIGKILL';
}

/** All files and links that lie where something may be written, and empty folders. @returns {string[]} */
function files() {
  return PLACES.flatMap((place) =>
    readdirSync(place, { recursive: true })
      .map((name) => path.join(place, `${name}`))
      .filter((file) => !lstatSync(file).isDirectory() || readdirSync(file).length === 0),
  );
}

/** Kept stores. */
function stores() {
  return readdirSync('stores')
    .filter((name) => /^[0-9a-f]{64}\.store$/.test(name))
    .map((name) => path.join('stores', name));
}

/** Files and folders under a temporary name. */
function leftovers() {
  return PLACES.flatMap((place) =>
    readdirSync(place)
      .filter((name) => TEMPORARY.test(name))
      .map((name) => path.join(place, name)),
  );
}

/** Lists the outputs that do not load, with the reason. */
async function damagedOutputs() {
  /** @type {typeof import('../../lib/index.js')} */
  const { inspect } = await import(path.join(ROOT, 'dist/index.js'));
  /** @type {typeof import('../../lib/model/onnx/onnx_pb.js')} */
  const { ModelProtoSchema } = await import(path.join(ROOT, 'dist/model/onnx/onnx_pb.js'));
  const damaged = [];
  for (const name of readdirSync('out').filter((name) => !TEMPORARY.test(name))) {
    const file = path.join('out', name);
    try {
      if (name.endsWith('.json')) JSON.parse(readFileSync(file, 'utf8'));
      else if (name.endsWith('.onnx')) fromBinary(ModelProtoSchema, readFileSync(file));
      else await inspect(file);
    } catch (error) {
      damaged.push(`${file}: ${/** @type {Error} */ (error).message}`);
    }
  }
  return damaged;
}

/**
 * Noise of two shades, in two classes.
 *
 * @param {string} root
 */
async function writePhotos(root) {
  const side = 32;
  for (const [part, count] of /** @type {const} */ ([
    ['train', 12],
    ['val', 6],
  ])) {
    for (const [shade, label] of ['dark', 'light'].entries()) {
      const folder = path.join(root, part, label);
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < count; i++) {
        const pixels = Uint8Array.from(
          { length: side * side * 3 },
          () => Math.random() * 200 + shade * 55,
        );
        const raw = { width: side, height: side, channels: /** @type {const} */ (3) };
        await sharp(pixels, { raw })
          .png()
          .toFile(path.join(folder, `${i}.png`));
      }
    }
  }
}
