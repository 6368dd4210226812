import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { scanImages } from '../lib/data/images.js';
import { distill, exportOnnx, type Prediction, predict } from '../lib/index.js';
import { packageRoot } from '../lib/package.js';
import { smallRun, temporaryFolder } from './helpers/dataset.js';
import { sha256 } from './helpers/decode.js';

// examples/ sees what predict() sees.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
const example = (name: string) => path.join(packageRoot, 'examples', name);
const SIZE = 96;
const hymenoptera = path.join(packageRoot, '../shared/data/hymenoptera');
let pictures: string[];
let predictions: Prediction[];

beforeAll(async () => {
  const { student, ...options } = await smallRun(folder);
  await distill({ ...options, student, imageSize: SIZE });
  await exportOnnx(student, at('student.onnx'), { input: 'picture' });
  const args = ['scripts/distill.js', 'inspect', student, '--json'];
  writeFileSync(at('student.json'), execFileSync(process.execPath, args, { cwd: packageRoot }));
  pictures = [...(await makePictures()), ...(await photographs())];
  predictions = await predict({ student, images: pictures, device: 'cpu', threads: 1 });
});

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

test('examples/node answers as predict() does', async () => {
  const args = [example('node/classify.js'), at('student.onnx'), at('student.json'), ...pictures];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  expect(lines.map(([file]) => file)).toEqual(pictures);
  for (const [i, [, label, probability]] of lines.entries()) {
    expect(label).toBe(predictions[i]?.label);
    expect(Math.abs(Number(probability) - (predictions[i]?.probability ?? 0))).toBeLessThan(1e-4);
  }
});

test('the lines in docs/deployment.md do the same', async () => {
  const guide = readFileSync(path.join(packageRoot, 'docs/deployment.md'), 'utf8');
  const [, snippet = ''] = /```js\n(import \* as ort[\s\S]*?)```/.exec(guide) ?? [];
  // In a project of its own, beside a photograph.
  writeFileSync(at('photo.jpg'), readFileSync(at('pictures/odd.jpg')));
  writeFileSync(at('package.json'), JSON.stringify({ type: 'module' }));
  symlinkSync(path.join(packageRoot, 'node_modules'), at('node_modules'));
  const text = `${snippet}\nconsole.log(JSON.stringify(Object.values(probabilities.data)));`;
  writeFileSync(at('lines.js'), text);
  const { stdout } = await promisify(execFile)(process.execPath, ['lines.js'], { cwd: folder });
  const probabilities: number[] = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  for (const { index, probability } of predictions[0]?.top ?? []) {
    expect(Math.abs((probabilities[index] ?? 0) - probability)).toBeLessThan(1e-4);
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
  test('answers as predict() does, from the same pixels', async () => {
    const server = spawn(
      process.execPath,
      [example('browser/serve.js'), at('student.onnx'), at('student.json')],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
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
      expect(await lines.allTextContents()).toEqual(
        predictions.map(
          ({ label, probability }, i) =>
            `${path.basename(pictures[i] ?? '')}: ${label}, ${probability.toFixed(4)}`,
        ),
      );
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
        for (const { label, probability } of predictions[i]?.top ?? []) {
          const answer = answers.find((one) => one.label === label);
          expect(Math.abs((answer?.probability ?? 0) - probability)).toBeLessThan(1e-4);
        }
      }
      expect(errors).toEqual([]);
    } finally {
      await shown.close();
      server.kill();
    }
  });
});
