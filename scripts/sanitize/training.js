// Trains, teaches, resumes, aborts, converts and predicts, with small pictures and networks, so that a sanitizer sees the whole
// addon at work in Node. Prints a line for each.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadPackage } from '../bench/product.js';
import { writePictures } from '../resume/pictures.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'sanitize-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (/** @type {string[]} */ ...names) => path.join(folder, ...names);
const { distill, teach, predict, inspect, convert, exportOnnx, teacherLogits, DistillError } =
  await loadPackage();
await writePictures(at('photos'));

const common = { dataset: at('photos'), imageSize: 32, batchSize: 8, seed: 3, threads: 2 };
/** @type {{ mean: [number, number, number], std: [number, number, number] }} */
const normalized = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
const quiet = (/** @type {unknown} */ _warning) => {};

/**
 * @param {string} what
 * @param {() => PromiseLike<unknown>} work
 */
async function step(what, work) {
  await work();
  globalThis.gc?.();
  console.log(`ok ${what}`);
}

/**
 * Does what must be refused.
 *
 * @param {string} code
 * @param {() => PromiseLike<unknown>} work
 */
async function refused(code, work) {
  const error = await Promise.resolve(work()).then(
    () => null,
    (reason) => reason,
  );
  if (!(error instanceof DistillError) || error.code !== code) {
    throw new Error(`expected ${code}, received ${error}`);
  }
}

await step('a DenseNet is taught', () =>
  teach({ ...common, epochs: 1, augment: ['resized-crop', 'flip'], teacher: at('teacher.pth') }),
);
await step('a ResNet is taught', () =>
  teach({ ...common, epochs: 1, architecture: 'resnet20', teacher: at('resnet.safetensors') }),
);

const runDir = at('run');
const run = { ...common, ...normalized, teacher: at('teacher.pth'), views: 2, runDir };
const student = at('student.pth');
const kept = { ...run, student, dropRate: 0.3, checkpointEvery: 0 };
await step('a run with a folder is aborted', () => {
  const controller = new AbortController();
  return refused('ERR_ABORTED', () =>
    distill({ ...kept, epochs: 50, signal: controller.signal })
      .on('epoch', ({ epoch }) => epoch === 2 && setTimeout(() => controller.abort(), 20))
      .on('warning', quiet),
  );
});
await step('it is resumed, and stopped', () => {
  const resumed = distill({ ...kept, epochs: 50, resume: true }).on('warning', quiet);
  return resumed.on('epoch', () => resumed.stop());
});
for (const architecture of ['mobilenet_v3_small', 'resnet20', 'cnn']) {
  await step(`a student is trained: ${architecture}`, () =>
    distill({
      ...common,
      ...normalized,
      architecture,
      epochs: 2,
      schedule: 'one-cycle',
      teacher: at('teacher.pth'),
      student: at(`${architecture}.pt2`),
    }).on('warning', quiet),
  );
}
await step('a graph teaches', () =>
  distill({
    ...common,
    ...normalized,
    epochs: 1,
    precision: 'bf16',
    teacher: at('mobilenet_v3_small.pt2'),
    student: at('other.safetensors'),
  }).on('warning', quiet),
);
await step('logits are kept', () =>
  teacherLogits({
    ...normalized,
    dataset: at('photos'),
    imageSize: 32,
    teacher: at('resnet.safetensors'),
    output: at('logits.safetensors'),
    onWarning: quiet,
  }),
);
await step('models are converted and exported', async () => {
  await convert(student, at('converted.safetensors'));
  await exportOnnx(at('mobilenet_v3_small.pt2'), at('student.onnx'), { onWarning: quiet });
});
await step('many predictions at once', async () => {
  const models = [student, at('resnet20.pt2'), at('mobilenet_v3_small.pt2')];
  const images = at('photos/val');
  await Promise.all(models.map((model) => predict({ student: model, images })));
});
await step('damaged files are refused', async () => {
  for (const name of ['teacher.pth', 'resnet.safetensors', 'cnn.pt2', 'run/state.safetensors']) {
    const data = readFileSync(at(name));
    for (const share of [0.01, 0.5, 0.999]) {
      const file = at(`damaged${path.extname(name)}`);
      writeFileSync(file, data.subarray(0, Math.floor(share * data.length)));
      await inspect(file).then(
        () => {},
        (error) => {
          if (!(error instanceof DistillError) || error.code === 'ERR_INTERNAL') throw error;
        },
      );
    }
  }
});
await step('a worker ends in the midst of a training', async () => {
  const options = { ...common, ...normalized, teacher: at('teacher.pth'), epochs: 50 };
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { distill } = await import(workerData.entry);
    await distill(workerData.options).on('epoch', ({ epoch }) => parentPort.postMessage(epoch));`;
  const entry = new URL('../../dist/index.js', import.meta.url).href;
  const workerData = { entry, options: { ...options, student: at('worker.pth') } };
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const worker = new Worker(url, { workerData });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
});
const left = readdirSync(folder).filter((name) => name.endsWith('.part'));
if (left.length > 0) throw new Error(`left: ${left}`);
