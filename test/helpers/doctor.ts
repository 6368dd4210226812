// For the tests of `distill doctor`, on a good set-up and on broken ones. The run itself tells the code that it fails with,
// which a problem must have.
import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import {
  DistillError,
  type DistillOptions,
  type DoctorOptions,
  type DoctorResult,
  distill,
  doctor,
  type Finding,
  inspect,
  teach,
} from '../../lib/index.js';
import { temporaryFolder, writePicture } from './dataset.js';

export const folder = temporaryFolder();
export const at = (name: string) => path.join(folder, name);
/** One thread and the CPU, as other programs run beside this one. */
export const quiet = { device: 'cpu', threads: 1 };
/** Options of a run that succeeds; its teacher's file has mean, std and classes. */
export let good: DistillOptions & { teacher: string; dataset: string };
/** The teacher without them. */
export let bare: string;

beforeAll(async () => {
  mkdirSync(at('out'));
  const dataset = await writeColours(at('dataset'));
  const teacher = at('teacher.pth');
  await teach({
    dataset,
    teacher,
    imageSize: 32,
    epochs: 8,
    batchSize: 8,
    lr: 2e-3,
    seed: 1,
    ...quiet,
  });
  good = { dataset, teacher, student: at('out/student.pth'), epochs: 3, ...quiet };
  bare = await writeBare(teacher, at('bare.safetensors'));
});

/** Writes a class of reddish pictures and one of bluish ones, which a teacher learns in moments. */
async function writeColours(root: string): Promise<string> {
  let seed = 1;
  for (const split of ['train', 'val']) {
    for (let i = 0; i < 16; i++) {
      const of = (name: string) => path.join(root, split, name, `${i}.png`);
      await writePicture(of('ants'), seed++, { colour: [190, 90, 60] });
      await writePicture(of('bees'), seed++, { colour: [60, 90, 190] });
    }
  }
  return root;
}

/** Writes a model without what this package keeps beside its weights, as other programs write them. */
async function writeBare(from: string, to: string): Promise<string> {
  const addon = loadAddon();
  const { tensors } = await inspect(from);
  const names = tensors.filter(({ dtype }) => dtype === 'float32').map(({ name }) => name);
  const read = await addon.readTensors(from, names, false);
  await addon.writeTensors({
    path: to,
    tensors: read.map((tensor, i) => ({ name: names[i] as string, ...tensor })),
    metadata: '',
  });
  return to;
}

let copies = 0;
/** Makes a copy of the pictures to be broken. */
export function copied(): string {
  const copy = at(`copy-${copies++}`);
  cpSync(good.dataset, copy, { recursive: true });
  return copy;
}

export const examine = (more: Partial<DoctorOptions> = {}) => doctor({ ...good, ...more });

export const ailing = ({ findings }: DoctorResult) =>
  findings.filter(({ status }) => status !== 'ok');
export const named = ({ findings }: DoctorResult, check: string) =>
  findings.filter((finding) => finding.check === check);

/** Returns the one finding of a check that is not ok, whole. */
export function found(result: DoctorResult, check: string): Finding {
  const [finding, ...others] = ailing(result).filter((finding) => finding.check === check);
  if (!finding) return expect.unreachable(`no ${check} in ${JSON.stringify(ailing(result))}`);
  expect(others).toEqual([]);
  // A sentence, and something to do about it.
  expect(finding.message).toMatch(/[.?]$/);
  expect(finding.remedy).toMatch(/^[A-Z`].*\.$/);
  return finding;
}

/** Returns the one problem of a check, and expects the run itself to end with its code. */
export async function problem(options: Partial<DistillOptions>, check: string): Promise<Finding> {
  const finding = found(await examine(options), check);
  expect(finding.status).toBe('problem');
  const refused = await distill({ ...good, ...options }).then(
    () => expect.unreachable('the run went on'),
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(DistillError);
  expect((refused as DistillError).code).toBe(finding.code);
  return finding;
}
