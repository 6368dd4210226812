import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { scanImages } from '../lib/data/images.js';
import {
  type DistillOptions,
  distill,
  exportOnnx,
  type Prediction,
  predict,
} from '../lib/index.js';
import { packageRoot } from '../lib/package.js';
import { smallRun, temporaryFolder } from './helpers/dataset.js';
import { sha256 } from './helpers/decode.js';

// The examples see what predict() sees.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const example = (name: string) => path.join(packageRoot, 'examples', name);
const SIZE = 96;
const hymenoptera = path.join(packageRoot, '../shared/data/hymenoptera');
let pictures: string[];

interface Student {
  name: string;
  /** How its pictures are prepared. */
  steps: Pick<DistillOptions, 'resize' | 'interpolation'>;
  /** The largest difference of a probability. Where pictures are resized, some pixels differ by a level. */
  tolerance: number;
}

const students: Student[] = [
  { name: 'plain', steps: {}, tolerance: 1e-5 },
  { name: 'resizing', steps: { resize: 110, interpolation: 'bicubic' }, tolerance: 1e-3 },
];
const predictions = new Map<Student, Prediction[]>();
const filesOf = ({ name }: Student) => [at(`${name}.onnx`), at(`${name}.json`)] as const;

beforeAll(async () => {
  const options = await smallRun(folder);
  pictures = [...(await makePictures()), ...(await photographs())];
  for (const one of students) {
    const [model, description] = filesOf(one);
    const student = at(`${one.name}.pth`);
    await distill({ ...options, ...one.steps, student, imageSize: SIZE });
    await exportOnnx(student, model, { input: 'picture' });
    const args = ['scripts/distill.js', 'inspect', student, '--json'];
    writeFileSync(description, execFileSync(process.execPath, args, { cwd: packageRoot }));
    const asked = { student, images: pictures, device: 'cpu', threads: 1, onWarning() {} };
    predictions.set(one, await predict(asked));
  }
});

/** Expects an answer to be predict()'s. */
function expectAnswer(student: Student, i: number, label: string, probability: number): void {
  const top = predictions.get(student)?.[i]?.top ?? [];
  const right = top.find((one) => one.label === label)?.probability ?? Number.NaN;
  expect(Math.abs(probability - right), pictures[i]).toBeLessThan(student.tolerance);
}

/** Pictures of odd sizes, smaller than the crop, turned by EXIF, with a profile, and grey. */
async function makePictures(): Promise<string[]> {
  mkdirSync(at('pictures'));
  const made = async (
    name: string,
    width: number,
    height: number,
    finish: (of: Sharp) => Sharp,
  ) => {
    const raw = Buffer.from(
      Array.from({ length: width * height * 3 }, (_, i) => {
        const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
        return 128 + 100 * Math.sin(x / (5 + (i % 3)) + y / 9);
      }),
    );
    const file = at(`pictures/${name}`);
    await finish(sharp(raw, { raw: { width, height, channels: 3 } })).toFile(file);
    return file;
  };
  return Promise.all([
    made('odd.jpg', 301, 233, (of) => of.jpeg()),
    made('odd-by-three.png', 99, 97, (of) => of.png()),
    made('small.jpg', 31, 50, (of) => of.jpeg()),
    made('narrow.png', 45, 301, (of) => of.png()),
    made('turned.jpg', 211, 140, (of) => of.jpeg().withMetadata({ orientation: 6 })),
    made('turned.png', 211, 140, (of) => of.png().withMetadata({ orientation: 6 })),
    made('turned.webp', 211, 140, (of) =>
      of.webp({ lossless: true }).withMetadata({ orientation: 8 }),
    ),
    made('profile.png', 150, 151, (of) => of.png().withIccProfile('p3')),
    made('grey.jpg', 120, 133, (of) => of.greyscale().jpeg()),
  ]);
}

async function photographs(): Promise<string[]> {
  const { files } = await scanImages(`${hymenoptera}/val`).catch(() => ({ files: [] }));
  return (files as string[]).filter((_, i) => i % 30 === 0);
}

/** Returns a picture's pixels, RGB (height, width, 3). */
async function pixelsOf(file: string): Promise<Buffer> {
  return sharp(file, { ignoreIcc: true }).toColourspace('srgb').removeAlpha().raw().toBuffer();
}

test.each(students)('examples/node answers as predict() does: $name', async (student) => {
  const args = [example('node/classify.js'), ...filesOf(student), ...pictures];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  expect(lines.map(([file]) => file)).toEqual(pictures);
  for (const [i, [, label = '', probability]] of lines.entries()) {
    expect(label).toBe(predictions.get(student)?.[i]?.label);
    expectAnswer(student, i, label, Number(probability));
  }
});

test.each(students)('the lines in docs/deployment.md do the same: $name', async (student) => {
  const guide = readFileSync(path.join(packageRoot, 'docs/deployment.md'), 'utf8');
  const [, snippet = ''] = /```js\n(import \* as ort[\s\S]*?)```/.exec(guide) ?? [];
  // In a project of its own, beside a photograph.
  const project = at(`project-${student.name}`);
  mkdirSync(project);
  const [model] = filesOf(student);
  copyFileSync(model, path.join(project, 'student.onnx'));
  copyFileSync(at('pictures/odd.jpg'), path.join(project, 'photo.jpg'));
  writeFileSync(path.join(project, 'package.json'), JSON.stringify({ type: 'module' }));
  symlinkSync(path.join(packageRoot, 'node_modules'), path.join(project, 'node_modules'));
  const text = `${snippet}\nconsole.log(JSON.stringify(Object.values(probabilities.data)));`;
  writeFileSync(path.join(project, 'lines.js'), text);
  const { stdout } = await promisify(execFile)(process.execPath, ['lines.js'], { cwd: project });
  const probabilities: number[] = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  expect(probabilities).toHaveLength(2);
  for (const { label, index } of predictions.get(student)?.[0]?.top ?? []) {
    expectAnswer(student, 0, label, probabilities[index] ?? Number.NaN);
  }
});

const browser = findBrowser();
if (!browser) console.warn('Skipping the test of examples/browser: there is no Chromium here.');

function findBrowser(): string | undefined {
  const names = ['chromium', 'chromium-headless-shell', 'chromium-browser', 'google-chrome'];
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const places = names.flatMap((name) => folders.map((folder) => path.join(folder, name)));
  return [process.env.CHROMIUM, ...places].find((file) => file && existsSync(file));
}

describe.runIf(browser)('examples/browser', () => {
  test.each(students)('answers as predict() does, from the same pixels: $name', async (student) => {
    const server = spawn(process.execPath, [example('browser/serve.js'), ...filesOf(student)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const shown = await chromium.launch({
      executablePath: browser as string,
      args: ['--no-sandbox'],
    });
    try {
      const [url] = await once(createInterface(server.stdout), 'line');
      const page = await shown.newPage();
      const errors: Error[] = [];
      page.on('pageerror', (error) => errors.push(error));
      await page.goto(url);
      await page.locator('input:enabled').setInputFiles(pictures);
      const lines = page.locator('li');
      await expect.poll(() => lines.count(), { timeout: 60_000 }).toBe(pictures.length);
      const shownAnswers = await lines.allTextContents();
      for (const [i, { label }] of (predictions.get(student) ?? []).entries()) {
        expect(shownAnswers[i]).toMatch(`${path.basename(pictures[i] ?? '')}: ${label}, 0.`);
      }
      for (const [i, file] of pictures.entries()) {
        const { digest, answers } = (await page.evaluate(`(async () => {
          const { classify } = await import('/browser/page.js');
          const { readPicture } = await import('/browser/classify.js');
          const text = atob('${readFileSync(file).toString('base64')}');
          const picture = new Blob([Uint8Array.from(text, (one) => one.charCodeAt(0))]);
          const { pixels } = await readPicture(picture);
          const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', pixels));
          return { digest: Array.from(digest), answers: await classify(picture) };
        })()`)) as { digest: number[]; answers: { label: string; probability: number }[] };
        expect(Buffer.from(digest).toString('hex'), file).toBe(sha256(await pixelsOf(file)));
        expect(answers).toHaveLength(2);
        for (const { label, probability } of answers) expectAnswer(student, i, label, probability);
      }
      expect(errors).toEqual([]);
    } finally {
      await shown.close();
      server.kill();
    }
  });
});
