import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import type { DistillOptions } from '../../lib/index.js';
import { alterTensor } from './safetensors.js';

export const mean = [0.485, 0.456, 0.406] as const;
export const std = [0.229, 0.224, 0.225] as const;

/** A temporary folder for the tests of one file, gone when they are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'distill-test-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Writes a PNG of noise around a colour; the same seed gives the same picture. */
export async function writePicture(
  file: string,
  seed: number,
  { size = 32, colour = [128, 128, 128] }: { size?: number; colour?: readonly number[] } = {},
): Promise<string> {
  const pixels = new Uint8Array(size * size * 3);
  let state = seed;
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[i] = Math.min(255, Math.max(0, (colour[i % 3] ?? 0) + (state >>> 24) - 128));
  }
  mkdirSync(path.dirname(file), { recursive: true });
  await sharp(pixels, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toFile(file);
  return file;
}

/**
 * Writes an ImageFolder of noise, from which nothing is to be learnt: 5 pictures of ants and 6 of bees
 * to train with, 4 and 3 to validate. One validation picture is in both classes, so that no student is
 * ever wholly right, which would end a run early, nor wholly wrong, which would save nothing.
 */
export async function writeDataset(root: string): Promise<string> {
  let seed = 1;
  for (const [folder, count] of [
    ['train/ants', 5],
    ['train/bees', 6],
    ['val/ants', 4],
    ['val/bees', 3],
  ] as const) {
    for (let i = 0; i < count; i++) {
      const inBoth = folder.startsWith('val') && i === 0;
      await writePicture(path.join(root, folder, `${i}.png`), inBoth ? 0 : seed++);
    }
  }
  return root;
}

/** An untrained teacher: 28 MB, so a test file makes one and shares it. */
export async function writeTeacher(file: string, { classes = 2, seed = 1 } = {}): Promise<string> {
  await loadAddon().createModel({ path: file, architecture: 'densenet121', classes, seed });
  return file;
}

/** A teacher whose answers are finite by themselves, but no longer once they are divided by 0.01. */
export async function writeLoudTeacher(file: string): Promise<string> {
  await writeTeacher(file);
  return alterTensor(file, 'classifier.bias', (i) => (i === 0 ? 1e37 : -1e37));
}

/** An untrained student. */
export async function writeStudent(file: string, { classes = 2, seed = 1 } = {}): Promise<string> {
  await loadAddon().createModel({ path: file, architecture: 'cnn', classes, seed });
  return file;
}

/** A teacher and a dataset in `folder`, and options for a run with them that takes moments. */
export async function smallRun(folder: string) {
  mkdirSync(path.join(folder, 'out'), { recursive: true });
  return {
    teacher: await writeTeacher(path.join(folder, 'teacher.pth')),
    dataset: await writeDataset(path.join(folder, 'dataset')),
    student: path.join(folder, 'out/student.pth'),
    mean,
    std,
    imageSize: 32,
    epochs: 2,
    seed: 1,
    // One thread and the CPU give the same numbers on every machine and beside other runs.
    device: 'cpu',
    threads: 1,
  } satisfies DistillOptions;
}

/** The files of a folder, hidden ones as well; none where there is no folder. */
export function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
